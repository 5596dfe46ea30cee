//! What is a room asked for a sliding sync?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))

use std::collections::BTreeSet;

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Position, Refusal};
use crate::objects::{message::message, room::RoomClass};

/// What lists of rooms are filtered by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// Whether somebody else ended the user's stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Traits {
    /// The longest type of a room that is kept (bytes): no list is filtered by a longer one.
    pub const MAX_TYPE: usize = 255;
}

/// What is the room now? For users who were told of it before rooms said so.
#[derive(Debug, Serialize, Deserialize)]
pub struct TraitsOf {
    pub user: OwnedUserId,
}
message!(RoomClass, TraitsOf => Traits, Refusal);

/// Which state a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequiredState {
    #[serde(default)]
    pub include: Vec<StateElement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<StateElement>,
    /// Whether of the members only those come whom the timeline needs, unless a user is named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lazy_members: bool,
}

/// What is left out of it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateElement {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
}

/// What a sliding sync shows of the room to a user who is in it, or was.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlidingWindow {
    pub user: OwnedUserId,
    pub device: String,
    /// Exclusive; 0 for a room that the client was not sent.
    pub from: Position,
    /// Inclusive; no event past it is shown.
    pub to: Position,
    /// Events after this position have just happened; `None`: those that come with the user's join.
    pub live_from: Option<Position>,
    /// The most events of the timeline.
    pub limit: u32,
    /// Whether the timeline goes back beyond `from`: the client wants more events than it was sent.
    #[serde(default)]
    pub expanded: bool,
    /// State that one of these includes is shown; what none of those before did, also where it did not change.
    pub required: Vec<RequiredState>,
    #[serde(default)]
    pub required_before: Vec<RequiredState>,
    /// From where on receipts are wanted, if they are (exclusive).
    #[serde(default)]
    pub receipts_from: Option<Position>,
    /// Whom the user ignores.
    #[serde(default)]
    pub ignored: BTreeSet<OwnedUserId>,
}
message!(RoomClass, SlidingWindow => SlidingWindowReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SlidingWindowReply {
    /// Oldest first, client format with `unsigned`.
    pub timeline: Vec<Box<RawValue>>,
    /// How many of them, the last ones, have just happened.
    pub live: u32,
    pub limited: bool,
    /// Whether the room is shown from the beginning.
    pub anew: bool,
    /// Whether the timeline has events that the client may have been sent before.
    pub expanded: bool,
    /// A room position for `/messages?from=`; 0 where there is no history to page through.
    pub prev_batch: Position,
    /// The state at the window's end.
    pub state: Vec<Box<RawValue>>,
    /// State that is set no more: type and state key.
    #[serde(default)]
    pub removed: Vec<(String, String)>,
    /// The content of an `m.receipt` event.
    pub receipts: Option<Box<RawValue>>,
    pub name: Detail,
    pub avatar: Detail,
    /// Where they may have changed, and the room has no name.
    pub heroes: Vec<Hero>,
    /// Joined and invited members, where their numbers may have changed.
    pub members: Option<(u32, u32)>,
    /// When what counts as activity happened last, by its sender's clock (ms); `None` for who is not in the room.
    pub bump_stamp: Option<i64>,
}

/// A text of the room, as far as it is news.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detail {
    #[default]
    Unchanged,
    Unset,
    Set(String),
}

/// A member after whom a room without a name is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hero {
    pub user_id: OwnedUserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}
