//! What can a user's object be asked?
//!
//! Messages are data between deployments: fields are added with a default, never renamed.

mod deactivation;
mod dehydrated_device;
mod delayed_events;
mod encryption;
mod moderation;
mod notice_room;
mod operator;
mod presence;
mod push_rules;
mod pushers;
mod sessions;
mod sliding;
mod stored;
mod stream;
mod subscriptions;

pub use self::{
    deactivation::*, dehydrated_device::*, delayed_events::*, encryption::*, moderation::*,
    notice_room::*, operator::*, presence::*, push_rules::*, pushers::*, sessions::*, sliding::*,
    stored::*, stream::*, subscriptions::*,
};

use serde::{Deserialize, Serialize};

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
    /// The user does not want to be invited by who invites them.
    #[error("the user does not want this invite")]
    InviteBlocked,
    /// The connection is not known, or not up to there: the client has to begin anew.
    #[error("unknown position of the connection")]
    UnknownPos,
    /// An operator has locked the account.
    #[error("this account has been locked")]
    Locked,
    /// An operator has suspended the account.
    #[error("this account has been suspended")]
    Suspended,
    /// The user has no device of this name.
    #[error("unknown device")]
    UnknownDevice,
}
