//! What is a user told, and what does a device ask for?

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::{PresencePoll, PulledPresence, Refusal, StreamPosition};
use crate::objects::{
    message::message,
    room::messages::{Position, UserNews},
    user_keys::messages::KeyCounts,
    user_sync::UserSyncClass,
};

/// A room has something new for the user. Idempotent by room position.
#[derive(Debug, Serialize, Deserialize)]
pub struct News {
    pub room_id: OwnedRoomId,
    pub news: UserNews,
}
message!(UserSyncClass, News => (), Refusal);

/// May the user be invited to this room? By their own rules, and where another server asks, by how many invites they
/// have yet to answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct MayInvite {
    pub room_id: OwnedRoomId,
    /// Who invites; `None` where a Worker of an earlier deployment asks.
    #[serde(default)]
    pub inviter: Option<OwnedUserId>,
}
message!(UserSyncClass, MayInvite => (), Refusal);

/// Who types in a room now. Idempotent: the newest replaces what was there.
#[derive(Debug, Serialize, Deserialize)]
pub struct TypingNews {
    pub room_id: OwnedRoomId,
    pub typing: Vec<OwnedUserId>,
}
message!(UserSyncClass, TypingNews => (), Refusal);

/// What is new for a device since a token. Held (by `World::wait`) while there is nothing and `hold` is set.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pull {
    pub session: String,
    pub since: Option<StreamPosition>,
    pub hold: bool,
    /// Also rooms the user has left, in an initial sync (filter `include_leave`).
    pub include_leave: bool,
    /// Also joined rooms without news.
    pub full_state: bool,
    /// Up to which position the device has got its messages, if it is not `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_since: Option<StreamPosition>,
    /// What the poll says of the user's presence and asks of that of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresencePoll>,
    /// Whether this goes on with a request for which was asked before: what its poll says of the user was said then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
}
message!(UserSyncClass, Pull => Pulled, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Pulled {
    pub device_id: String,
    /// The next token.
    pub next: StreamPosition,
    pub rooms: Vec<RoomNews>,
    /// Global account data changed since the token: (type, content).
    pub account_data: Vec<(String, Box<RawValue>)>,
    /// Whom the user ignores.
    #[serde(default)]
    pub ignored: BTreeSet<OwnedUserId>,
    /// Rooms in which users came or went since the token, with the range of positions: exclusive, inclusive.
    #[serde(default)]
    pub shares: Vec<(OwnedRoomId, Position, Position)>,
    /// Messages for the device.
    #[serde(default)]
    pub messages: Vec<Box<RawValue>>,
    /// Up to which position they are, if there are more.
    #[serde(default)]
    pub messages_upto: Option<StreamPosition>,
    /// Whose devices changed since the token.
    #[serde(default)]
    pub devices_changed: BTreeSet<OwnedUserId>,
    /// What the device has left of one-time keys.
    #[serde(default)]
    pub key_counts: KeyCounts,
    /// What there is of presence, if the poll asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PulledPresence>,
}

/// What changed in one room, in one pull.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomNews {
    pub room_id: OwnedRoomId,
    /// `join`, `invite`, `knock`, `leave` or `ban`: the user's membership at `to`.
    pub membership: Membership,
    /// Room positions: `from` exclusive (0 for an initial sync), `to` inclusive. Equal: nothing new in the timeline.
    pub from: Position,
    pub to: Position,
    /// The stripped state of an invite or knock, or the event that ended it; `None` where those of all rooms were too
    /// much to load.
    pub stripped: Option<Box<RawValue>>,
    /// Account data of the room changed since the token.
    pub account_data: Vec<(String, Box<RawValue>)>,
    /// Who types, if that changed since the token.
    pub typing: Option<Vec<OwnedUserId>>,
    /// Whether the user ignores who sent the invite, or wants none such: nothing of it is shown.
    #[serde(default)]
    pub hidden: bool,
    /// Of what the user is notified and has not read it, in a joined room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<RoomUnread>,
}

/// What is unread in a room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RoomUnread {
    /// By thread: its root, or `main`.
    pub threads: BTreeMap<String, UnreadCounts>,
    /// Whether that changed since the token.
    pub changed: bool,
}

/// How much is unread.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct UnreadCounts {
    pub notifications: u64,
    /// Those among them that are highlighted.
    pub highlights: u64,
}

impl RoomNews {
    /// A range of a room without anything else yet.
    #[must_use]
    pub fn of(room_id: OwnedRoomId, membership: Membership, from: Position, to: Position) -> Self {
        let (stripped, account_data, typing) = (None, Vec::new(), None);
        let (hidden, unread) = (false, None);
        Self { room_id, membership, from, to, stripped, account_data, typing, hidden, unread }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct JoinedRooms {}
message!(UserSyncClass, JoinedRooms => Vec<OwnedRoomId>, Refusal);

/// The rooms the user may read: those they are joined to, and those they left and did not forget.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadableRooms {}
message!(UserSyncClass, ReadableRooms => ReadableRoomsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ReadableRoomsReply {
    pub rooms: Vec<OwnedRoomId>,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
}

/// Up to which position of a room had the user been told at this position of their stream? `NotFound` if they knew
/// nothing of the room.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomPosition {
    pub room_id: OwnedRoomId,
    pub at: StreamPosition,
}
message!(UserSyncClass, RoomPosition => Position, Refusal);
