//! What does a device ask for over a sliding sync, and what is it told?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::{PresencePoll, Refusal, StreamPosition, Subscriptions, TellPresence, UnreadCounts};
use crate::objects::{
    message::message,
    room::messages::{Position, RequiredState, Traits},
    user_keys::messages::KeyCounts,
    user_sync::UserSyncClass,
};

/// What is new for a device over one of its connections. Held (by `World::wait`) while there is nothing and `hold` is
/// set.
#[derive(Debug, Serialize, Deserialize)]
pub struct Slide {
    pub session: String,
    /// How the device calls the connection.
    pub connection: String,
    /// What was sent over the connection, and up to where; `None` for a connection that begins.
    pub pos: Option<ConnectionPos>,
    /// The one that the client knows: it may ask from there again.
    pub kept: Option<ConnectionPos>,
    pub hold: bool,
    /// Whether the request goes on waiting if nothing of the answer is shown to the client. What may show nothing is
    /// noted as a draft then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_on: bool,
    pub lists: BTreeMap<String, ListWanted>,
    pub subscriptions: BTreeMap<OwnedRoomId, RoomWanted>,
    pub extensions: Extensions,
    /// Whether a client of this form is not told what is unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_counts: bool,
    /// Whether an earlier question of the same request has noted the poll.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// What the poll says of the user's presence; `None` where there is no presence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresencePoll>,
}
message!(UserSyncClass, Slide => Slid, Refusal);

/// Writes down what is sent by a draft, since something is answered; answers under which number: that of the draft, however
/// often this is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepSent {
    pub session: String,
    pub connection: String,
    /// The number with which the client came.
    pub kept: i64,
    /// That of the draft.
    pub id: i64,
}
message!(UserSyncClass, KeepSent => i64, Refusal);

/// A place in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionPos {
    /// What was sent by then.
    pub id: i64,
    /// The position in the user's stream.
    pub at: StreamPosition,
}

/// Which rooms are shown, and what of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListWanted {
    /// The places of the list, from 0 on, both ends inclusive; `None`: all.
    pub ranges: Option<Vec<(u64, u64)>>,
    pub filter: ListFilter,
    pub room: RoomWanted,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomWanted {
    /// The most events of a timeline.
    pub limit: u32,
    pub required: RequiredState,
}

/// Which rooms a list has. `None` asks for nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListFilter {
    pub is_dm: Option<bool>,
    pub is_encrypted: Option<bool>,
    pub is_invite: Option<bool>,
    /// The types; `None` among them is that of a room without one.
    pub room_types: Option<Vec<Option<String>>>,
    pub not_room_types: Vec<Option<String>>,
    pub tags: Option<BTreeSet<String>>,
    pub not_tags: BTreeSet<String>,
    /// The rooms of the spaces that are asked for.
    pub within: Option<BTreeSet<OwnedRoomId>>,
}

/// What is wanted beside rooms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extensions {
    pub to_device: Option<ToDeviceWanted>,
    pub e2ee: bool,
    pub account_data: Option<RoomsWanted>,
    pub receipts: Option<RoomsWanted>,
    pub typing: Option<RoomsWanted>,
    /// The most subscriptions to threads, if they are wanted.
    pub thread_subscriptions: Option<u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ToDeviceWanted {
    /// Up to where the device has got its messages.
    pub since: Option<StreamPosition>,
}

/// Of which rooms: of those of these lists, and these among those that are asked for by name. `None`: of all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomsWanted {
    pub lists: Option<BTreeSet<String>>,
    pub rooms: Option<BTreeSet<String>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Slid {
    pub device_id: String,
    /// Where the connection goes on.
    pub pos: Option<ConnectionPos>,
    /// Whether that is a draft: it is to be kept (`KeepSent`) if something is answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_draft: bool,
    /// Whether what was noted since `kept` is lost: this is what is new since then, to be answered whatever it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// How many rooms each list has.
    pub counts: BTreeMap<String, u64>,
    pub rooms: Vec<SlidRoom>,
    /// Rooms of which it has to be found out first what they are: nothing else is told then.
    pub unknown: Vec<OwnedRoomId>,
    pub account_data: Vec<(String, Box<RawValue>)>,
    pub account_data_of_rooms: BTreeMap<OwnedRoomId, Vec<(String, Box<RawValue>)>>,
    pub typing: BTreeMap<OwnedRoomId, Vec<OwnedUserId>>,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
    /// Rooms in which users came or went, with the range of positions: exclusive, inclusive.
    pub shares: Vec<(OwnedRoomId, Position, Position)>,
    pub devices_changed: BTreeSet<OwnedUserId>,
    pub messages: Vec<Box<RawValue>>,
    /// Up to where the messages are.
    pub messages_upto: StreamPosition,
    pub key_counts: KeyCounts,
    /// Subscriptions to threads that changed.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// The user's presence, where the poll changed it: others are to be told.
    #[serde(default)]
    pub tell: Option<TellPresence>,
}

/// What is new of a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlidRoom {
    pub room_id: OwnedRoomId,
    pub membership: Membership,
    /// The lists that show it.
    pub lists: Vec<String>,
    /// Whether the client is sent the room for the first time.
    pub initial: bool,
    /// Whether the user's membership changed.
    pub moved: bool,
    /// What is to be asked of the room; `None` where only something beside it is new.
    pub window: Option<SlidWindow>,
    /// The stripped state of an invite or knock; of one that ended before anybody here was in the room, the event that
    /// ended it.
    pub stripped: Option<Box<RawValue>>,
    pub unread: UnreadCounts,
    /// Whether what is unread changed.
    pub counted: bool,
    /// `direct`, where it is not what the client takes it for.
    pub is_dm: Option<bool>,
    /// Whether it is a direct message. Who is shown the room from the beginning is told so in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// When something last happened there (ms).
    pub active: u64,
}

/// What is to be asked of a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlidWindow {
    /// Room positions: `from` exclusive (0 for a room that is new to the client), `to` inclusive.
    pub from: Position,
    pub to: Position,
    /// What comes after it has just happened; `None`: what comes with the user's join.
    pub live_from: Option<Position>,
    pub limit: u32,
    pub expanded: bool,
    pub required: Vec<RequiredState>,
    pub required_before: Vec<RequiredState>,
    pub receipts_from: Option<Position>,
}

/// What rooms are that were told to the user before rooms said so.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteTraits {
    pub rooms: BTreeMap<OwnedRoomId, Traits>,
}
message!(UserSyncClass, NoteTraits => (), Refusal);
