//! What does a room tell of events so that the push rules of its local users can judge them?

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Position, Refusal};
use crate::objects::{message::message, room::RoomClass};

/// Events that push rules judge, oldest first, and what the rules ask of the room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notifiable {
    pub events: Vec<NotifiableEvent>,
    /// How many users are joined.
    pub members: u64,
    /// The level that notifying the whole room needs.
    pub room_level: i64,
}

/// An event that push rules judge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotifiableEvent {
    pub pos: Position,
    pub event_id: OwnedEventId,
    /// In the format of the client-server API, without `unsigned`.
    pub event: Box<RawValue>,
    /// The root of the thread that the event is in; `None`: the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<OwnedEventId>,
    /// The sender's power level.
    pub level: i64,
    /// The event whose content this one has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacts: Option<OwnedEventId>,
}

/// How a joined user stands to the news.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notify {
    /// What came after this position is judged for the user.
    pub since: Position,
    /// The user's display name in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The user's receipts since then: the thread (`None`: every one), and up to where it is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<(Option<String>, Position)>,
}

/// What a push says of an event, for a user who may see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PushDetails {
    pub user: OwnedUserId,
    pub event_id: OwnedEventId,
}
message!(RoomClass, PushDetails => PushDetailsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct PushDetailsReply {
    /// In the format of the client-server API.
    pub event: Box<RawValue>,
    pub sender_display_name: Option<String>,
    pub room_name: Option<String>,
    pub room_alias: Option<String>,
}
