//! What can be stored for a user, and read again?

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Hides a room the user has left, until they are in it again or invited to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Forget {
    pub room_id: OwnedRoomId,
}
message!(UserSyncClass, Forget => (), Refusal);

/// Has the user forgotten this room?
#[derive(Debug, Serialize, Deserialize)]
pub struct Forgotten {
    pub room_id: OwnedRoomId,
}
message!(UserSyncClass, Forgotten => bool, Refusal);

/// Sets one item of account data, global or of a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetAccountData {
    pub room_id: Option<OwnedRoomId>,
    pub event_type: String,
    pub content: Box<RawValue>,
}
message!(UserSyncClass, SetAccountData => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct AccountData {
    pub room_id: Option<OwnedRoomId>,
    pub event_type: String,
}
message!(UserSyncClass, AccountData => Box<RawValue>, Refusal);

/// Puts a tag on a room, with what the client says of it; `None` takes it away.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeTag {
    pub room_id: OwnedRoomId,
    pub tag: String,
    pub info: Option<Box<RawValue>>,
}
message!(UserSyncClass, ChangeTag => (), Refusal);

/// Stores a filter; the same filter keeps its ID.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetFilter {
    pub filter: Box<RawValue>,
}
message!(UserSyncClass, SetFilter => String, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Filter {
    pub filter_id: String,
}
message!(UserSyncClass, Filter => Box<RawValue>, Refusal);
