//! How is history below a gap fetched from other servers?
//! ([backfilling](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))
//!
//! A server in the room is asked for the events below the gap, and for the state before the lowest of them: so these
//! events are judged, and shown, by the state of their own time.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, RoomId};
use tombolo_platform::World;

use super::{Failure, Source, fetch::Events, verify::verified_history, version};
use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{History, HistoryGap, Lack, Outcome, Received, ReceivedState},
        room_object,
    },
    remote::{
        api,
        client::{self, Ask},
        failing,
    },
};

/// How long one server is asked (ms).
const PATIENCE: u64 = 30_000;
/// How many events are asked for.
const LIMIT: usize = 100;
/// How many servers are tried.
const MAX_SERVERS: usize = 5;
/// How many times one server is asked for what the events of its answer lack.
const ROUNDS: usize = 4;
/// For how many events of an answer the state before the event is asked.
const MAX_STATES: usize = 10;

/// Fills a gap from one of the servers in the room; answers whether any event was accepted.
pub async fn backfill(world: &World, room_id: &RoomId, gap: &HistoryGap) -> Result<bool, Ours> {
    let Some(version) = version(world, room_id).await? else { return Ok(false) };
    let servers = failing::last(world, gap.servers.iter().collect(), MAX_SERVERS);
    let last = servers.last().copied();
    for server in servers {
        let until = world.now() + PATIENCE;
        let source = Source { world, origin: server, room_id, version, stranger: false, until };
        match fill(&source, gap, Some(server) != last).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(Failure::Ours(error)) => return Err(error),
            // The room refuses: we left it, and may see no more of it than we hold.
            Err(Failure::Room(_)) => return Ok(false),
            Err(Failure::Remote(error)) => {
                tracing::info!(%server, %error, "no history from there");
            }
        }
    }
    Ok(false)
}

/// Asks one server; `others` says whether further servers can be asked after it.
async fn fill(source: &Source<'_>, gap: &HistoryGap, others: bool) -> Result<bool, Failure> {
    let path = api::backfill(source.room_id, &gap.below, LIMIT);
    let answer: Events = client::ask(source.world, source.origin, Ask::get(&path)).await?;
    let events = verified_history(source.world, source.version, &answer.pdus).await;
    let mut history = History { events, asked: gap.below.clone(), states: Vec::new(), others };
    let mut received = source.world.ask(&room_object(source.room_id), &history).await?;
    let mut came = any(&received);
    for _ in 0..ROUNDS {
        if !help(source, &received, &mut history.states).await? {
            break;
        }
        received = source.world.ask(&room_object(source.room_id), &history).await?;
        came = came || any(&received);
    }
    Ok(came)
}

/// Fetches the auth events and the states that events lack; answers whether there was anything to fetch.
async fn help(
    source: &Source<'_>,
    received: &Received,
    states: &mut Vec<ReceivedState>,
) -> Result<bool, Failure> {
    let mut helped = false;
    if let Some(lack) = received.lacking.iter().find(|lack| !lack.auth_events.is_empty()) {
        source.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        helped = true;
    }
    let waiting: BTreeSet<&OwnedEventId> =
        received.lacking.iter().map(|lack| &lack.event_id).collect();
    // An event whose prev event is history with a position is lowest too: history is no parent, and gives no state.
    let lowest = |lack: &&Lack| lack.prev_events.iter().any(|prev| !waiting.contains(prev));
    for lack in received.lacking.iter().filter(lowest) {
        let asked = states.iter().any(|state| state.event_id == lack.event_id);
        if asked || states.len() == MAX_STATES {
            continue;
        }
        states.push(source.state_before(&lack.event_id).await?);
        helped = true;
    }
    Ok(helped)
}

fn any(received: &Received) -> bool {
    received.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted))
}
