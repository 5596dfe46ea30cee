//! What of the news does a client want to see? ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use std::collections::BTreeSet;

use ruma::{OwnedUserId, RoomId};
use serde::{Deserialize, Deserializer};
use tombolo_protocol::event::Projection;

use crate::objects::room::messages::EventFilter;

/// A filter. There is no presence to filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SyncFilter {
    /// The fields of events that are shown, where not all are.
    #[serde(deserialize_with = "projection")]
    pub event_fields: Option<Projection>,
    pub event_format: String,
    pub room: RoomFilter,
    pub account_data: EventFilter,
}

/// Which rooms are shown, and what of each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoomFilter {
    pub rooms: Option<Vec<String>>,
    pub not_rooms: Vec<String>,
    pub include_leave: bool,
    pub timeline: EventFilter,
    pub state: EventFilter,
    pub ephemeral: EventFilter,
    pub account_data: EventFilter,
}

impl SyncFilter {
    /// Whether a room is shown at all.
    pub(super) fn shows(&self, room: &RoomId) -> bool {
        let id = room.to_string();
        self.room.rooms.as_ref().is_none_or(|rooms| rooms.contains(&id))
            && !self.room.not_rooms.contains(&id)
    }

    /// Which events of a room's timeline are shown, and how.
    pub(super) fn timeline(&self, room: &RoomId, ignored: &BTreeSet<OwnedUserId>) -> EventFilter {
        let (ignored, raw) = (ignored.clone(), self.event_format == "federation");
        EventFilter { ignored, raw, ..self.room.timeline.of_room(room) }
    }
}

fn projection<'de, D: Deserializer<'de>>(fields: D) -> Result<Option<Projection>, D::Error> {
    let paths = Vec::<String>::deserialize(fields)?;
    Ok(if paths.is_empty() { None } else { Some(Projection::of(&paths)) })
}
