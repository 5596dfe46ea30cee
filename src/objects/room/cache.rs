//! What does a room remember between messages?

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedEventId, OwnedServerName};

use crate::{
    objects::room::{
        Sn,
        followers::waking::Audience,
        graph::{events::Stored, gaps::Gaps, indexes::Index},
        messages::Position,
        row::RoomRow,
    },
    shell::Schema,
};

/// What a room remembers between messages. All can be read again from SQLite but `locals_notified_up_to`, `told_at`,
/// `heard` and `retold`. If these are lost, a follower is told twice, or a helpful server is asked later.
#[derive(Default)]
pub struct Cache {
    pub schema: Schema,
    pub row: Option<RoomRow>,
    pub next_sn: Option<Sn>,
    pub events: BTreeMap<Sn, Rc<Stored>>,
    /// About what the events take.
    pub events_bytes: usize,
    pub ids: BTreeMap<OwnedEventId, Sn>,
    /// Values of the current state that were looked up; `None`: the key is not set.
    pub now: BTreeMap<(String, String), Option<Sn>>,
    /// Whether the room is being deleted.
    pub is_deleted: Option<bool>,
    /// See [`Room::unchanged_since`].
    pub unchanged_since: Option<Position>,
    /// Since when the state stands of which the copy for lists of rooms was worked out.
    pub listed_since: Option<Position>,
    pub audience: Option<Audience>,
    pub gaps: Option<Gaps>,
    /// See [`Room::has_unverified`].
    pub unverified: Option<bool>,
    /// See [`Room::has_relations`].
    pub has_relations: Option<bool>,
    /// Up to which event the relations of older events are still to be noted; 0 where all are.
    pub relations_due: Option<Sn>,
    /// See [`Room::indexed_up_to`].
    pub indexed: BTreeMap<Index, Sn>,
    /// The users of the table `erased`.
    pub erased: Option<BTreeMap<String, Position>>,
    /// Requests told all local users everything up to here.
    pub locals_notified_up_to: Position,
    /// When followers were last told.
    pub told_at: u64,
    /// When each server in the room last sent something.
    pub heard: BTreeMap<OwnedServerName, u64>,
    /// When each server that counts us in was last told that we left.
    pub retold: BTreeMap<String, u64>,
}
