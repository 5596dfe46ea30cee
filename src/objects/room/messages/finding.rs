//! What can a room be asked to find: by when it was sent, or by words?

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Asker, EventFilter, HistoryGap, Position, Refusal};
use crate::objects::{
    message::message,
    room::{RoomClass, Sn},
};

/// The event closest to a time in one direction, `/timestamp_to_event`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventByTime {
    pub asker: Asker,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
    /// In milliseconds, by the clocks of the senders.
    pub ts: i64,
    pub backwards: bool,
    /// Only events beyond this time and place, which an earlier reply told.
    #[serde(default)]
    pub after: Option<(i64, Position)>,
}
message!(RoomClass, EventByTime => EventByTimeReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct EventByTimeReply {
    /// The event, and when it was sent.
    pub found: Option<(OwnedEventId, i64)>,
    /// History that is missing here, in which a closer event may be.
    pub gap: Option<HistoryGap>,
    /// Whether the room has still to look through its events: it is to be asked again.
    pub unfinished: bool,
    /// What the room is then to be asked to go on from.
    #[serde(default)]
    pub reached: Option<(i64, Position)>,
}

/// Which events that a user may see hold these words?
#[derive(Debug, Serialize, Deserialize)]
pub struct Search {
    pub user: OwnedUserId,
    /// An expression of FTS5 over the columns `body`, `name` and `topic`.
    pub expression: String,
    /// Its limit is how many hits are answered.
    pub filter: EventFilter,
    /// Whether the newest come first, not those that fit best.
    pub recent: bool,
    /// Only events before this time and place.
    pub before: Option<(i64, Position)>,
}
message!(RoomClass, Search => SearchReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SearchReply {
    /// The first ones.
    pub hits: Vec<Hit>,
    /// How many events hold the words, whatever `before` and the limit say.
    pub count: u32,
    /// Whether the room has still to look through its events: it is to be asked again.
    pub unfinished: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hit {
    pub sn: Sn,
    pub ts: i64,
    pub pos: Position,
    /// How well it fits: more is better.
    pub rank: i64,
}

/// Hits of a search as their reader sees them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hits {
    pub user: OwnedUserId,
    pub device: String,
    pub ignored: BTreeSet<OwnedUserId>,
    pub sns: Vec<Sn>,
    /// How many events around each are shown, before it and after it.
    pub around: Option<(u32, u32)>,
    /// Whether the profiles of those who sent these are shown.
    pub profiles: bool,
}
message!(RoomClass, Hits => Vec<HitView>, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct HitView {
    pub sn: Sn,
    pub event_id: OwnedEventId,
    pub sender: OwnedUserId,
    pub event: Box<RawValue>,
    pub around: Option<Around>,
}

/// What was said around a hit.
#[derive(Debug, Serialize, Deserialize)]
pub struct Around {
    /// Newest first.
    pub before: Vec<Box<RawValue>>,
    /// Oldest first.
    pub after: Vec<Box<RawValue>>,
    pub start: Position,
    pub end: Position,
    /// The contents of the senders' member events.
    pub profiles: BTreeMap<OwnedUserId, Box<RawValue>>,
}
