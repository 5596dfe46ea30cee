//! What is asked of a user's object for end-to-end encryption?

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Refusal, StreamPosition};
use crate::objects::{
    message::message,
    room::messages::Position,
    user_keys::messages::{Born, KeyCounts},
    user_sync::UserSyncClass,
};

/// The devices that are gone and whose keys have yet to be dropped.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovedDevices {}
message!(UserSyncClass, RemovedDevices => Vec<Born>, Refusal);

/// The keys of these devices are dropped.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeysDropped {
    pub devices: Vec<Born>,
}
message!(UserSyncClass, KeysDropped => (), Refusal);

/// What devices have left of one-time keys. Idempotent: of two, the newer counts.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteKeyCounts {
    pub counts: Vec<(String, KeyCounts)>,
}
message!(UserSyncClass, NoteKeyCounts => (), Refusal);

/// Messages for devices of the user. Those that came with the same ID today or yesterday have no effect.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deposit {
    pub id: String,
    pub sender: OwnedUserId,
    pub kind: String,
    /// The content for each device; `*` is every device that is not named.
    pub messages: BTreeMap<String, Box<RawValue>>,
}
message!(UserSyncClass, Deposit => (), Refusal);

/// The devices or keys of these users changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct DevicesChanged {
    pub users: Vec<OwnedUserId>,
}
message!(UserSyncClass, DevicesChanged => (), Refusal);

/// In a range of a room, users came or went. Idempotent by room position.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shares {
    pub room_id: OwnedRoomId,
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
}
message!(UserSyncClass, Shares => (), Refusal);

/// What changed between two positions of the user's stream that concerns the devices they know?
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangesBetween {
    /// Exclusive.
    pub from: StreamPosition,
    /// Inclusive.
    pub to: StreamPosition,
}
message!(UserSyncClass, ChangesBetween => Changes, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Changes {
    /// See [`Pulled::shares`].
    #[serde(default)]
    pub shares: Vec<(OwnedRoomId, Position, Position)>,
    /// Whose devices changed after the first position; some may have changed after the second one only.
    #[serde(default)]
    pub devices_changed: BTreeSet<OwnedUserId>,
}
