//! What can be asked of the keys of devices?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{message::message, user_keys::UserKeysClass};

/// A device of a local user: its name, and which device of this name it is, since names are used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Born {
    pub device: String,
    pub born: i64,
}

/// Publishes keys of a device. One-time and fallback keys are named `<algorithm>:<id>`.
#[derive(Debug, Serialize, Deserialize)]
pub struct UploadKeys {
    #[serde(flatten)]
    pub of: Born,
    pub display_name: Option<String>,
    pub device_keys: Option<Box<RawValue>>,
    pub one_time_keys: BTreeMap<String, Box<RawValue>>,
    pub fallback_keys: BTreeMap<String, Box<RawValue>>,
}
message!(UserKeysClass, UploadKeys => Uploaded, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Uploaded {
    pub counts: KeyCounts,
    /// Whether something changed of which others have to be told, or the user's own object.
    pub changed: bool,
}

/// What a device has left of one-time keys, and of which algorithms its fallback key was not used yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// Of two, the one with the higher version is newer.
    pub version: i64,
    pub one_time_keys: BTreeMap<String, u64>,
    pub unused_fallback_keys: Vec<String>,
}

/// Names a device; one without keys is left alone. Answers whether the list of devices changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct NameDevice {
    pub device: String,
    pub display_name: String,
}
message!(UserKeysClass, NameDevice => bool, Refusal);

/// Removes the keys of devices that are gone. A device that has the same name and is younger is left alone. Answers
/// whether the list of devices changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropDevices {
    pub devices: Vec<Born>,
}
message!(UserKeysClass, DropDevices => bool, Refusal);

/// Asks for the keys of these devices, or of all where none is named, and for the cross-signing keys.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueryKeys {
    pub devices: Vec<String>,
    /// Whether the user asks: nobody else is shown the user-signing key.
    pub own: bool,
}
message!(UserKeysClass, QueryKeys => UserKeysShown, Refusal);

/// The keys of a user, each with the signatures that the user made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UserKeysShown {
    pub devices: BTreeMap<String, DeviceShown>,
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
    pub user_signing_key: Option<Box<RawValue>>,
    /// The last change of a device.
    #[serde(default)]
    pub stream_id: i64,
    /// The version of a local user's list: of two copies of this, the one with the higher version is newer.
    #[serde(default)]
    pub version: Option<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceShown {
    pub keys: Box<RawValue>,
    pub display_name: Option<String>,
}

/// Claims a one-time key of each of these devices: (device, algorithm). Where there is none left, the fallback key is
/// given, and stays.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClaimKeys {
    pub wanted: Vec<(String, String)>,
}
message!(UserKeysClass, ClaimKeys => Vec<Claimed>, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed {
    pub device: String,
    /// `<algorithm>:<id>`.
    pub key_id: String,
    pub key: Box<RawValue>,
}
