//! What can a room be asked about events that relate to others?

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Position, Refusal};
use crate::objects::{message::message, room::RoomClass};

/// How many relations are followed, below those of the event itself, to find what relates to it indirectly.
pub const MAX_DEPTH: u32 = 3;

/// The events that relate to an event, `/relations`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Related {
    pub event_id: OwnedEventId,
    pub user: OwnedUserId,
    pub device: String,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
    /// Only relations of this type, only events of this type.
    pub rel_type: Option<String>,
    pub event_type: Option<String>,
    /// Also what relates to those events, and what relates to that.
    pub recurse: bool,
    pub backwards: bool,
    /// `None`: from the newest (backwards) or oldest (forwards) event.
    pub from: Option<Position>,
    pub to: Option<Position>,
    pub limit: u32,
    /// Whether the event itself is answered too.
    pub with_event: bool,
}
message!(RoomClass, Related => RelatedReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct RelatedReply {
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<Position>,
    pub event: Option<Box<RawValue>>,
}

/// The threads of the room, `/threads`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Threads {
    pub user: OwnedUserId,
    pub device: String,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
    /// Only those that the user began or wrote in.
    pub participated: bool,
    /// Only those whose newest event is not above this; `None`: all.
    pub from: Option<Position>,
    pub limit: u32,
}
message!(RoomClass, Threads => ThreadsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ThreadsReply {
    /// The events with which they begin.
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<Position>,
}

/// Where are a thread and an event in it, for a user who subscribes to the thread or unsubscribes? `NotFound` if the user
/// may not see one of them; `Unfit` if the event is not in the thread.
#[derive(Debug, Serialize, Deserialize)]
pub struct ThreadPlace {
    pub user: OwnedUserId,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
    /// The event with which the thread begins.
    pub root: OwnedEventId,
    /// The event in it, if there is one.
    pub event_id: Option<OwnedEventId>,
}
message!(RoomClass, ThreadPlace => ThreadPlaceReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ThreadPlaceReply {
    /// Where the timeline ends.
    pub newest: Position,
    /// Where the event is in it.
    pub event: Option<Position>,
}
