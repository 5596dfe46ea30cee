//! Does this object have the form of an event of its room's version?
//! ([event format](https://spec.matrix.org/v1.19/rooms/v12/#event-format-1),
//! [size limits](https://spec.matrix.org/v1.19/client-server-api/#size-limits))

use std::collections::BTreeSet;

use ruma::{Int, RoomId, UserId};

use crate::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue},
    room_version::RoomVersion,
};

/// The largest event that is accepted, as canonical JSON with its signatures.
pub const MAX_BYTES: usize = 65_536;

/// The largest event that is sent. Others count `"unsigned":{},`, which they add themselves.
pub const MAX_BYTES_SENT: usize = 65_522;

/// The largest `sender`, `room_id`, `type` or `state_key`, in bytes.
pub const MAX_ID_BYTES: usize = 255;

/// The most `prev_events` of an event.
pub const MAX_PREV_EVENTS: usize = 20;

/// The most `auth_events` of an event.
pub const MAX_AUTH_EVENTS: usize = 10;

/// The largest depth.
pub const MAX_DEPTH: u64 = (1 << 53) - 1;

/// How an object fails to be an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatFault {
    /// It is larger than events may be.
    #[error("an event of {0} bytes is too large")]
    TooLarge(usize),
    /// It is nested deeper than others would accept from us.
    #[error("an event nested that deep is not accepted by others")]
    TooDeep,
    /// A field is longer than it may be.
    #[error("`{0}` is too long")]
    TooLong(&'static str),
    /// A field is missing, or is not what it must be.
    #[error("`{0}` is missing or malformed")]
    Field(&'static str),
    /// A field is there that must not be.
    #[error("`{0}` must not be there")]
    Unexpected(&'static str),
}

/// Checks the format of an event, except its size and what depends on other events.
pub fn check(object: &CanonicalJsonObject, version: &RoomVersion) -> Result<(), FormatFault> {
    for (field, most) in [("prev_events", MAX_PREV_EVENTS), ("auth_events", MAX_AUTH_EVENTS)] {
        let ids = object.get(field).and_then(CanonicalJsonValue::as_array);
        if ids.is_some_and(|ids| ids.len() > most) {
            return Err(FormatFault::TooLong(field));
        }
    }
    check_history(object, version)
}

/// The same of an event of the past: how many events it cites is not checked
/// ([backfilling](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid)).
pub fn check_history(
    object: &CanonicalJsonObject,
    version: &RoomVersion,
) -> Result<(), FormatFault> {
    // From room version 3 on the ID is a hash; a claimed one would only confuse.
    if object.contains_key("event_id") {
        return Err(FormatFault::Unexpected("event_id"));
    }
    let kind = identifier(object, "type")?.ok_or(FormatFault::Field("type"))?;
    identifier(object, "state_key")?;
    let sender = identifier(object, "sender")?.ok_or(FormatFault::Field("sender"))?;
    UserId::parse(sender).map_err(|_| FormatFault::Field("sender"))?;
    check_room(object, kind, version)?;
    if !object.get("content").is_some_and(CanonicalJsonValue::is_object) {
        return Err(FormatFault::Field("content"));
    }
    if !object.get("origin_server_ts").is_some_and(CanonicalJsonValue::is_integer) {
        return Err(FormatFault::Field("origin_server_ts"));
    }
    match object.get("depth") {
        Some(CanonicalJsonValue::Integer(depth)) if *depth >= Int::default() => {}
        _ => return Err(FormatFault::Field("depth")),
    }
    references(object, "prev_events")?;
    references(object, "auth_events")?;
    check_proofs(object)
}

/// The room: missing exactly where the create event's own hash is its name, and then that event
/// is in no `auth_events`. An event that names a room is state of it, under the empty key.
fn check_room(
    object: &CanonicalJsonObject,
    kind: &str,
    version: &RoomVersion,
) -> Result<(), FormatFault> {
    let room_id = identifier(object, "room_id")?;
    if version.room_id_is_create_hash() && kind == "m.room.create" {
        return match room_id {
            Some(_) => Err(FormatFault::Unexpected("room_id")),
            None if identifier(object, "state_key")? == Some("") => Ok(()),
            None => Err(FormatFault::Field("state_key")),
        };
    }
    let room_id = room_id.ok_or(FormatFault::Field("room_id"))?;
    RoomId::parse(room_id).map_err(|_| FormatFault::Field("room_id"))?;
    if !version.room_id_is_create_hash() {
        return Ok(());
    }
    let hash = room_id.strip_prefix('!').unwrap_or_default();
    if !is_hash(hash) {
        return Err(FormatFault::Field("room_id"));
    }
    let auth_events = object.get("auth_events").and_then(CanonicalJsonValue::as_array);
    let is_create = |id: &CanonicalJsonValue| {
        id.as_str().and_then(|id| id.strip_prefix('$')).is_some_and(|id| id == hash)
    };
    match auth_events {
        Some(ids) if ids.iter().any(is_create) => Err(FormatFault::Field("auth_events")),
        _ => Ok(()),
    }
}

/// A content hash and signatures, of the right types; whether they are right is asked later.
fn check_proofs(object: &CanonicalJsonObject) -> Result<(), FormatFault> {
    let hashes = object.get("hashes").and_then(CanonicalJsonValue::as_object);
    if !hashes.and_then(|hashes| hashes.get("sha256")).is_some_and(CanonicalJsonValue::is_string) {
        return Err(FormatFault::Field("hashes"));
    }
    if !object.get("signatures").is_some_and(CanonicalJsonValue::is_object) {
        return Err(FormatFault::Field("signatures"));
    }
    Ok(())
}

fn identifier<'a>(
    object: &'a CanonicalJsonObject,
    field: &'static str,
) -> Result<Option<&'a str>, FormatFault> {
    match object.get(field) {
        None => Ok(None),
        Some(CanonicalJsonValue::String(text)) if text.len() <= MAX_ID_BYTES => Ok(Some(text)),
        Some(CanonicalJsonValue::String(_)) => Err(FormatFault::TooLong(field)),
        Some(_) => Err(FormatFault::Field(field)),
    }
}

/// A list of distinct event IDs. The format allows an ID twice; no server stores such an event, so it is refused.
fn references(object: &CanonicalJsonObject, field: &'static str) -> Result<(), FormatFault> {
    let fault = FormatFault::Field(field);
    let Some(ids) = object.get(field).and_then(CanonicalJsonValue::as_array) else {
        return Err(fault);
    };
    // An event of the past may cite very many.
    let mut seen = BTreeSet::new();
    for id in ids {
        let hash = id.as_str().and_then(|id| id.strip_prefix('$')).unwrap_or_default();
        if !is_hash(hash) || !seen.insert(hash) {
            return Err(fault);
        }
    }
    Ok(())
}

/// Whether this is a SHA-256 hash in the alphabet of event IDs since room version 4.
fn is_hash(text: &str) -> bool {
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == 43 && text.bytes().all(in_alphabet)
}
