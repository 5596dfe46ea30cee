//! What is asked of a user's object for a dehydrated device?
//! ([MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814))

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Refusal, StreamPosition};
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Makes a device that nobody is logged in on, so that it has a name and an inbox before others see its keys. One that
/// is there stays. Refused if somebody is or was logged in on it.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddDevice {
    pub device_id: String,
    pub display_name: Option<String>,
}
message!(UserSyncClass, AddDevice => AddedDevice, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct AddedDevice {
    /// Which device of its name it is.
    pub born: i64,
    pub display_name: Option<String>,
}

/// Makes a device that was added the dehydrated one, of which there is one at most: every other one that nobody was
/// logged in on goes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Dehydrate {
    pub device_id: String,
    /// What a client needs to use the device (a JSON object).
    pub device_data: Box<RawValue>,
}
message!(UserSyncClass, Dehydrate => (), Refusal);

/// Removes a device that was added, unless it is the dehydrated one.
#[derive(Debug, Serialize, Deserialize)]
pub struct AbandonDevice {
    pub device_id: String,
}
message!(UserSyncClass, AbandonDevice => (), Refusal);

/// Which device is dehydrated? `NotFound` if none is.
#[derive(Debug, Serialize, Deserialize)]
pub struct DehydratedDevice {}
message!(UserSyncClass, DehydratedDevice => Dehydrated, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Dehydrated {
    pub device_id: String,
    pub device_data: Box<RawValue>,
}

/// Removes the dehydrated device; answers its ID. `NotFound` if there is none.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteDehydratedDevice {}
message!(UserSyncClass, DeleteDehydratedDevice => String, Refusal);

/// The next messages for the dehydrated device. They stay. Refused if this device is not the dehydrated one.
#[derive(Debug, Serialize, Deserialize)]
pub struct DehydratedMessages {
    pub device_id: String,
    /// Exclusive.
    pub after: StreamPosition,
}
message!(UserSyncClass, DehydratedMessages => MessageBatch, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct MessageBatch {
    pub messages: Vec<Box<RawValue>>,
    /// The position of the last one; that of the question if there is none.
    pub upto: StreamPosition,
    /// Whether there are more.
    pub more: bool,
}
