//! What can a room be asked?
//!
//! Every message is data between deployments: fields are added with a default, never renamed. A raw event crosses as
//! [`RawValue`], only once, with what was already checked of it.

mod directory;
mod events;
mod finding;
mod membership;
mod notifying;
mod operator;
mod reading;
mod relations;
mod services;
mod sliding;
mod telling;
mod upgrade;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

pub use self::{
    directory::*, events::*, finding::*, membership::*, notifying::*, operator::*, reading::*,
    relations::*, services::*, sliding::*, telling::*, upgrade::*,
};

/// A place in the room's one timeline. Live events step by [`super::STEP`].
pub type Position = i64;

/// Why a room does not do what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No such room here, or none the asker may know of.
    #[error("unknown room")]
    Absent,
    /// The room is known, the event (or state, or user) is not, or the asker may not see it.
    #[error("not found")]
    NotFound,
    /// The rules of the room, or the asker's rights, forbid it.
    #[error("{0}")]
    Forbidden(String),
    /// The change does not apply to the user's current membership: only a banned user can be unbanned, for example.
    #[error("{0}")]
    BadState(String),
    /// The event is larger than an event may be.
    #[error("{0}")]
    TooLarge(String),
    /// The request contradicts itself or the format of events.
    #[error("{0}")]
    Invalid(String),
    /// The asker does not support the room's version, which is this one.
    #[error("your server does not support the version of this room")]
    Incompatible(String),
    /// A join of this room is under way; its lease ends at this time (ms).
    #[error("a join of this room is under way")]
    Joining(u64),
    /// The room is live here: nothing needs to be fetched.
    #[error("this server is already in the room")]
    AlreadyLive,
    /// The join cites a membership of the user that has ended; the resident server has not heard of the end yet.
    #[error("the server through which to join has not heard yet that you left")]
    Behind,
    /// A local user annotated the same event in the same way before.
    #[error("you sent this annotation already")]
    DuplicateAnnotation,
    /// The event may not relate to the one it names.
    #[error("{0}")]
    Unrelatable(String),
    /// This server cannot tell whether the user may make the restricted join; another server may be able to.
    #[error("{0}")]
    UnableToAuthorise(String),
    /// The restricted join may be authorised, but by no user of this server.
    #[error("{0}")]
    UnableToGrant(String),
    /// The event is not of the kind that the request takes.
    #[error("{0}")]
    Unfit(String),
}

impl Refusal {
    /// An operator lets nobody in.
    #[must_use]
    pub fn blocked() -> Self {
        Self::Forbidden("This room has been blocked on this server".to_owned())
    }
}

/// What a local user is to be told of the room: everything up to `to`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserNews {
    pub user: OwnedUserId,
    pub to: Position,
    /// The user's membership at `to`.
    pub membership: Membership,
    /// For `invite` and `knock`: the stripped state, the membership event included. For one that ended while we were not
    /// in the room: the event that ended it, as clients are shown it, where there is one.
    #[serde(default)]
    pub stripped: Option<Box<RawValue>>,
    /// For `invite`: which event it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<OwnedEventId>,
    /// For `join`: what the user's push rules need to know, and what the user has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// For a user who has joined: the room that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<OwnedRoomId>,
    /// Whether something happened in the room since the user was told: receipts alone are no activity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub active: bool,
    /// What lists of rooms ask for; `None` where a room of an earlier deployment tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<Traits>,
    /// What the push rules judge. A reply with the news of many users has it once, beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifiable: Option<Notifiable>,
}

impl UserNews {
    /// News up to a position, without what goes with it.
    #[must_use]
    pub fn of(user: OwnedUserId, to: Position, membership: Membership) -> Self {
        let (stripped, invite) = (None, None);
        let (notify, predecessor, notifiable) = (None, None, None);
        let (active, traits) = (false, None);
        Self {
            user,
            to,
            membership,
            stripped,
            invite,
            notify,
            predecessor,
            active,
            traits,
            notifiable,
        }
    }
}
