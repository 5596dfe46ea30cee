//! What can be asked of the pushers of a user, and what are they to send?

use ruma::{OwnedEventId, OwnedRoomId, push::Action};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Sets a pusher of a session; one of this app and key is replaced.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetPusher {
    pub session: String,
    pub app_id: String,
    pub pushkey: String,
    /// As clients are shown it.
    pub pusher: Box<RawValue>,
}
message!(UserSyncClass, SetPusher => (), Refusal);

/// Removes a pusher, if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovePusher {
    pub app_id: String,
    pub pushkey: String,
}
message!(UserSyncClass, RemovePusher => (), Refusal);

/// The pushers, as clients are shown them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pushers {}
message!(UserSyncClass, Pushers => Vec<Box<RawValue>>, Refusal);

/// What is to be sent now?
#[derive(Debug, Serialize, Deserialize)]
pub struct DuePushes {}
message!(UserSyncClass, DuePushes => DuePushesReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct DuePushesReply {
    pub pushes: Vec<Push>,
    /// When to ask again (ms).
    pub next: Option<u64>,
}

/// What one pusher is to send.
#[derive(Debug, Serialize, Deserialize)]
pub struct Push {
    pub app_id: String,
    pub pushkey: String,
    pub pusher: Box<RawValue>,
    /// When the pusher was set (s).
    pub set_ts: u64,
    /// Oldest first; none where only the count has changed.
    pub notices: Vec<PushNotice>,
    /// How much is unread in all rooms.
    pub unread: u64,
}

/// An event of which the user is notified.
#[derive(Debug, Serialize, Deserialize)]
pub struct PushNotice {
    /// Its place among all notices of the user.
    pub number: i64,
    pub room_id: OwnedRoomId,
    pub event_id: OwnedEventId,
    pub actions: Vec<Action>,
    /// Whether only the client can tell how urgent it is.
    pub encrypted: bool,
    /// Of an invite, the stripped state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripped: Option<Box<RawValue>>,
}

/// What became of a push. Idempotent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pushed {
    pub app_id: String,
    pub pushkey: String,
    /// The last notice that was sent.
    pub upto: Option<i64>,
    pub end: PushEnd,
}
message!(UserSyncClass, Pushed => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub enum PushEnd {
    /// All was sent, with this count.
    Sent { unread: u64 },
    /// What follows `upto` could not be sent.
    Failed,
    /// The gateway knows the key no more.
    Rejected,
}

/// Of what was the user notified? Newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Notices {
    /// Before this notice.
    pub before: Option<i64>,
    pub limit: u32,
    /// Only those that are highlighted.
    pub highlight: bool,
}
message!(UserSyncClass, Notices => NoticesReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct NoticesReply {
    pub notices: Vec<HeldNotice>,
    /// Whether there are more.
    pub more: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct HeldNotice {
    pub number: i64,
    pub room_id: OwnedRoomId,
    pub event_id: OwnedEventId,
    pub actions: Vec<Action>,
    /// When the event was judged (ms).
    pub ts: u64,
    pub read: bool,
}
