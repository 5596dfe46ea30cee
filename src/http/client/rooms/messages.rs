//! How does a client page through the events of a room?
//! ([`/messages`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages))

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response};
use ruma::{
    RoomId,
    api::{Direction, client::message::get_message_events::v3 as get_message_events},
    serde::Raw,
};
use tombolo_platform::World;

use super::{ask_room, not_in_room};
use crate::{
    error::Result,
    flows,
    http::{
        auth::{self, Reader},
        client::{filter, tokens},
        endpoint::{decode, encode, paths_of},
        router::Router,
    },
    objects::room::messages::{EventFilter, Page, PageReply},
};

/// How often history is fetched from other servers for one page.
const FETCHES: usize = 3;

pub fn routes(router: &mut Router) {
    for path in paths_of::<get_message_events::Request>() {
        router.page(&Method::GET, path, page);
    }
}

/// Ruma's type does not have all of the filter.
async fn page(world: World, request: Request<Bytes>, room: String) -> Result<Response<Bytes>> {
    let reader = auth::reader(&world, &request, RoomId::parse(&room).ok()).await?;
    let Reader { session: caller, ignored } = reader.ok_or_else(not_in_room)?;
    let asked: get_message_events::Request = decode(&request, &[room])?;
    let room_id = &asked.room_id;
    let from = tokens::place_if(&world, &caller, room_id, asked.from.as_deref()).await?;
    let to = tokens::place_if(&world, &caller, room_id, asked.to.as_deref()).await?;
    let filter = filter::of_query(&request, asked.filter)?;
    let mut filter = EventFilter { ignored, ..filter.of_room(room_id) };
    let wanted = u32::try_from(u64::from(asked.limit)).unwrap_or(u32::MAX);
    filter.limit = Some(filter.limit.map_or(wanted, |limit| limit.min(wanted)));
    let backwards = asked.dir == Direction::Backward;
    let (user, device, over_gaps) = (caller.user, caller.device, false);
    let not_given = BTreeSet::new();
    let page = Page { user, device, from, to, backwards, over_gaps, not_given, filter };
    let reply = filled(&world, room_id, page).await?;
    let mut response = get_message_events::Response::new();
    response.start = asked.from.unwrap_or_else(|| tokens::of_room(reply.start));
    response.end = reply.end.map(tokens::of_room);
    response.chunk = reply.events.into_iter().map(Raw::from_json).collect();
    response.state = reply.state.into_iter().map(Raw::from_json).collect();
    encode(response)
}

/// A page. If it is short because history is missing here, that is fetched first. What no server gives is passed over,
/// so that the page goes on below it. It ends at a gap that was not asked for, maybe without events, and the next page
/// goes on there.
async fn filled(world: &World, room_id: &RoomId, mut page: Page) -> Result<PageReply> {
    let mut reply = ask_room(world, room_id, &page).await?;
    for _ in 0..FETCHES {
        let Some(gap) = &reply.gap else { break };
        // Who has waited for servers in vain gets what there is.
        let waited = !page.not_given.is_empty();
        if is_full(&reply, &page) || waited && !reply.events.is_empty() {
            break;
        }
        if !flows::receive::backfill::backfill(world, room_id, gap).await? {
            page.not_given.extend(gap.below.iter().cloned());
        }
        reply = ask_room(world, room_id, &page).await?;
    }
    Ok(reply)
}

fn is_full(reply: &PageReply, page: &Page) -> bool {
    page.filter.limit.is_some_and(|limit| reply.events.len() >= limit as usize)
}
