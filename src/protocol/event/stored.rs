//! What does this stored event say? Its text was checked before; here it is only read.
//! ([event format](https://spec.matrix.org/v1.19/rooms/v12/#event-format-1))

use std::{borrow::Cow, fmt};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Pdu;
use crate::{
    canonical_json::{CanonicalJsonObject, to_string_without},
    room_version::RoomVersion,
};

/// An event that cannot be read although it should have been checked.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The text has another form.
    #[error("the event {0} cannot be read: {1}")]
    Json(OwnedEventId, #[source] serde_json::Error),
    /// It belongs to no room.
    #[error("the event {0} has no room")]
    NoRoom(OwnedEventId),
}

#[derive(Deserialize)]
struct Stored<'a> {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: String,
    state_key: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: i64,
    depth: u64,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
}

impl Pdu {
    /// Reads an event from our own store: nothing is hashed, sorted or checked again.
    pub fn from_stored(
        event_id: OwnedEventId,
        json: &str,
        version: &RoomVersion,
        rejected: bool,
    ) -> Result<Self, ReadFault> {
        Self::read(event_id, json.to_owned(), version, rejected)
    }

    /// Makes an event of an object whose format was checked and whose ID is known.
    pub fn from_object(
        event_id: OwnedEventId,
        object: &CanonicalJsonObject,
        version: &RoomVersion,
    ) -> Result<Self, ReadFault> {
        Self::read(event_id, to_string_without(object, &["unsigned"]), version, false)
    }

    pub(super) fn read(
        event_id: OwnedEventId,
        json: String,
        version: &RoomVersion,
        rejected: bool,
    ) -> Result<Self, ReadFault> {
        let stored: Stored<'_> = match serde_json::from_str(&json) {
            Ok(stored) => stored,
            Err(error) => return Err(ReadFault::Json(event_id, error)),
        };
        let names_room = stored.room_id.is_some();
        let room_id = match stored.room_id {
            Some(room_id) => room_id,
            None => room_of_create(&event_id, &stored.kind, version)
                .ok_or_else(|| ReadFault::NoRoom(event_id.clone()))?,
        };
        let redacts = if stored.kind != "m.room.redaction" {
            None
        } else if version.rules.redaction.content_field_redacts {
            field(stored.content, "redacts").and_then(redacted_id)
        } else {
            stored.redacts.and_then(redacted_id)
        };
        Ok(Self {
            event_id,
            room_id,
            sender: stored.sender,
            event_type: stored.kind.as_str().into(),
            state_key: stored.state_key,
            content: stored.content.to_owned(),
            origin_server_ts: stored.origin_server_ts,
            depth: stored.depth,
            prev_events: stored.prev_events,
            auth_events: stored.auth_events,
            redacts,
            rejected,
            kind: stored.kind,
            names_room,
            json,
        })
    }
}

/// A member of a JSON object, found without reading the rest of it. The last of duplicates.
#[must_use]
pub fn field<'a>(object: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let [value] = fields(object, [name]);
    value
}

/// Members of a JSON object, found in one pass; none where it is not an object.
#[must_use]
pub fn fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&str; N],
) -> [Option<&'a RawValue>; N] {
    let mut reader = serde_json::Deserializer::from_str(object.get());
    reader.deserialize_map(FieldVisitor(names)).unwrap_or([None; N])
}

/// The room named after the hash of this event, if it is a create event of such a version.
fn room_of_create(event_id: &EventId, kind: &str, version: &RoomVersion) -> Option<OwnedRoomId> {
    if kind != "m.room.create" || !version.room_id_is_create_hash() {
        return None;
    }
    let hash = event_id.as_str().strip_prefix('$')?;
    RoomId::parse(format!("!{hash}")).ok()
}

fn redacted_id(value: &RawValue) -> Option<OwnedEventId> {
    serde_json::from_str(value.get()).ok()
}

struct FieldVisitor<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldVisitor<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Key(key)) = map.next_key()? {
            let places = found.iter_mut().zip(self.0).filter(|(_, name)| key == *name);
            let places: Vec<_> = places.map(|(place, _)| place).collect();
            if places.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            places.into_iter().for_each(|place| *place = Some(value));
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
