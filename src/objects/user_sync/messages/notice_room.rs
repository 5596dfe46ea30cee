//! In which room does the server write to the user?

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// In which room does a user of the server's own write to this one? `None` if in none so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoticeRoom {
    pub sender: OwnedUserId,
    /// The room that is noted if there is none yet.
    pub made: Option<OwnedRoomId>,
    /// The room in whose place it is noted: the sender is in that one no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<OwnedRoomId>,
}
message!(UserSyncClass, NoticeRoom => Option<OwnedRoomId>, Refusal);
