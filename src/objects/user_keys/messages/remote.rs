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

/// Somebody is about to ask the user's server for the list, until then (ms) at most. Answers when that begins (ms);
/// `None`: another one is at it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginAsk {
    pub until: u64,
}
message!(UserKeysClass, BeginAsk => Option<u64>, Refusal);

/// The server did not give the list: somebody else may ask.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndAsk {}
message!(UserKeysClass, EndAsk => (), Refusal);

/// Replaces the list that is held.
#[derive(Debug, Serialize, Deserialize)]
pub struct HoldList {
    pub stream_id: i64,
    /// When that server began to be asked (ms), as [`BeginAsk`] has answered.
    pub asked_at: u64,
    pub list: UserKeysShown,
}
message!(UserKeysClass, HoldList => (), Refusal);

/// Another server says that its user's devices or keys changed. Answers the number of the last change that our users were
/// not told of, if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteChange {
    pub change: Change,
}
message!(UserKeysClass, NoteChange => Option<i64>, Refusal);

/// What another server says of its user's devices and keys.
#[derive(Debug, Serialize, Deserialize)]
pub enum Change {
    Device(NoteDevice),
    Signing(NoteSigning),
    /// It cannot be read: the list has to be asked for again.
    Unread,
}

/// A device changed. A change that builds on one we were not told of, or a gap, has the whole list asked for again. As a
/// message by itself no Worker of this deployment sends it; one of an earlier deployment may still.
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

/// The cross-signing keys changed. A message by itself as [`NoteDevice`] is.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteSigning {
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
}
message!(UserKeysClass, NoteSigning => (), Refusal);

/// Our users were told of the changes up to this number.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangesTold {
    pub upto: i64,
}
message!(UserKeysClass, ChangesTold => (), Refusal);
