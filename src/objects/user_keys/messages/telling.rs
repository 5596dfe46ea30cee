//! What do others have to be told of a user's keys?

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{KeyCounts, Refusal};
use crate::objects::{message::message, user_keys::UserKeysClass};

/// When the alarm tells what a request has not told (ms).
pub const MAKES_SURE: u64 = 5_000;
/// The longest time until it tries again (ms).
const LATEST: u64 = 3_600_000;

/// When to tell again what could not be told since then (ms): the longer it goes on, the later.
#[must_use]
pub fn again(since: u64, now: u64) -> u64 {
    now + now.saturating_sub(since).clamp(MAKES_SURE, LATEST)
}

/// What others have not been told yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct Untold {}
message!(UserKeysClass, Untold => UntoldReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct UntoldReply {
    /// Everything up to this version of the list is in this answer.
    pub version: i64,
    /// The devices that changed, oldest change first.
    pub devices: Vec<DeviceChange>,
    /// The master and the self-signing key, if one of them or of their signatures changed.
    pub signing: Option<SigningChange>,
    /// The users whose master key this user has signed: only the user is told.
    pub signed: Vec<OwnedUserId>,
    /// The devices of which the one-time keys changed.
    pub counts: Vec<(String, KeyCounts)>,
    /// Whether D1's copy is older than this version.
    #[serde(default)]
    pub uncopied: bool,
    /// The servers that may hold the list, whether or not they are known to share a room with the user.
    #[serde(default)]
    pub holders: Vec<OwnedServerName>,
    /// Since when somebody has to be told, about (ms).
    #[serde(default)]
    pub since: Option<u64>,
}

impl UntoldReply {
    /// Whether nobody has to be told of anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.changed() && !self.uncopied && self.signed.is_empty() && self.counts.is_empty()
    }

    /// Whether those have to be told who share a room with the user.
    #[must_use]
    pub fn changed(&self) -> bool {
        !self.devices.is_empty() || self.signing.is_some()
    }
}

/// A device, as other servers are told of it
/// ([device list updates](https://spec.matrix.org/v1.19/server-server-api/#device-management)).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceChange {
    pub device: String,
    pub stream_id: i64,
    /// The change that other servers were told of before; `None` for the first.
    pub prev_id: Option<i64>,
    /// `None`: the device was removed.
    pub keys: Option<Box<RawValue>>,
    #[serde(default)]
    pub display_name: Option<String>,
}

impl DeviceChange {
    /// The change with the name of the device, or without.
    #[must_use]
    pub fn named(self, named: bool) -> Self {
        Self { display_name: self.display_name.filter(|_| named), ..self }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SigningChange {
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
}

/// Another server is about to be given the whole list, and may hold it. Answers whether that is noted: it is not where
/// nothing was ever stored of the user, unless the user is known to be there.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteHolder {
    pub server: OwnedServerName,
    pub is_there: bool,
}
message!(UserKeysClass, NoteHolder => bool, Refusal);

/// Everything was told up to this version of the list, and these counts. Where D1 has no copy of that version, it does not
/// count as told: who was told may have asked for it, and was shown an older one.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListTold {
    pub version: i64,
    /// The last change of a device that other servers were told of now.
    pub sent: Option<i64>,
    /// The device and the version of its counts.
    pub counts: Vec<(String, i64)>,
    /// D1 has a copy of this version of the list, or of a later one; 0: nothing was copied.
    #[serde(default)]
    pub copied: i64,
}
message!(UserKeysClass, ListTold => (), Refusal);
