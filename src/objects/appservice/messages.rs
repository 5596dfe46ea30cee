//! What can the object of an application service be asked?

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::objects::{
    appservice::AppserviceClass,
    message::{Never, message},
    room::messages::Position,
};

/// The most events of a transaction.
pub const MAX_EVENTS: usize = 100;
/// The most EDUs of a transaction.
pub const MAX_EDUS: usize = 100;
/// With so many bytes a transaction takes no more. No event, and no EDU, has as many.
pub const MAX_BYTES: usize = 512 << 10;

/// The service is owed what happened in a room. Idempotent: what was owed up to a position is not owed again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Owe {
    pub room_id: OwnedRoomId,
    /// All of the room up to here is in this message, or was in one before, or does not concern the service.
    pub to: Position,
    /// Oldest first.
    pub ranges: Vec<Range>,
    /// What has no place in the timeline, oldest first.
    pub bodies: Vec<Body>,
}
message!(AppserviceClass, Owe => (), Never);

/// A part of a room's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
    /// Whether each event is owed; if not, those that a user of the service sent, or is the target of.
    pub whole: bool,
}

/// An event or EDU as the service gets it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Body {
    /// Where in the room it is new.
    pub pos: Position,
    pub json: Box<RawValue>,
    /// For an EDU: a newer one of this key takes its place. Without one it is an event.
    #[serde(default)]
    pub key: Option<String>,
}

/// Asks whether the service is owed what happened in a room up to a position.
#[derive(Debug, Serialize, Deserialize)]
pub struct IsOwed {
    pub room_id: OwnedRoomId,
    pub before: Position,
}
message!(AppserviceClass, IsOwed => bool, Never);

/// The service is owed an EDU that is stale after a while.
#[derive(Debug, Serialize, Deserialize)]
pub struct OweEdu {
    /// A newer one of this key takes its place.
    pub key: String,
    pub edu: Box<RawValue>,
    /// After this time (ms) no new transaction has it.
    pub until: u64,
}
message!(AppserviceClass, OweEdu => (), Never);

/// Asks for the next transaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct NextTransaction {
    /// Rooms that do not answer: others need not wait for them.
    #[serde(default)]
    pub without: Vec<OwnedRoomId>,
}
message!(AppserviceClass, NextTransaction => Next, Never);

/// At most one of the first two is there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Next {
    /// The transaction that is on its way: it is sent (again).
    pub stored: Option<Transaction>,
    /// What the next one is made of.
    pub parts: Option<Parts>,
    /// When to come again (ms), where nothing is due now.
    pub next: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Transaction {
    /// Greater than that of any before.
    pub id: u64,
    /// The body of the request, byte for byte.
    pub body: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Parts {
    /// The ID that the transaction is to have.
    pub id: u64,
    pub rows: Vec<Row>,
    pub edus: Vec<(i64, Box<RawValue>)>,
}

/// A range of a room, or an event without a place in one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub seq: i64,
    pub room_id: OwnedRoomId,
    pub range: Range,
    pub event: Option<Box<RawValue>>,
}

/// The next transaction was made. Answers whether it is the one to be sent; if not, something changed meanwhile, and the
/// next one is to be asked for again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Built {
    pub id: u64,
    /// None where nothing in what was looked at is for the service.
    pub body: Option<String>,
    /// The rows that it has, each up to which position.
    pub rows: Vec<(i64, Position)>,
    pub edus: Vec<i64>,
}
message!(AppserviceClass, Built => bool, Never);

/// The service took the transaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    pub id: u64,
}
message!(AppserviceClass, Sent => (), Never);

/// The service did not take a transaction; the answer is when to try again (ms).
#[derive(Debug, Serialize, Deserialize)]
pub struct Failed {
    pub error: String,
}
message!(AppserviceClass, Failed => u64, Never);

/// The service is up: its back-off ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retry {}
message!(AppserviceClass, Retry => (), Never);

/// Asks for what an operator wants to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Backlog {}
message!(AppserviceClass, Backlog => BacklogReply, Never);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BacklogReply {
    /// Ranges of rooms, and events without a place in one, that no transaction has yet.
    pub rows: u64,
    pub edus: u64,
    /// The transaction that is on its way.
    pub transaction: Option<u64>,
    /// Since when the oldest of it waits (ms).
    pub since: Option<u64>,
    /// How many attempts in a row have failed.
    pub attempts: u32,
    /// When it is tried again (ms), if the last attempt failed.
    pub retry_at: Option<u64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Drops all that the service is owed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {}
message!(AppserviceClass, Purge => (), Never);
