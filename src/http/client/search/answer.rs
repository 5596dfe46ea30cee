//! What is a client answered who searches?
//! ([`/search`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search))

use std::collections::BTreeMap;

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId,
    api::client::search::search_events::v3::{Criteria, GroupingKey},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::event::field;

use super::{
    Page,
    token::{MOST_RANKED, Token},
};
use crate::{
    error::Result,
    flows::search::{self, End, Found},
    http::client::{rooms::ask_room, tokens},
    objects::room::messages::{Around, HitView, Hits, State},
};

#[derive(Serialize)]
pub struct Answer {
    count: u64,
    highlights: Vec<String>,
    results: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<&'static str, BTreeMap<String, Group>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>>,
}

#[derive(Serialize)]
struct Shown {
    rank: f64,
    result: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

#[derive(Serialize)]
struct Context {
    start: String,
    end: String,
    events_before: Vec<Box<RawValue>>,
    events_after: Vec<Box<RawValue>>,
    profile_info: BTreeMap<OwnedUserId, Profile>,
}

#[derive(Serialize)]
struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<Box<RawValue>>,
}

/// Results that belong together; groups are in the order of their first results.
#[derive(Serialize)]
struct Group {
    order: usize,
    results: Vec<OwnedEventId>,
}

/// The hits of a page, as `hits` says how to show them.
pub async fn answer(
    world: &World,
    criteria: &Criteria,
    (page, found): (&Page, Found),
    hits: Hits,
) -> Result<Answer> {
    let next_batch = next(page, &found);
    let mut views = search::views(world, &found.hits, &hits).await?;
    let (mut results, mut groups) = (Vec::new(), BTreeMap::new());
    let mut rooms = BTreeMap::new();
    for (room_id, hit) in found.hits {
        let Some(view) = views.remove(&(room_id.clone(), hit.sn)) else { continue };
        group(&mut groups, criteria, &room_id, &view);
        rooms.entry(room_id).or_insert_with(Vec::new);
        // As small numbers: the order counts, not the number.
        let rank = hit.rank as f64 / 1_000_000_000.0;
        let context = view.around.map(context);
        results.push(Shown { rank, result: view.event, context });
    }
    let state = match criteria.include_state {
        Some(true) => Some(states(world, &hits.user, rooms).await?),
        _ => None,
    };
    let highlights = page.terms.highlights();
    Ok(Answer { count: found.count, highlights, results, next_batch, groups, state })
}

/// Where the next page begins, if this one is full.
fn next(page: &Page, found: &Found) -> Option<String> {
    let last = found.hits.last().filter(|_| found.hits.len() >= page.limit as usize);
    let (room_id, hit) = last?;
    if page.recent {
        let end = End { ts: hit.ts, room_id: room_id.clone(), pos: hit.pos };
        return Some(Token::Recent(end).text());
    }
    let skip = page.skip.saturating_add(page.limit);
    (skip < MOST_RANKED).then(|| Token::Rank(skip).text())
}

fn group(
    groups: &mut BTreeMap<&'static str, BTreeMap<String, Group>>,
    criteria: &Criteria,
    room_id: &OwnedRoomId,
    view: &HitView,
) {
    for grouping in &criteria.groupings.group_by {
        let (name, key) = match &grouping.key {
            Some(GroupingKey::RoomId) => ("room_id", room_id.to_string()),
            Some(GroupingKey::Sender) => ("sender", view.sender.to_string()),
            _ => continue,
        };
        let group = groups.entry(name).or_default();
        let order = group.len() + 1;
        let group = group.entry(key).or_insert(Group { order, results: Vec::new() });
        if group.results.last() != Some(&view.event_id) {
            group.results.push(view.event_id.clone());
        }
    }
}

fn context(around: Around) -> Context {
    let Around { before, after, start, end, profiles } = around;
    let profile = |content: Box<RawValue>| {
        let part = |name| field(&content, name).map(ToOwned::to_owned);
        Profile { displayname: part("displayname"), avatar_url: part("avatar_url") }
    };
    Context {
        start: tokens::of_room(start),
        end: tokens::of_room(end),
        events_before: before,
        events_after: after,
        profile_info: profiles
            .into_iter()
            .map(|(user, content)| (user, profile(content)))
            .collect(),
    }
}

/// The current states of the rooms that have results, as the user sees them.
async fn states(
    world: &World,
    user: &OwnedUserId,
    mut rooms: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
) -> Result<BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>> {
    for (room_id, state) in &mut rooms {
        let ask = State { user: user.clone(), event_type: None, state_key: None };
        *state = ask_room(world, room_id, &ask).await?;
    }
    Ok(rooms)
}
