//! What can be asked of the devices of another server's user?

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Refusal, UserKeysShown};
use crate::objects::{message::message, user_keys::UserKeysClass};

/// The list that is held of a user of another server, if it is good: complete, and taken at `shared_since` or later, so
/// that we have been told of every change.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeldList {
    /// Since when one of our users has shared a room with them without a break (ms).
    pub shared_since: u64,
}
message!(UserKeysClass, HeldList => Option<UserKeysShown>, Refusal);

/// Somebody is about to ask the user's server for the list, until then (ms) at most. `false`: another one is at it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginAsk {
    pub until: u64,
}
message!(UserKeysClass, BeginAsk => bool, Refusal);

/// The server did not give the list: somebody else may ask.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndAsk {}
message!(UserKeysClass, EndAsk => (), Refusal);

/// Replaces the list that is held.
#[derive(Debug, Serialize, Deserialize)]
pub struct HoldList {
    pub stream_id: i64,
    /// When the server was asked (ms).
    pub asked_at: u64,
    pub list: UserKeysShown,
}
message!(UserKeysClass, HoldList => (), Refusal);

/// Another server says that a device of its user changed. A change that builds on one we were not told of, or a gap, has
/// the whole list asked for again.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteDevice {
    pub device: String,
    pub stream_id: i64,
    pub prev_ids: Vec<i64>,
    /// `None`: removed, or not said.
    pub keys: Option<Box<RawValue>>,
    pub deleted: bool,
    pub display_name: Option<String>,
}
message!(UserKeysClass, NoteDevice => (), Refusal);

/// Another server says that the cross-signing keys of its user changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteSigning {
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
}
message!(UserKeysClass, NoteSigning => (), Refusal);
