//! What can be asked of the events that a user has scheduled?
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140))

use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{
    message::message,
    room::messages::{self as room, Draft, Transaction},
    user_sync::UserSyncClass,
};

/// Schedules an event. A repeated transaction is answered with what it scheduled, whatever it says this time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Schedule {
    pub session: String,
    /// A new ID, of which the user is a part.
    pub delay_id: String,
    /// The path of a state event has none.
    pub transaction: Option<Transaction>,
    pub room_id: OwnedRoomId,
    /// Absent where the request cannot be read, or asks for too much: then only a repetition is answered.
    pub event: Option<Scheduled>,
}
message!(UserSyncClass, Schedule => ScheduleReply, Refusal);

/// What is to be sent, and so many milliseconds from now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scheduled {
    pub draft: Draft,
    pub delay: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ScheduleReply {
    pub delay_id: String,
}

/// Cancels a delayed event. Idempotent; not found once it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct CancelDelayed {
    pub delay_id: String,
}
message!(UserSyncClass, CancelDelayed => (), Refusal);

/// Has the delay of a delayed event begin anew; not found once it is over.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestartDelayed {
    pub delay_id: String,
}
message!(UserSyncClass, RestartDelayed => (), Refusal);

/// Takes a delayed event to send it now; `None`: it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct TakeDelayed {
    pub delay_id: String,
}
message!(UserSyncClass, TakeDelayed => Option<Taken>, Refusal);

/// Takes the next event that is due.
#[derive(Debug, Serialize, Deserialize)]
pub struct TakeDue {}
message!(UserSyncClass, TakeDue => TakeDueReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TakeDueReply {
    pub taken: Option<Taken>,
    /// When to ask again, where none is due now (ms).
    pub next: Option<u64>,
}

/// A delayed event that its taker is to send. It is given out again after a while, unless its end is noted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Taken {
    pub delay_id: String,
    /// The device that scheduled it.
    pub device: String,
    pub room_id: OwnedRoomId,
    pub draft: Draft,
}

/// Notes what became of a delayed event. Idempotent.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteDelayed {
    pub delay_id: String,
    pub end: DelayedEnd,
}
message!(UserSyncClass, NoteDelayed => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub enum DelayedEnd {
    Sent(OwnedEventId),
    /// It cannot be sent.
    Failed(Failure),
    /// It could not be sent before its time; it stays scheduled.
    Kept,
    /// Something was out of reach: it is tried again.
    Unreached,
}

/// Why an event was not sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Failure {
    /// The room refused it.
    Room(room::Refusal),
    /// Nobody may speak in the user's name.
    User(Refusal),
    /// Anything else, in words.
    Other(String),
}

/// The events that are scheduled, in the order in which they are due.
#[derive(Debug, Serialize, Deserialize)]
pub struct DelayedEvents {}
message!(UserSyncClass, DelayedEvents => Vec<DelayedEvent>, Refusal);

/// One event, scheduled or finalised.
#[derive(Debug, Serialize, Deserialize)]
pub struct OneDelayedEvent {
    pub delay_id: String,
}
message!(UserSyncClass, OneDelayedEvent => DelayedEvent, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct DelayedEvent {
    pub delay_id: String,
    pub room_id: OwnedRoomId,
    pub event_type: String,
    pub state_key: Option<String>,
    pub content: Box<RawValue>,
    /// (ms)
    pub delay: u64,
    /// When it was scheduled, or restarted last (ms).
    pub delayed_since: u64,
    /// When it was sent, failed or was cancelled (ms).
    pub finalised_ts: Option<u64>,
    pub event_id: Option<OwnedEventId>,
    pub failure: Option<Failure>,
}
