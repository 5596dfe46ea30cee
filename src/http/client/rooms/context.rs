//! What was said around an event?
//! ([`/context`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid))

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{RoomId, api::client::context::get_context::v3 as get_context};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{AskError, World};

use super::no_event;
use crate::{
    error::Result,
    flows,
    http::{
        auth::{self, Reader},
        client::{filter, tokens},
        endpoint::{decode, json_response, paths_of},
        router::Router,
    },
    objects::{
        room::messages::{Context, ContextReply, EventFilter},
        room_object,
    },
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<get_context::Request>() {
        router.page(&Method::GET, path, context);
    }
}

/// Not written by ruma's type, which leaves out empty lists: clients in use take `events_before` and `events_after` for
/// given.
#[derive(Serialize)]
struct Answer {
    start: String,
    end: String,
    event: Box<RawValue>,
    events_before: Vec<Box<RawValue>>,
    events_after: Vec<Box<RawValue>>,
    state: Vec<Box<RawValue>>,
}

async fn context(
    world: World,
    request: Request<Bytes>,
    (room, event): (String, String),
) -> Result<Response<Bytes>> {
    let reader = auth::reader(&world, &request, RoomId::parse(&room).ok()).await?;
    let Reader { session: caller, ignored } = reader.ok_or_else(no_event)?;
    let asked: get_context::Request = decode(&request, &[room, event])?;
    let get_context::Request { room_id, event_id, limit, filter, .. } = asked;
    let filter = filter::of_query(&request, filter)?;
    let mut filter = EventFilter { ignored, ..filter.of_room(&room_id) };
    let wanted = u32::try_from(u64::from(limit)).unwrap_or(u32::MAX);
    filter.limit = Some(filter.limit.map_or(wanted, |limit| limit.min(wanted)));
    let (user, device, not_given) = (caller.user, caller.device, BTreeSet::new());
    let around = Context { event_id, user, device, not_given, filter };
    let found = filled(&world, &room_id, around).await?;
    json_response(
        StatusCode::OK,
        &Answer {
            start: tokens::of_room(found.start),
            end: tokens::of_room(found.end),
            event: found.event,
            events_before: found.before,
            events_after: found.after,
            state: found.state,
        },
    )
}

/// The events around an event. If history is missing before it, that is fetched first, once; what no server gives is
/// passed over. The events before it may end at another gap, and a page from there goes on.
async fn filled(world: &World, room_id: &RoomId, mut around: Context) -> Result<ContextReply> {
    let found = ask(world, room_id, &around).await?;
    let Some(gap) = &found.gap else { return Ok(found) };
    if !flows::receive::backfill::backfill(world, room_id, gap).await? {
        around.not_given.extend(gap.below.iter().cloned());
    }
    ask(world, room_id, &around).await
}

async fn ask(world: &World, room_id: &RoomId, around: &Context) -> Result<ContextReply> {
    match world.ask(&room_object(room_id), around).await {
        // The answer must not tell whether the room is known here.
        Err(AskError::Refused(_)) => Err(no_event()),
        found => Ok(found?),
    }
}
