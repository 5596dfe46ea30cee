//! How does a draft become an event?
//! ([adding hashes and signatures](https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events))

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{EventId, Int, OwnedEventId, OwnedUserId, RoomId};

use super::{
    Pdu, ReadFault,
    format::{self, FormatFault, MAX_BYTES_SENT, MAX_DEPTH},
};
use crate::{
    canonical_json::{
        CanonicalJsonObject, CanonicalJsonValue, redacted_to_string, to_string, to_string_without,
    },
    json,
    room_version::RoomVersion,
    signing::{SigningKey, add_signature, encode, sha256},
};

/// What a sender wants to say.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who says it: a user of this server.
    pub sender: OwnedUserId,
    /// The type of the event.
    pub event_type: String,
    /// The state key, if it is to be state.
    pub state_key: Option<String>,
    /// The content.
    pub content: CanonicalJsonObject,
    /// The event to redact, for a redaction.
    pub redacts: Option<OwnedEventId>,
}

/// Where in the room's graph a draft is placed.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// The room; none for a create event whose hash names the room.
    pub room_id: Option<&'a RoomId>,
    /// The events before it.
    pub prev_events: &'a [OwnedEventId],
    /// The events that allow it.
    pub auth_events: &'a [OwnedEventId],
    /// One more than the deepest event before it; larger values are cut to what may be sent.
    pub depth: u64,
    /// The time.
    pub origin_server_ts: i64,
}

/// Why a draft cannot become an event.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    /// The draft breaks the format of events.
    #[error(transparent)]
    Format(#[from] FormatFault),
    /// What was built cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFault),
}

/// Builds, hashes and signs an event.
pub fn build(
    version: &RoomVersion,
    draft: Draft,
    links: Links<'_>,
    key: &SigningKey,
    server_name: &str,
) -> Result<Pdu, BuildFault> {
    let object = unsigned_object(version, draft, links)?;
    if !object.values().all(|value| fits(value, json::MAX_DEPTH_SENT - 1)) {
        return Err(FormatFault::TooDeep.into());
    }
    seal(version, object, key, server_name)
}

/// An event such as another server may send: as deep as we accept.
#[cfg(test)]
pub(crate) fn build_deep(
    version: &RoomVersion,
    draft: Draft,
    links: Links<'_>,
    key: &SigningKey,
    server_name: &str,
) -> Result<Pdu, BuildFault> {
    seal(version, unsigned_object(version, draft, links)?, key, server_name)
}

fn seal(
    version: &RoomVersion,
    mut object: CanonicalJsonObject,
    key: &SigningKey,
    server_name: &str,
) -> Result<Pdu, BuildFault> {
    let hashes = [("sha256".to_owned(), encode(content_hash(&object)).into())];
    object.insert("hashes".to_owned(), CanonicalJsonObject::from(hashes).into());
    let redacted = redacted_to_string(&object, version);
    add_signature(&mut object, server_name, key.key_id(), key.sign(redacted.as_bytes()));
    format::check(&object, version)?;
    let json = to_string(&object);
    if json.len() > MAX_BYTES_SENT {
        return Err(FormatFault::TooLarge(json.len()).into());
    }
    Ok(Pdu::read(id_of_hash(sha256(&redacted)), json, version, false)?)
}

/// The hash that protects an event's content, for its `hashes`.
#[must_use]
pub fn content_hash(object: &CanonicalJsonObject) -> [u8; 32] {
    sha256(&to_string_without(object, &["hashes", "signatures", "unsigned"]))
}

/// The ID of an event: its reference hash.
#[must_use]
pub fn event_id(object: &CanonicalJsonObject, version: &RoomVersion) -> OwnedEventId {
    id_of_hash(sha256(&redacted_to_string(object, version)))
}

#[expect(clippy::expect_used, reason = "a `$` before 43 letters is an event ID")]
pub(crate) fn id_of_hash(hash: [u8; 32]) -> OwnedEventId {
    EventId::new_v2_or_v3(&URL_SAFE_NO_PAD.encode(hash)).expect("the hash is short")
}

fn unsigned_object(
    version: &RoomVersion,
    draft: Draft,
    links: Links<'_>,
) -> Result<CanonicalJsonObject, FormatFault> {
    let Draft { sender, event_type, state_key, mut content, redacts } = draft;
    let mut object = CanonicalJsonObject::new();
    if let Some(redacts) = redacts {
        // It has one place: where that is beside the content, what a client wrote into the content is moved.
        content.remove("redacts");
        let place = match version.rules.redaction.content_field_redacts {
            true => &mut content,
            false => &mut object,
        };
        place.insert("redacts".to_owned(), redacts.as_str().into());
    }
    if let Some(room_id) = links.room_id {
        object.insert("room_id".to_owned(), room_id.as_str().into());
    }
    if let Some(state_key) = state_key {
        object.insert("state_key".to_owned(), state_key.into());
    }
    let time = Int::new(links.origin_server_ts).ok_or(FormatFault::Field("origin_server_ts"))?;
    let depth = i64::try_from(links.depth.min(MAX_DEPTH)).ok().and_then(Int::new);
    let depth = depth.ok_or(FormatFault::Field("depth"))?;
    object.extend([
        ("auth_events".to_owned(), ids(links.auth_events)),
        ("content".to_owned(), content.into()),
        ("depth".to_owned(), depth.into()),
        ("origin_server_ts".to_owned(), time.into()),
        ("prev_events".to_owned(), ids(links.prev_events)),
        ("sender".to_owned(), sender.as_str().into()),
        ("type".to_owned(), event_type.into()),
    ]);
    Ok(object)
}

/// Whether a value has no more than so many levels.
fn fits(value: &CanonicalJsonValue, levels: usize) -> bool {
    let Some(inner) = levels.checked_sub(1) else {
        return !matches!(value, CanonicalJsonValue::Array(_) | CanonicalJsonValue::Object(_));
    };
    match value {
        CanonicalJsonValue::Array(items) => items.iter().all(|item| fits(item, inner)),
        CanonicalJsonValue::Object(members) => members.values().all(|value| fits(value, inner)),
        _ => true,
    }
}

fn ids(ids: &[OwnedEventId]) -> CanonicalJsonValue {
    CanonicalJsonValue::Array(ids.iter().map(|id| id.as_str().into()).collect())
}
