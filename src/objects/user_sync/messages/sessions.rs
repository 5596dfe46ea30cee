//! What can be asked of a user's sessions and devices?

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

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
    /// Searching in all rooms.
    Search,
    /// Having a page looked at.
    Preview,
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

/// Checks that an application service may make this request as the user now. Whoever was only registered comes to be.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuthoriseAs {
    /// The device that the service says it is; none: the request is of no device.
    pub device_id: Option<String>,
    pub cost: Cost,
    /// The room that the request reads, if it reads one.
    pub reads: Option<OwnedRoomId>,
}
message!(UserSyncClass, AuthoriseAs => Authorised, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Authorised {
    /// Empty if the request is of no device.
    pub device_id: String,
    /// Which device of its name it is: names are used again.
    #[serde(default)]
    pub born: i64,
    /// Whether the user has forgotten the room that the request reads.
    #[serde(default)]
    pub forgotten: bool,
    /// Whom the user ignores; empty if the request reads no room.
    #[serde(default)]
    pub ignored: BTreeSet<OwnedUserId>,
    /// Whether an operator has suspended the account: then it may not do everything.
    #[serde(default)]
    pub suspended: bool,
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

/// Makes a device on which nobody logs in, for an application service; answers whether there was none of this name.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakeDevice {
    pub device_id: String,
    pub display_name: Option<String>,
}
message!(UserSyncClass, MakeDevice => bool, Refusal);

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
