//! What can a user's object be asked?
//!
//! Messages are data between deployments: fields are added with a default, never renamed.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use crate::objects::{
    message::message,
    room::messages::{Position, UserNews},
    user_sync::UserSyncClass,
};

/// A place in the user's own stream; the number in a sync token `s<number>`.
pub type StreamPosition = i64;

/// Why a user's object does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The session ended, or never was.
    #[error("unknown or ended session")]
    NoSession,
    #[error("not found")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Forbidden(String),
    /// Try again after so many milliseconds.
    #[error("too many requests")]
    Limited(u64),
    #[error("this account was deactivated")]
    Deactivated,
    /// The session has to be refreshed.
    #[error("expired session")]
    Expired,
}

/// Opens a session on a device; a new device is created.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    pub user: OwnedUserId,
    /// `None`: a new device with a random ID.
    pub device_id: Option<String>,
    pub display_name: Option<String>,
    /// A random name of the session, part of its token.
    pub session: String,
    /// How the session can be refreshed; `None`: it never expires.
    #[serde(default)]
    pub refresh: Option<Refreshable>,
}
message!(UserSyncClass, Login => LoggedIn, Refusal);

/// A session that expires, and can be refreshed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refreshable {
    /// A random name, part of the refresh token.
    pub refresh: String,
    /// When the session expires (ms).
    pub expires_at: u64,
}

/// Opens a new session in the place of one that expires. The old one ends with the first use of the new one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refresh {
    /// The name in the refresh token.
    pub refresh: String,
    /// The new session, and how it can be refreshed.
    pub session: String,
    pub next: Refreshable,
}
message!(UserSyncClass, Refresh => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedIn {
    pub device_id: String,
}

/// What a request costs against the user's rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cost {
    /// Reading, or anything that is limited elsewhere.
    Free,
    /// Sending an event.
    Event,
    /// Joining a room, inviting somebody, creating a room.
    Membership,
}

/// Notes a token with which another device may log in once.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewLoginToken {
    /// The session that asks for it, if it must still be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The random name in the token.
    pub token: String,
    /// When the token expires (ms).
    pub expires_at: u64,
}
message!(UserSyncClass, NewLoginToken => (), Refusal);

/// Uses up a login token; refused if it was used, or has expired.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpendLoginToken {
    pub token: String,
}
message!(UserSyncClass, SpendLoginToken => (), Refusal);

/// Checks that a session is alive and may make this request now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Authorise {
    pub session: String,
    pub cost: Cost,
    /// The room that the request reads, if it reads one.
    #[serde(default)]
    pub reads: Option<OwnedRoomId>,
}
message!(UserSyncClass, Authorise => Authorised, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Authorised {
    pub device_id: String,
    /// Whether the user has forgotten the room that the request reads.
    #[serde(default)]
    pub forgotten: bool,
    /// Whom the user ignores; empty if the request reads no room.
    #[serde(default)]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// May a caller try a password of this account now? Asked before the password is hashed; creates nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptLogin {
    /// Whether a live session of the account tries it: strangers cannot use up the attempts of such a proof.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proof: bool,
}
message!(UserSyncClass, AttemptLogin => (), Refusal);

/// Ends this session and its device, or all of them; waiting syncs end at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Logout {
    pub session: String,
    pub all: bool,
}
message!(UserSyncClass, Logout => (), Refusal);

/// Ends the sessions of all devices but one, and removes those devices; waiting syncs end at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogoutOthers {
    pub session: String,
    /// The device that stays, though the session may have been refreshed meanwhile. Absent in messages of older
    /// builds: the device of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}
message!(UserSyncClass, LogoutOthers => (), Refusal);

/// Removes devices, and ends their sessions. Devices that are not there are removed already.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveDevices {
    pub device_ids: Vec<String>,
}
message!(UserSyncClass, RemoveDevices => (), Refusal);

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

/// Names a device.
#[derive(Debug, Serialize, Deserialize)]
pub struct RenameDevice {
    pub device_id: String,
    pub display_name: String,
}
message!(UserSyncClass, RenameDevice => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Devices {}
message!(UserSyncClass, Devices => Vec<Device>, Refusal);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    pub device_id: String,
    pub display_name: Option<String>,
    pub last_seen_ts: Option<u64>,
}

/// A room has something new for the user. Idempotent by room position.
#[derive(Debug, Serialize, Deserialize)]
pub struct News {
    pub room_id: OwnedRoomId,
    pub news: UserNews,
}
message!(UserSyncClass, News => (), Refusal);

/// May another server invite the user to this room, or do they have too many unanswered invites already?
#[derive(Debug, Serialize, Deserialize)]
pub struct MayInvite {
    pub room_id: OwnedRoomId,
}
message!(UserSyncClass, MayInvite => (), Refusal);

/// Who types in a room now. Idempotent: the newest replaces what was there.
#[derive(Debug, Serialize, Deserialize)]
pub struct TypingNews {
    pub room_id: OwnedRoomId,
    pub typing: Vec<OwnedUserId>,
}
message!(UserSyncClass, TypingNews => (), Refusal);

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
}

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
    /// The stripped state of an invite or knock; `None` where those of all rooms were too much to load.
    pub stripped: Option<Box<RawValue>>,
    /// Account data of the room changed since the token.
    pub account_data: Vec<(String, Box<RawValue>)>,
    /// Who types, if that changed since the token.
    pub typing: Option<Vec<OwnedUserId>>,
    /// Whether the invite comes from somebody the user ignores: nothing of it is shown.
    #[serde(default)]
    pub hidden: bool,
}

impl RoomNews {
    /// A range of a room without anything else yet.
    #[must_use]
    pub fn of(room_id: OwnedRoomId, membership: Membership, from: Position, to: Position) -> Self {
        let (stripped, account_data, typing) = (None, Vec::new(), None);
        Self { room_id, membership, from, to, stripped, account_data, typing, hidden: false }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct JoinedRooms {}
message!(UserSyncClass, JoinedRooms => Vec<OwnedRoomId>, Refusal);

/// Up to which position of a room had the user been told at this position of their stream? `NotFound` if they knew
/// nothing of the room.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomPosition {
    pub room_id: OwnedRoomId,
    pub at: StreamPosition,
}
message!(UserSyncClass, RoomPosition => Position, Refusal);

/// Hides a room the user has left, until they are in it again or invited to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Forget {
    pub room_id: OwnedRoomId,
}
message!(UserSyncClass, Forget => (), Refusal);

/// Has the user forgotten this room? No Worker of this deployment asks; one of an earlier deployment may still.
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
