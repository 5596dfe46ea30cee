//! What was said around an event?
//! ([`/context`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid))

use std::collections::BTreeSet;

use ruma::{RoomId, api::client::context::get_context::v3 as get_context, serde::Raw};
use tombolo_platform::{AskError, World};

use super::no_event;
use crate::{
    error::Result,
    flows,
    http::{auth::Reader, client::tokens, router::Router},
    objects::{
        room::messages::{Context, ContextReply, EventFilter},
        room_object,
    },
};

pub fn routes(router: &mut Router) {
    router.reading::<get_context::Request, _, _>(no_event, context);
}

async fn context(
    world: World,
    Reader { session: caller, ignored }: Reader,
    request: get_context::Request,
) -> Result<get_context::Response> {
    let get_context::Request { room_id, event_id, limit, filter, .. } = request;
    let mut filter = EventFilter { ignored, ..EventFilter::from(filter).of_room(&room_id) };
    let wanted = u32::try_from(u64::from(limit)).unwrap_or(u32::MAX);
    filter.limit = Some(filter.limit.map_or(wanted, |limit| limit.min(wanted)));
    let (user, device, not_given) = (caller.user, caller.device, BTreeSet::new());
    let around = Context { event_id, user, device, not_given, filter };
    let found = filled(&world, &room_id, around).await?;
    let mut response = get_context::Response::new();
    response.start = Some(tokens::of_room(found.start));
    response.end = Some(tokens::of_room(found.end));
    response.event = Some(Raw::from_json(found.event));
    response.events_before = found.before.into_iter().map(Raw::from_json).collect();
    response.events_after = found.after.into_iter().map(Raw::from_json).collect();
    response.state = found.state.into_iter().map(Raw::from_json).collect();
    Ok(response)
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
