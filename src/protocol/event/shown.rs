//! What of the state that another server gives with an invite may its user be shown?
//! ([stripped state](https://spec.matrix.org/v1.19/client-server-api/#stripped-state))
//!
//! It is that server's word and nothing else, so that it must neither be much nor break a client.

use ruma::{OwnedUserId, UserId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::fields;
use crate::json::parse_object;

/// The state that is shown to a user who is invited or knocks, beside member events.
pub const SHOWN_TO_INVITED: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    "m.room.tombstone",
];

/// The most bytes of it that are kept.
pub const MAX_SHOWN_BYTES: usize = 64 << 10;

/// Those events of what was given that say what the room is, or who `inviter` is in it, each as stripped state. None
/// where they are more than is kept.
#[must_use]
pub fn shown(given: &[Box<RawValue>], inviter: &UserId) -> Option<Vec<Box<RawValue>>> {
    let wanted = |event: &RawValue| {
        let [kind, key] = fields(event, ["type", "state_key"]);
        let (kind, key) = (read::<String>(kind), read::<String>(key));
        match (kind.as_deref(), key.as_deref()) {
            (Some("m.room.member"), Some(key)) => key == inviter.as_str(),
            (Some(kind), Some("")) => SHOWN_TO_INVITED.contains(&kind),
            _ => false,
        }
    };
    let events: Vec<Box<RawValue>> =
        given.iter().filter(|event| wanted(event)).filter_map(|event| as_stripped(event)).collect();
    let bytes: usize = events.iter().map(|event| event.get().len()).sum();
    (bytes <= MAX_SHOWN_BYTES).then_some(events)
}

/// What a client is shown of an event that another server gave as stripped state or as a whole event, if it has the
/// form.
#[must_use]
pub fn as_stripped(event: &RawValue) -> Option<Box<RawValue>> {
    let [content, sender, key, kind] = fields(event, ["content", "sender", "state_key", "type"]);
    // What is nested too deep, or no text, would cost a client more than this event.
    let content = content.filter(|content| parse_object(content.get().as_bytes()).is_ok())?;
    read::<OwnedUserId>(sender)?;
    read::<String>(key)?;
    read::<String>(kind)?;
    let [content, sender, key, kind] = [content, sender?, key?, kind?].map(RawValue::get);
    let text = format!(
        "{{\"content\":{content},\"sender\":{sender},\"state_key\":{key},\"type\":{kind}}}"
    );
    RawValue::from_string(text).ok()
}

fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}
