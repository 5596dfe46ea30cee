//! What does a client's filter say? ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))
//!
//! Ruma reads the filter, for `/sync` and `/messages` alike. Here it becomes the filters that flows and rooms take.

use http::Request;
use ruma::{
    OwnedUserId,
    api::client::filter::{
        self, EventFormat, Filter, FilterDefinition, RoomEventFilter, UrlFilter,
    },
};
use serde::Deserialize;
use tombolo_protocol::event::Projection;

use crate::{
    error::{Result, invalid_param},
    flows::sync::{RoomFilter, SyncFilter},
    http::query,
    objects::room::messages::EventFilter,
};

/// What a filter says of relations. Ruma's types do not have it.
#[derive(Default, Deserialize)]
struct ByRelation {
    related_by_senders: Option<Vec<OwnedUserId>>,
    related_by_rel_types: Option<Vec<String>>,
    /// MSC3874.
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    rel_types: Option<Vec<String>>,
    #[serde(default, rename = "org.matrix.msc3874.not_rel_types")]
    not_rel_types: Vec<String>,
}

impl ByRelation {
    /// The same filter, by relations too.
    fn of(self, filter: EventFilter) -> EventFilter {
        let Self { related_by_senders, related_by_rel_types, rel_types, not_rel_types } = self;
        EventFilter { related_by_senders, related_by_rel_types, rel_types, not_rel_types, ..filter }
    }
}

/// What of a filter for `/sync` is about events of rooms.
#[derive(Default, Deserialize)]
struct Rooms {
    #[serde(default)]
    room: Parts,
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    timeline: ByRelation,
    #[serde(default)]
    state: ByRelation,
}

/// The filter that the query of a request for events carries, of which ruma has read the rest.
pub fn of_query<B>(request: &Request<B>, filter: RoomEventFilter) -> Result<EventFilter> {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    with_relations(filter, query::first(&pairs, "filter"))
}

/// A filter that ruma has read, with what it says of relations.
pub fn with_relations(filter: RoomEventFilter, text: Option<&str>) -> Result<EventFilter> {
    let filter = EventFilter::from(filter);
    let Some(text) = text else { return Ok(filter) };
    let by: ByRelation =
        serde_json::from_str(text).map_err(|error| invalid_param(error.to_string()))?;
    Ok(by.of(filter))
}

/// A filter for `/sync`, with what ruma has read of it.
pub fn of_sync(text: &str, definition: FilterDefinition) -> serde_json::Result<SyncFilter> {
    let Rooms { room } = serde_json::from_str(text)?;
    let mut filter = SyncFilter::from(definition);
    filter.room.timeline = room.timeline.of(filter.room.timeline);
    filter.room.state = room.state.of(filter.room.state);
    Ok(filter)
}

impl From<FilterDefinition> for SyncFilter {
    fn from(filter: FilterDefinition) -> Self {
        let fields = filter.event_fields.filter(|paths| !paths.is_empty());
        Self {
            event_fields: fields.map(|paths| Projection::of(&paths)),
            raw: filter.event_format == EventFormat::Federation,
            room: filter.room.into(),
            account_data: filter.account_data.into(),
            presence: filter.presence.into(),
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
            limit: filter.limit.map(|limit| u32::try_from(u64::from(limit)).unwrap_or(u32::MAX)),
            types: filter.types,
            not_types: filter.not_types,
            senders: filter.senders,
            not_senders: filter.not_senders,
            ..Self::default()
        }
    }
}
