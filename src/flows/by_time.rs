//! Which event of a room was sent at a time, here or in history that is missing here?
//! ([`/timestamp_to_event`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid))
//!
//! Where history is missing next to the event that is found here, a few servers are asked whether they know a closer
//! one. If one says so, history is fetched down to it. What is answered is what the room then finds by itself: no word
//! of another server is passed on.

use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde::Deserialize;
use tombolo_platform::{AskError, World};

use super::receive::{Failure, backfill::backfill};
use crate::{
    objects::{
        room::messages::{EventByTime, EventByTimeReply, Refusal},
        room_object,
    },
    remote::{
        api,
        client::{self, Ask, BRIEF},
        failing,
    },
};

/// How often a room is asked that has many events to look through, and for how long (ms): for a user, and for another
/// server.
const FOR_USERS: (usize, u64) = (500, 10_000);
const FOR_SERVERS: (usize, u64) = (5, 2_000);
/// How many servers are asked.
const MAX_SERVERS: usize = 3;
/// How often history is fetched, and until when (ms).
const MAX_FETCHES: usize = 10;
const PATIENCE: u64 = 20_000;

/// What another server says.
#[derive(Deserialize)]
struct Closest {
    origin_server_ts: i64,
}

/// The closest event, from other servers' history too.
pub async fn event_by_time(
    world: &World,
    room_id: &RoomId,
    ask: &EventByTime,
) -> Result<Option<(OwnedEventId, i64)>, Failure> {
    let until = world.now().saturating_add(PATIENCE);
    let mut known = held(world, room_id, ask).await?;
    let Some(gap) = &known.gap else { return Ok(known.found) };
    let Some(other) = ask_others(world, room_id, ask, &gap.servers).await else {
        return Ok(known.found);
    };
    for _ in 0..MAX_FETCHES {
        let Some(gap) = known.gap.take().filter(|_| is_closer(ask, other, &known)) else { break };
        if world.now() >= until || !backfill(world, room_id, &gap).await? {
            break;
        }
        known = held(world, room_id, ask).await?;
    }
    Ok(known.found)
}

/// The closest event that is held here, for another server. A room is looked through for a short while only: a server
/// that finds nothing here asks the next one.
pub async fn for_server(
    world: &World,
    room_id: &RoomId,
    ask: &EventByTime,
) -> Result<Option<(OwnedEventId, i64)>, AskError<Refusal>> {
    let known = look_through(world, room_id, ask, FOR_SERVERS).await?;
    Ok(known.and_then(|known| known.found))
}

/// The closest event that is held here, for a user. A room that does not come to an end is as good as out of reach.
async fn held(
    world: &World,
    room_id: &RoomId,
    ask: &EventByTime,
) -> Result<EventByTimeReply, AskError<Refusal>> {
    let too_long =
        || AskError::Unreachable("the room looks through its events for too long".into());
    look_through(world, room_id, ask, FOR_USERS).await?.ok_or_else(too_long)
}

/// What a room says once it has looked through its events; `None` where it is not done in so many asks or so much time.
async fn look_through(
    world: &World,
    room_id: &RoomId,
    ask: &EventByTime,
    (most, time): (usize, u64),
) -> Result<Option<EventByTimeReply>, AskError<Refusal>> {
    let until = world.now().saturating_add(time);
    let mut ask = ask.clone();
    for _ in 0..most {
        let known = world.ask(&room_object(room_id), &ask).await?;
        if !known.unfinished {
            return Ok(Some(known));
        }
        ask.after = known.reached;
        if world.now() >= until {
            break;
        }
    }
    Ok(None)
}

/// The time of the closest event that another server knows, as the first one says that answers.
async fn ask_others(
    world: &World,
    room_id: &RoomId,
    ask: &EventByTime,
    servers: &[OwnedServerName],
) -> Option<i64> {
    let path = api::timestamp_to_event(room_id, ask.ts, ask.backwards);
    for server in failing::last(world, servers.iter().collect(), MAX_SERVERS) {
        match client::ask::<Closest>(world, server, Ask::get(&path).within(BRIEF)).await {
            Ok(closest) => return Some(closest.origin_server_ts),
            Err(error) => tracing::info!(%server, %error, "no event by its time from there"),
        }
    }
    None
}

/// Whether a time lies in the direction that is asked for, and nearer than what is held.
fn is_closer(ask: &EventByTime, other: i64, known: &EventByTimeReply) -> bool {
    let fits = if ask.backwards { other <= ask.ts } else { other >= ask.ts };
    let nearer = |(_, own): &(OwnedEventId, i64)| other.abs_diff(ask.ts) < own.abs_diff(ask.ts);
    fits && known.found.as_ref().is_none_or(nearer)
}
