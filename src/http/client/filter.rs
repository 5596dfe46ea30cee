//! What does a client's filter say? ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))
//!
//! Ruma reads the filter, for `/sync` and `/messages` alike. Here it becomes the filters that flows and rooms take.

use ruma::api::client::filter::{
    self, EventFormat, Filter, FilterDefinition, RoomEventFilter, UrlFilter,
};
use tombolo_protocol::event::Projection;

use crate::{
    flows::sync::{RoomFilter, SyncFilter},
    objects::room::messages::EventFilter,
};

impl From<FilterDefinition> for SyncFilter {
    fn from(filter: FilterDefinition) -> Self {
        let fields = filter.event_fields.filter(|paths| !paths.is_empty());
        Self {
            event_fields: fields.map(|paths| Projection::of(&paths)),
            raw: filter.event_format == EventFormat::Federation,
            room: filter.room.into(),
            account_data: filter.account_data.into(),
        }
    }
}

impl From<filter::RoomFilter> for RoomFilter {
    fn from(filter: filter::RoomFilter) -> Self {
        Self {
            rooms: filter.rooms,
            not_rooms: filter.not_rooms,
            include_leave: filter.include_leave,
            unread_threads: filter.timeline.unread_thread_notifications,
            timeline: filter.timeline.into(),
            state: filter.state.into(),
            ephemeral: filter.ephemeral.into(),
            account_data: filter.account_data.into(),
        }
    }
}

impl From<RoomEventFilter> for EventFilter {
    fn from(filter: RoomEventFilter) -> Self {
        Self {
            limit: filter.limit.map(|limit| u32::try_from(u64::from(limit)).unwrap_or(u32::MAX)),
            rooms: filter.rooms,
            not_rooms: filter.not_rooms,
            types: filter.types,
            not_types: filter.not_types,
            senders: filter.senders,
            not_senders: filter.not_senders,
            lazy_load_members: !filter.lazy_load_options.is_disabled(),
            contains_url: filter.url_filter.map(|url| url == UrlFilter::EventsWithUrl),
            ..Self::default()
        }
    }
}

impl From<Filter> for EventFilter {
    fn from(filter: Filter) -> Self {
        Self {
            types: filter.types,
            not_types: filter.not_types,
            senders: filter.senders,
            not_senders: filter.not_senders,
            ..Self::default()
        }
    }
}
