//! What can a user's object be asked about presence?

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// The longest status message (bytes).
pub const MOST_STATUS: usize = 2_048;

/// How often a client's poll has D1's copy asked who went silent (ms).
pub const ASKS_EVERY: u64 = 900_000;

/// What a user is; the later ones count for more where their devices differ.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash,
)]
#[serde(rename_all = "lowercase")]
pub enum PresenceState {
    #[default]
    Offline,
    Unavailable,
    Online,
}

impl PresenceState {
    /// The state of a name; none other counts.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "online" => Some(Self::Online),
            "unavailable" => Some(Self::Unavailable),
            "offline" => Some(Self::Offline),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unavailable => "unavailable",
            Self::Offline => "offline",
        }
    }
}

/// The presence of a user, as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    pub user: OwnedUserId,
    pub state: PresenceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_msg: Option<String>,
    /// When the user was last active (ms), as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_ts: Option<u64>,
    pub currently_active: bool,
    /// When this was told (ms): of two, the later one holds.
    pub told_ts: u64,
}

/// What a poll by `/sync` says and asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PresencePoll {
    /// What the client says of its user; `None`: only that it polls.
    pub says: Option<PresenceState>,
    /// Until when the poll may last (ms).
    pub until: u64,
    /// Up to when the client knows the presence of others; `None`: not at all.
    pub since: Option<u64>,
    /// Whether the object held this poll until now, so that nothing it was told was missed.
    pub watched: bool,
}

/// What a poll learns.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PulledPresence {
    /// What was told since, the newest of each user.
    pub heard: Vec<Presence>,
    /// Up to when the client knows it then.
    pub next: u64,
    /// Whether that is all: otherwise this object did not remember so far back, or does not know who went silent.
    pub whole: bool,
    /// What others are to be told of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell: Option<TellPresence>,
}

impl PulledPresence {
    /// Whether the poll may be held.
    pub fn is_quiet(&self) -> bool {
        self.whole && self.heard.is_empty() && self.tell.is_none()
    }
}

/// What others are to be told of a user; it counts as told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellPresence {
    pub presence: Presence,
    /// Whether it is what they were told before: other servers forget whom they do not hear of.
    pub again: bool,
}

/// Sets the user's presence and status message, as one of their devices says.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetPresence {
    pub device_id: String,
    pub state: PresenceState,
    pub status_msg: Option<String>,
}
message!(UserSyncClass, SetPresence => Option<TellPresence>, Refusal);

/// The user's presence now.
#[derive(Debug, Serialize, Deserialize)]
pub struct PresenceNow {}
message!(UserSyncClass, PresenceNow => Presence, Refusal);

/// Asked by the alarm: what has changed by the time alone?
#[derive(Debug, Serialize, Deserialize)]
pub struct DuePresence {}
message!(UserSyncClass, DuePresence => Option<TellPresence>, Refusal);

/// What was to be told at this time (ms) could not be told.
#[derive(Debug, Serialize, Deserialize)]
pub struct PresenceUntold {
    pub told_ts: u64,
}
message!(UserSyncClass, PresenceUntold => (), Refusal);

/// What others are now, who share a room with the user.
#[derive(Debug, Serialize, Deserialize)]
pub struct PresenceNews {
    pub presences: Vec<Presence>,
}
message!(UserSyncClass, PresenceNews => (), Refusal);
