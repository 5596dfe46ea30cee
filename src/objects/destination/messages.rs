//! What can the object of a remote server be asked?

use ruma::{OwnedRoomId, OwnedServerName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::objects::{
    destination::DestinationClass,
    message::{Never, message},
    room::messages::Position,
};

/// The most PDUs of a transaction ([limits](https://spec.matrix.org/v1.19/server-server-api/#transactions)).
pub const MAX_PDUS: usize = 50;
/// The most EDUs of a transaction.
pub const MAX_EDUS: usize = 100;

/// The server is owed the events of a room in this range. Idempotent: ranges are merged.
#[derive(Debug, Serialize, Deserialize)]
pub struct Owe {
    pub room_id: OwnedRoomId,
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
}
message!(DestinationClass, Owe => (), Never);

/// Is the server owed something of a room from before a position?
#[derive(Debug, Serialize, Deserialize)]
pub struct IsOwed {
    pub room_id: OwnedRoomId,
    pub before: Position,
}
message!(DestinationClass, IsOwed => bool, Never);

/// The server is owed an EDU; a newer one with the same key replaces it.
#[derive(Debug, Serialize, Deserialize)]
pub struct OweEdu {
    /// For example the room, user and thread of a receipt.
    pub key: String,
    pub edu: Box<RawValue>,
    /// After this time (ms) the EDU is not worth sending, for example typing; `None`: it always is.
    pub until: Option<u64>,
    /// Whether it must not be lost: it is written down before this is answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
    /// Whether it may wait for the next transaction, a minute at most.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhurried: bool,
}
message!(DestinationClass, OweEdu => (), Never);

/// The server sent us something it signed: it is up, so its back-off ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heard {}
message!(DestinationClass, Heard => (), Never);

/// Asks for the next transaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct NextBatch {}
message!(DestinationClass, NextBatch => Batch, Never);

#[derive(Debug, Serialize, Deserialize)]
pub struct Batch {
    /// `None`: nothing is due now.
    pub server: Option<OwnedServerName>,
    /// Ranges of rooms: from (exclusive), to (inclusive).
    pub rooms: Vec<(OwnedRoomId, Position, Position)>,
    pub edus: Vec<(i64, Box<RawValue>)>,
    /// A transaction ID never used before.
    pub txn_id: String,
    /// When to look again, where nothing is due now.
    pub next: Option<u64>,
}

/// The server took a transaction: these ranges and EDUs are settled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivered {
    pub rooms: Vec<(OwnedRoomId, Position)>,
    pub edus: Vec<i64>,
}
message!(DestinationClass, Delivered => Option<u64>, Never);

/// A transaction failed; the answer is when to try again (ms).
#[derive(Debug, Serialize, Deserialize)]
pub struct Failed {
    /// When the attempt began (ms): if the server was not failing before, it has been failing since then.
    #[serde(default)]
    pub began: Option<u64>,
}
message!(DestinationClass, Failed => u64, Never);

/// How does it stand with the server?
#[derive(Debug, Serialize, Deserialize)]
pub struct State {}
message!(DestinationClass, State => StateReply, Never);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReply {
    /// Whether anything was ever owed to it.
    pub known: bool,
    /// Since when it has been failing (ms).
    pub failing_since: Option<u64>,
    /// When it is tried again (ms); 0 while it is not failing.
    pub retry_at: u64,
}

/// Ends the back-off of a server at once; answers whether there was one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reset {}
message!(DestinationClass, Reset => bool, Never);
