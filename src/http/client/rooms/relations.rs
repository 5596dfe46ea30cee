//! Which events relate to an event?
//! ([relationships API](https://spec.matrix.org/v1.19/client-server-api/#relationships-api))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    RoomId,
    api::{Direction, client::relations::get_relating_events::v1 as get_relating_events},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{AskError, World};

use super::no_event;
use crate::{
    error::Result,
    http::{
        auth::{self, Reader},
        client::tokens,
        endpoint::{decode, json_response, paths_of},
        query,
        router::Router,
    },
    objects::{
        room::messages::{MAX_DEPTH, Refusal, Related},
        room_object,
    },
};

/// How many events a page has where the client does not say.
const DEFAULT_LIMIT: u32 = 5;
/// How paths begin under which clients that are older than the specification of relations ask.
const UNSTABLE: &str = "/_matrix/client/unstable/";

pub fn routes(router: &mut Router) {
    for path in paths_of::<get_relating_events::Request>() {
        for end in ["", "/{rel_type}", "/{rel_type}/{event_type}"] {
            router.page(&Method::GET, &format!("{path}{end}"), relations);
        }
    }
}

/// Not written by ruma's type: the unstable paths answer the event itself, too.
#[derive(Serialize)]
struct Answer<'a> {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_event: Option<Box<RawValue>>,
}

/// Ruma has a type for each of the three paths. Their queries are one.
async fn relations(
    world: World,
    request: Request<Bytes>,
    path: Vec<String>,
) -> Result<Response<Bytes>> {
    let room = path.first().and_then(|room| RoomId::parse(room).ok());
    let reader = auth::reader(&world, &request, room).await?;
    let Reader { session: caller, ignored } = reader.ok_or_else(no_event)?;
    let (named, types) = path.split_at(path.len().min(2));
    let asked: get_relating_events::Request = decode(&request, named)?;
    let room_id = &asked.room_id;
    let from = tokens::place_if(&world, &caller, room_id, asked.from.as_deref()).await?;
    let to = tokens::place_if(&world, &caller, room_id, asked.to.as_deref()).await?;
    let limit = asked.limit.map_or(DEFAULT_LIMIT, |limit| limit.try_into().unwrap_or(u32::MAX));
    let recurse = asked.recurse || recurses(&request);
    let related = Related {
        event_id: asked.event_id,
        user: caller.user,
        device: caller.device,
        ignored,
        rel_type: types.first().cloned(),
        event_type: types.get(1).cloned(),
        recurse,
        backwards: asked.dir == Direction::Backward,
        from,
        to,
        limit,
        with_event: request.uri().path().starts_with(UNSTABLE),
    };
    let found = match world.ask(&room_object(room_id), &related).await {
        // Who may not read the event is not told whether it is there.
        Err(AskError::Refused(Refusal::NotFound | Refusal::Absent | Refusal::Forbidden(_))) => {
            return Err(no_event());
        }
        found => found?,
    };
    let answer = Answer {
        chunk: found.events,
        next_batch: found.next.map(tokens::of_room),
        prev_batch: asked.from.as_deref().filter(|token| !token.is_empty()),
        recursion_depth: recurse.then_some(MAX_DEPTH),
        original_event: found.event,
    };
    json_response(StatusCode::OK, &answer)
}

/// Whether the query says so under the name that the parameter had before it was specified (MSC3981).
fn recurses(request: &Request<Bytes>) -> bool {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    pairs.contains(&("org.matrix.msc3981.recurse".to_owned(), "true".to_owned()))
}
