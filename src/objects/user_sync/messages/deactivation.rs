//! What is asked when an account is given up?

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Deactivates the account for good: ends all sessions, and has the alarm see to the rest ([`DueDeparture`]).
#[derive(Debug, Serialize, Deserialize)]
pub struct Deactivate {
    /// Whether what the user said is to be hidden from who joins a room later.
    pub erase: bool,
}
message!(UserSyncClass, Deactivate => (), Refusal);

/// What is left to do of a deactivation, if something is due now? Counts the attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueDeparture {}
message!(UserSyncClass, DueDeparture => Departure, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Departure {
    /// Whether there is something to do now.
    #[serde(default)]
    pub due: bool,
    /// Every room that the user knows, and whether they are in it, or wait to be.
    pub rooms: Vec<(OwnedRoomId, bool)>,
    pub erase: bool,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// All that was due of a deactivation is done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Departed {}
message!(UserSyncClass, Departed => (), Refusal);
