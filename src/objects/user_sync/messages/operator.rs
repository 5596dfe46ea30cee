//! What do operators ask of a user that the user's clients do not?

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// What is the user in each room that they know?
#[derive(Debug, Serialize, Deserialize)]
pub struct Memberships {}
message!(UserSyncClass, Memberships => Vec<(OwnedRoomId, Membership)>, Refusal);

/// All that the user's clients have stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct AllAccountData {}
message!(UserSyncClass, AllAccountData => Vec<Item>, Refusal);

/// One item of account data.
#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    /// `None`: it is of no room.
    pub room_id: Option<OwnedRoomId>,
    pub event_type: String,
    pub content: Box<RawValue>,
}

/// How often the user may do something, in the place of what is usual; `None`: as is usual. It takes effect at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct OverrideRateLimit {
    pub limit: Option<RateLimit>,
}
message!(UserSyncClass, OverrideRateLimit => (), Refusal);

/// Which rate limit was set for the user, if one was?
#[derive(Debug, Serialize, Deserialize)]
pub struct RateLimitOf {}
message!(UserSyncClass, RateLimitOf => Option<RateLimit>, Refusal);

/// How often events may be sent. With 0 events per second nothing of the user is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    pub messages_per_second: u32,
    pub burst_count: u32,
}
