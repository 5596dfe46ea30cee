//! How is an event shown to clients, to other servers, and after its redaction?
//! ([client event format](https://spec.matrix.org/v1.19/client-server-api/#room-event-format),
//! [stripped state](https://spec.matrix.org/v1.19/client-server-api/#stripped-state))

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::{Pdu, ReadFault, field};
use crate::{
    canonical_json::{redact, to_string, write_string},
    json::parse_object,
    room_version::RoomVersion,
};

/// The event in the format of the client-server API, without `unsigned`.
#[must_use]
pub fn client_event(pdu: &Pdu, room_id: bool) -> String {
    let mut text = String::with_capacity(pdu.json.len() + 64);
    text.push_str("{\"content\":");
    push_content(&mut text, pdu);
    push_member(&mut text, ",\"event_id\":", pdu.event_id.as_str());
    text.push_str(",\"origin_server_ts\":");
    text.push_str(&pdu.origin_server_ts.to_string());
    // Clients find a redaction's target in the content or beside it, depending on their age.
    if let Some(redacts) = &pdu.redacts {
        push_member(&mut text, ",\"redacts\":", redacts.as_str());
    }
    if room_id {
        push_member(&mut text, ",\"room_id\":", pdu.room_id.as_str());
    }
    push_member(&mut text, ",\"sender\":", pdu.sender.as_str());
    if let Some(state_key) = &pdu.state_key {
        push_member(&mut text, ",\"state_key\":", state_key);
    }
    push_member(&mut text, ",\"type\":", pdu.kind());
    text.push('}');
    text
}

/// The event as stripped state.
#[must_use]
pub fn stripped(pdu: &Pdu) -> String {
    let mut text = String::with_capacity(pdu.content.get().len() + 128);
    text.push_str("{\"content\":");
    text.push_str(pdu.content.get());
    push_member(&mut text, ",\"sender\":", pdu.sender.as_str());
    push_member(&mut text, ",\"state_key\":", pdu.state_key.as_deref().unwrap_or_default());
    push_member(&mut text, ",\"type\":", pdu.kind());
    text.push('}');
    text
}

/// The event as other servers are given it.
#[must_use]
pub fn for_federation(pdu: &Pdu) -> &str {
    &pdu.json
}

/// The event after its redaction: the same ID, without what a redaction removes.
pub fn redacted(pdu: &Pdu, version: &RoomVersion) -> Result<Pdu, ReadFault> {
    let object = parse_object(pdu.json.as_bytes()).map_err(|fault| {
        let error = serde::de::Error::custom(fault);
        ReadFault::Json(pdu.event_id.clone(), error)
    })?;
    let json = to_string(&redact(object, version));
    Pdu::read(pdu.event_id.clone(), json, version, pdu.rejected)
}

/// What the authorization rules read of a content, and a redaction takes away in some room version.
const READ_BY_THE_RULES: [(&str, &[&str]); 4] = [
    ("m.room.create", &["m.federate", "room_version"]),
    ("m.room.member", &["join_authorised_via_users_server", "third_party_invite"]),
    ("m.room.power_levels", &["invite", "notifications"]),
    ("m.room.third_party_invite", &["public_key", "public_keys"]),
];

/// The content by which the rules judge with an event after its redaction: what is left, and what they read of the
/// rest. Nothing where they read what is left alone.
///
/// # Errors
/// The content is no object.
pub fn judged_content(
    whole: &Pdu,
    redacted: &Pdu,
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let read = READ_BY_THE_RULES.iter().find(|(kind, _)| whole.is_state() && *kind == whole.kind());
    let names = read.map_or(&[][..], |(_, names)| names);
    let lost: Vec<(&str, &RawValue)> = names
        .iter()
        .filter(|name| redacted.content_field(name).is_none())
        .filter_map(|name| Some((*name, whole.content_field(name)?)))
        .collect();
    if lost.is_empty() {
        return Ok(None);
    }
    let mut content: BTreeMap<&str, Box<RawValue>> = serde_json::from_str(redacted.content.get())?;
    for (name, value) in lost {
        let value =
            if name == "third_party_invite" { signed_alone(value)? } else { value.to_owned() };
        content.insert(name, value);
    }
    to_raw_value(&content).map(Some)
}

/// Of a third-party invite, what was signed: all that the rules read, and all that a redaction ever leaves.
fn signed_alone(invite: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    let signed = field(invite, "signed").map(|signed| ("signed", signed));
    to_raw_value(&BTreeMap::from_iter(signed))
}

fn push_content(text: &mut String, pdu: &Pdu) {
    let content = pdu.content.get();
    match (&pdu.redacts, content.strip_prefix('{')) {
        (Some(redacts), Some(members)) if pdu.content_field("redacts").is_none() => {
            push_member(text, "{\"redacts\":", redacts.as_str());
            if !members.trim_start().starts_with('}') {
                text.push(',');
            }
            text.push_str(members);
        }
        _ => text.push_str(content),
    }
}

fn push_member(text: &mut String, lead: &str, value: &str) {
    text.push_str(lead);
    write_string(text, value);
}
