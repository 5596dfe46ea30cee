//! How does an event of a test come about: drafted, citing what it should, hashed?

use ruma::UserId;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use tombolo_protocol::{
    admission::Checked,
    canonical_json::CanonicalJsonObject,
    event::{self, Pdu},
    event_auth::auth_types,
    json::canonical_object,
    room_version::RoomVersion,
    signing,
};

/// Where in a room an event stands.
pub struct Place<'a> {
    pub room_id: &'a str,
    pub prev_events: &'a [String],
    pub auth_events: &'a [String],
    pub depth: u64,
    pub origin_server_ts: u64,
}

/// An event at a place, neither hashed nor signed.
pub fn draft(
    place: &Place<'_>,
    sender: &str,
    (kind, key): (&str, Option<&str>),
    content: &Value,
) -> Value {
    let mut pdu = json!({
        "type": kind, "sender": sender, "room_id": place.room_id, "content": content,
        "depth": place.depth, "origin_server_ts": place.origin_server_ts,
        "prev_events": place.prev_events, "auth_events": place.auth_events,
    });
    if let Some(key) = key {
        pdu["state_key"] = json!(key);
    }
    pdu
}

/// What an event cites where the state has it; `state` answers for a type and a key.
pub fn cited<Id>(
    version: &RoomVersion,
    sender: &str,
    (kind, key): (&str, Option<&str>),
    content: &Value,
    state: impl Fn(&(String, String)) -> Option<Id>,
) -> Vec<Id> {
    let content = to_raw_value(content).unwrap();
    let selected = UserId::parse(sender)
        .ok()
        .and_then(|sender| auth_types(version, kind, &sender, key, &content).ok());
    // What has no form cites what every event does.
    let keys = selected.unwrap_or_else(|| {
        let mut keys = vec![("m.room.power_levels", ""), ("m.room.member", sender)];
        if !version.room_id_is_create_hash() {
            keys.push(("m.room.create", ""));
        }
        keys.into_iter().map(|(kind, key)| (kind.to_owned(), key.to_owned())).collect()
    });
    keys.iter().filter_map(state).collect()
}

/// The object that a value is, as events are hashed and signed.
pub fn canonical(value: &Value) -> CanonicalJsonObject {
    canonical_object(value.clone()).unwrap()
}

/// The ID of an event.
pub fn id_of(version: &RoomVersion, pdu: &Value) -> String {
    let mut object = canonical(pdu);
    object.remove("unsigned");
    event::event_id(&object, version).to_string()
}

/// Notes the hash of an event's content.
pub fn hash(pdu: &mut Value) {
    pdu["hashes"] = hashes(&canonical(pdu));
}

/// An event with the hash of its content.
pub fn hashed(mut object: CanonicalJsonObject) -> CanonicalJsonObject {
    let hashes = hashes(&object);
    object.insert("hashes".to_owned(), hashes.try_into().unwrap());
    object
}

fn hashes(object: &CanonicalJsonObject) -> Value {
    json!({ "sha256": signing::encode(event::content_hash(object)) })
}

/// An event as a room is given it.
pub fn checked(pdu: &Pdu) -> Checked {
    let json = RawValue::from_string(pdu.json.clone()).unwrap();
    Checked { event_id: pdu.event_id.clone(), json }
}
