//! What does an event say of another?
//! ([relationships](https://spec.matrix.org/v1.19/client-server-api/#relationships-between-events))

use serde_json::value::RawValue;

use super::fields;

/// Annotates another event, as a reaction does.
pub const ANNOTATION: &str = "m.annotation";
/// Belongs to the thread that another event began.
pub const THREAD: &str = "m.thread";
/// What receipts call the thread of events that are in no other.
pub const MAIN_THREAD: &str = "main";
/// Is the newer form of another event.
pub const REPLACEMENT: &str = "m.replace";
/// Refers to another event, as a vote refers to its poll.
pub const REFERENCE: &str = "m.reference";

/// What an event says of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// How the two relate.
    pub rel_type: String,
    /// The other event, as it is named.
    pub event_id: String,
    /// What an annotation consists of.
    pub key: Option<String>,
}

impl Relation {
    /// The relation that a content holds. A reply alone is none.
    #[must_use]
    pub fn of(content: &RawValue) -> Option<Self> {
        let [relates_to] = fields(content, ["m.relates_to"]);
        let [rel_type, event_id, key] = fields(relates_to?, ["rel_type", "event_id", "key"]);
        Some(Self { rel_type: text(rel_type)?, event_id: text(event_id)?, key: text(key) })
    }
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}
