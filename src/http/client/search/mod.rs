//! How does a client search in its rooms?
//! ([search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search))

mod answer;
mod terms;
mod token;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::search::search_events::v3::{
        self as search_events, Criteria, OrderBy, SearchKeys,
    },
};
use serde_json::{json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::event::field;

use self::{
    answer::answer,
    terms::{MAX_TERM, Terms},
    token::{MOST_RANKED, Token},
};
use crate::{
    error::{Result, invalid_param},
    flows::search::{self, End, Found},
    http::{
        auth::{self, Session, user_object},
        client::filter,
        endpoint::{decode, json_body, json_response, paths_of},
        router::Router,
    },
    objects::{
        room::messages::{EventFilter, Hits, Search},
        user_sync::messages::{Cost, ReadableRooms, ReadableRoomsReply},
    },
};

/// The most results of a page, and the most events around one on either side.
const MAX_LIMIT: u32 = 100;
const MAX_AROUND: u32 = 50;
const DEFAULT_LIMIT: u32 = 10;

pub fn routes(router: &mut Router) {
    for path in paths_of::<search_events::Request>() {
        router.page(&Method::POST, path, search);
    }
}

/// Ruma's type reads an `event_context` that is left out as one that is asked for, and writes no empty `results`.
async fn search(world: World, request: Request<Bytes>, (): ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Search).await?;
    let asked: search_events::Request = decode(&request, &[])?;
    let body: Box<RawValue> = json_body(&request)?;
    let raw = field(&body, "search_categories").and_then(|all| field(all, "room_events"));
    let (Some(criteria), Some(raw)) = (asked.search_categories.room_events, raw) else {
        return json_response(StatusCode::OK, &json!({ "search_categories": {} }));
    };
    let page = Page::of(&criteria, raw, asked.next_batch.as_deref())?;
    let readable = world.ask(&user_object(&caller.user), &ReadableRooms {}).await?;
    let ReadableRoomsReply { rooms, ignored } = readable;
    let found = find(&world, &caller, &page, (rooms, &ignored)).await?;
    let hits = Hits {
        user: caller.user.clone(),
        device: caller.device.clone(),
        ignored,
        sns: Vec::new(),
        around: page.around,
        profiles: criteria.event_context.include_profile,
    };
    let answer = answer(&world, &criteria, (&page, found), hits).await?;
    json_response(StatusCode::OK, &json!({ "search_categories": { "room_events": answer } }))
}

/// Which results are asked for.
struct Page {
    terms: Terms,
    expression: Option<String>,
    filter: EventFilter,
    limit: u32,
    recent: bool,
    /// Where the page before ended.
    after: Option<End>,
    skip: u32,
    around: Option<(u32, u32)>,
}

impl Page {
    fn of(criteria: &Criteria, raw: &RawValue, token: Option<&str>) -> Result<Self> {
        let recent = match &criteria.order_by {
            None | Some(OrderBy::Rank) => false,
            Some(OrderBy::Recent) => true,
            Some(_) => return Err(invalid_param("order_by is neither rank nor recent")),
        };
        let (after, skip) = match token.filter(|token| !token.is_empty()) {
            None => (None, 0),
            Some(token) => match (Token::parse(token), recent) {
                (Some(Token::Recent(end)), true) => (Some(end), 0),
                (Some(Token::Rank(skip)), false) => (None, skip),
                _ => return Err(invalid_param("This is no token of such a search")),
            },
        };
        let text = field(raw, "filter").map(RawValue::get);
        if criteria.search_term.len() > MAX_TERM {
            return Err(invalid_param("The search term is too long"));
        }
        let filter = filter::with_relations(criteria.filter.clone(), text)?;
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let context = &criteria.event_context;
        let around = |limit: ruma::UInt| u32::try_from(limit).unwrap_or(u32::MAX).min(MAX_AROUND);
        let sides = (around(context.before_limit), around(context.after_limit));
        let is_asked = field(raw, "event_context").is_some_and(|context| context.get() != "null");
        let terms = Terms::of(&criteria.search_term);
        let expression = terms.expression(&columns(criteria)?);
        let around = is_asked.then_some(sides);
        Ok(Self { terms, expression, filter, limit, recent, after, skip, around })
    }
}

/// The columns of the index that hold what the keys name.
fn columns(criteria: &Criteria) -> Result<Vec<&'static str>> {
    let Some(keys) = &criteria.keys else { return Ok(vec!["body", "name", "topic"]) };
    let column = |key: &SearchKeys| match key {
        SearchKeys::ContentBody => Ok("body"),
        SearchKeys::ContentName => Ok("name"),
        SearchKeys::ContentTopic => Ok("topic"),
        _ => Err(invalid_param("Events are not searched by such a key")),
    };
    let columns: BTreeSet<&str> = keys.iter().map(column).collect::<Result<_>>()?;
    Ok(columns.into_iter().collect())
}

/// The hits of the page, in all rooms that the caller may read and the filter lets through.
async fn find(
    world: &World,
    caller: &Session,
    page: &Page,
    (rooms, ignored): (Vec<OwnedRoomId>, &BTreeSet<OwnedUserId>),
) -> Result<Found> {
    let Some(expression) = page.expression.clone() else {
        return Ok(Found { hits: Vec::new(), count: 0 });
    };
    let named = |room: &OwnedRoomId| {
        page.filter.rooms.as_ref().is_none_or(|rooms| rooms.contains(room))
            && !page.filter.not_rooms.contains(room)
    };
    let rooms = rooms.into_iter().filter(named).collect();
    let limit = page.skip.saturating_add(page.limit).min(MOST_RANKED);
    let filter =
        EventFilter { limit: Some(limit), ignored: ignored.clone(), ..page.filter.clone() };
    let user = caller.user.clone();
    let ask = Search { user, expression, filter, recent: page.recent, before: None };
    let Found { hits, count } = search::search(world, rooms, &ask, page.after.as_ref()).await?;
    let hits = hits.into_iter().skip(page.skip as usize).take(page.limit as usize).collect();
    Ok(Found { hits, count })
}
