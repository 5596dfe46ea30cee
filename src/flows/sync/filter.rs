//! Which news does a client's filter let through?

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tombolo_protocol::event::Projection;

use crate::objects::room::messages::EventFilter;

/// A client's filter for `/sync`.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// The fields of events that are shown, where not all are.
    pub event_fields: Option<Projection>,
    /// Whether events are shown in the federation format.
    pub raw: bool,
    pub room: RoomFilter,
    pub account_data: EventFilter,
    pub presence: EventFilter,
}

/// Which rooms are shown, and which parts of each.
#[derive(Clone, Debug, Default)]
pub struct RoomFilter {
    pub rooms: Option<Vec<OwnedRoomId>>,
    pub not_rooms: Vec<OwnedRoomId>,
    pub include_leave: bool,
    /// Whether what is unread is counted for each thread.
    pub unread_threads: bool,
    pub timeline: EventFilter,
    pub state: EventFilter,
    pub ephemeral: EventFilter,
    pub account_data: EventFilter,
}

impl SyncFilter {
    /// Whether a room is shown at all.
    pub(super) fn shows(&self, room: &RoomId) -> bool {
        let names = |rooms: &Vec<OwnedRoomId>| rooms.iter().any(|named| named == room);
        self.room.rooms.as_ref().is_none_or(names) && !names(&self.room.not_rooms)
    }

    /// Which events of a room's timeline are shown, and how.
    pub(super) fn timeline(&self, room: &RoomId, ignored: &BTreeSet<OwnedUserId>) -> EventFilter {
        let (ignored, raw) = (ignored.clone(), self.raw);
        EventFilter { ignored, raw, ..self.room.timeline.of_room(room) }
    }
}
