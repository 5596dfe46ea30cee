//! What can operators do to an account without ending it?

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Locks or suspends the account, or ends that; `None` leaves it as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moderate {
    pub locked: Option<bool>,
    pub suspended: Option<bool>,
}
message!(UserSyncClass, Moderate => (), Refusal);

/// Is the account locked, suspended or erased?
#[derive(Debug, Serialize, Deserialize)]
pub struct ModerationOf {}
message!(UserSyncClass, ModerationOf => Moderation, Refusal);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moderation {
    /// Nobody may use the account, though its sessions stay.
    pub locked: bool,
    /// The user may read, and take back what they did.
    pub suspended: bool,
    /// The account ended, and what the user said is hidden from who comes later.
    #[serde(default)]
    pub erased: bool,
}
