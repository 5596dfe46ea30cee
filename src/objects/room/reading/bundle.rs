//! What does an event's `unsigned` say of what others say of it?
//! ([aggregations](https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events))

use ruma::OwnedEventId;
use serde::Serialize;
use serde_json::value::RawValue;

/// What is shown with an event, of what others say of it.
#[derive(Debug, Default, Serialize)]
pub struct Bundle {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Box<RawValue>>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    pub thread: Option<Thread>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
}

#[derive(Debug, Serialize)]
pub struct Thread {
    pub latest_event: Box<RawValue>,
    pub count: i64,
    pub current_user_participated: bool,
}

#[derive(Debug, Serialize)]
pub struct References {
    pub chunk: Vec<Reference>,
}

#[derive(Debug, Serialize)]
pub struct Reference {
    pub event_id: OwnedEventId,
}
