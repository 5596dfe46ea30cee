//! How are lists of public rooms asked for and written, for clients and for other servers alike?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))

use ruma::{
    UInt,
    directory::{Filter, RoomTypeFilter},
};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    error::{Result, invalid_param},
    flows::directory::public_rooms::{Page, Query},
    objects::room::messages::Summary,
};

/// The longest text that is searched for, in bytes, and the most types of rooms that one may name.
const MAX_TERM: usize = 1_024;
const MAX_TYPES: usize = 100;

/// What a request asks for.
pub fn query(limit: Option<UInt>, since: Option<String>, filter: Filter) -> Result<Query> {
    let term = filter.generic_search_term;
    if term.as_ref().is_some_and(|term| term.len() > MAX_TERM) {
        return Err(invalid_param("The search term is too long"));
    }
    if filter.room_types.len() > MAX_TYPES {
        return Err(invalid_param("Too many types of rooms are named"));
    }
    let types = filter.room_types.into_iter().map(|kind| match kind {
        RoomTypeFilter::Default => None,
        kind => kind.as_str().map(str::to_owned),
    });
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let since = since.filter(|since| !since.is_empty());
    Ok(Query { limit: limit.unwrap_or_default(), since, term, types: types.collect() })
}

/// The answer.
pub fn shown(page: &Page) -> Value {
    let mut answer = Map::new();
    answer.insert(
        "chunk".to_owned(),
        page.rooms.iter().map(|summary| Value::Object(room(summary))).collect(),
    );
    let tokens = [("next_batch", &page.next), ("prev_batch", &page.prev)];
    for (name, token) in tokens {
        if let Some(token) = token {
            answer.insert(name.to_owned(), json!(token));
        }
    }
    if let Some(count) = page.estimate {
        answer.insert("total_room_count_estimate".to_owned(), json!(count));
    }
    Value::Object(answer)
}

/// A room in a list.
fn room(summary: &Summary) -> Map<String, Value> {
    let mut room = Map::new();
    let texts = [
        ("name", &summary.name),
        ("topic", &summary.topic),
        ("canonical_alias", &summary.canonical_alias),
        ("avatar_url", &summary.avatar_url),
        ("room_type", &summary.room_type),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            room.insert(name.to_owned(), json!(text));
        }
    }
    room.insert("room_id".to_owned(), json!(summary.room_id));
    room.insert("num_joined_members".to_owned(), json!(summary.num_joined_members));
    room.insert("world_readable".to_owned(), json!(summary.world_readable));
    room.insert("guest_can_join".to_owned(), json!(summary.guest_can_join));
    room.insert("join_rule".to_owned(), json!(summary.join_rule));
    room
}

/// A room by itself, or among the rooms of a space.
pub fn summary(summary: &Summary) -> Map<String, Value> {
    let mut shown = room(summary);
    if let Some(encryption) = &summary.encryption {
        shown.insert("encryption".to_owned(), json!(encryption));
    }
    if !summary.room_version.is_empty() {
        shown.insert("room_version".to_owned(), json!(summary.room_version));
    }
    if !summary.allowed_room_ids.is_empty() {
        shown.insert("allowed_room_ids".to_owned(), json!(summary.allowed_room_ids));
    }
    shown
}

/// A room with the events that name its children. One that is nested too deep for other readers is left out.
pub fn with_children(of: &Summary, children: &[Box<RawValue>]) -> Value {
    let mut shown = summary(of);
    let children = children.iter().filter_map(|event| serde_json::from_str(event.get()).ok());
    shown.insert("children_state".to_owned(), Value::Array(children.collect()));
    Value::Object(shown)
}
