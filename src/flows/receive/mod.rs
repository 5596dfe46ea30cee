//! What happens to a transaction of another server?
//! ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))
//!
//! Each PDU is verified here, and each room gets its PDUs in one message. Events that a room lacks are asked of the
//! origin, for a few rounds, and are verified in the same way. An event that still lacks others stays parked until they
//! arrive.

pub mod backfill;
mod edus;
pub mod fetch;
mod gap;
pub mod incoming_state;
mod source;
#[cfg(test)]
mod tests;
mod texts;
pub mod verify;
mod versions;

pub use self::{
    source::{Failure, Source},
    versions::version,
};

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    admission::Checked,
    event::{self, fields},
    room_version::RoomVersion,
};

use self::verify::Dropped;
use crate::{
    flows::telling::tell,
    objects::{
        room::messages::{Outcome, Purpose, Receive, Reconsider, Refusal},
        room_object,
    },
};

/// How many rooms are worked on at once.
const ROOMS_AT_ONCE: usize = 8;
/// For how long transactions of a server come again since a room cannot be reached (ms), and after how long without one
/// that is over. Of how many servers that is remembered in an isolate; beyond that, it begins anew.
const PATIENCE: u64 = 600_000;
const OVER: u64 = 3_600_000;
const MOST_SERVERS: usize = 5_000;

/// The body of a transaction. Its own `origin` is not read: the request's signature says who sent it.
#[derive(Deserialize)]
pub struct Transaction {
    pub pdus: Vec<Box<RawValue>>,
    #[serde(default)]
    pub edus: Vec<Box<RawValue>>,
}

/// Takes a transaction; answers what became of each event, as far as its ID is known. Where a room cannot be reached, it
/// is to come again, or an event may be lost that no later one leads to: for a while, since a server sends nothing else
/// meanwhile.
pub async fn receive(
    world: &World,
    origin: &OwnedServerName,
    transaction: Transaction,
) -> Result<BTreeMap<OwnedEventId, Outcome>, Failure> {
    let Known { pdus, mut reached, mut failure } = versions(world, &transaction.pdus).await;
    let mut results: BTreeMap<OwnedEventId, Outcome> = BTreeMap::new();
    let verdicts =
        verify::verify(world, pdus.iter().map(|(_, version, event)| (*version, *event))).await;
    let mut rooms: BTreeMap<OwnedRoomId, Vec<Checked>> = BTreeMap::new();
    for ((room_id, ..), verdict) in pdus.iter().zip(verdicts) {
        match verdict {
            Ok(event) => rooms.entry(room_id.clone()).or_default().push(event),
            Err(Dropped { event_id: Some(id), reason }) => {
                results.insert(id, Outcome::Dropped(reason));
            }
            // An event without an ID cannot be answered for.
            Err(Dropped { event_id: None, .. }) => {}
        }
    }
    for (ids, outcomes) in receive_in_rooms(world, origin, rooms).await {
        match outcomes {
            Ok(outcomes) => {
                reached = true;
                results.extend(outcomes);
            }
            // A room that fails does not keep the others from these events.
            Err(error) => {
                let unreached = Outcome::Dropped("the room cannot be reached".to_owned());
                results.extend(ids.into_iter().map(|id| (id, unreached.clone())));
                failure = Some(error);
            }
        }
    }
    let young = |pdu: &RawValue| made_at(pdu).abs_diff(world.now()) < OVER;
    let comes_again = comes_again(world, origin, failure.is_some())
        && transaction.pdus.iter().any(|pdu| young(pdu));
    if let Some(error) = failure.filter(|_| !reached || comes_again) {
        return Err(error);
    }
    let (mut budget, mut lost) = (edus::Budget::default(), None);
    for edu in &transaction.edus {
        if let Err(error) = edus::take_effect(world, origin, edu, &mut budget).await {
            tracing::warn!(%origin, %error, "an EDU has no effect yet");
            lost = Some(error);
        }
    }
    edus::take_last(world, origin, budget).await;
    // It all comes again then. What has had its effect has none again.
    lost.map_or(Ok(results), |error| Err(error.into()))
}

/// When an event says that it was made (ms). An isolate that knows nothing of earlier failures has no other measure.
fn made_at(pdu: &RawValue) -> u64 {
    let [at] = fields(pdu, ["origin_server_ts"]);
    at.and_then(|at| at.get().parse().ok()).unwrap_or_default()
}

/// Since when and until when transactions of each server have failed (ms), since a room could not be reached.
#[derive(Default)]
struct Failing(RefCell<BTreeMap<OwnedServerName, (u64, u64)>>);

/// Whether a transaction is to come again that failed for a room. It notes it.
fn comes_again(world: &World, origin: &OwnedServerName, failed: bool) -> bool {
    let failing = world.isolate(|_| Failing::default());
    let (mut failing, now) = (failing.0.borrow_mut(), world.now());
    if !failed {
        failing.remove(origin);
        return false;
    }
    if failing.len() >= MOST_SERVERS && !failing.contains_key(origin) {
        failing.clear();
    }
    let (since, last) = failing.entry(origin.clone()).or_insert((now, now));
    if last.saturating_add(OVER) <= now {
        *since = now;
    }
    *last = now;
    now < since.saturating_add(PATIENCE)
}

/// Gives each room its events, several rooms at once; returns for each room the event IDs and the outcomes.
async fn receive_in_rooms(
    world: &World,
    origin: &OwnedServerName,
    rooms: BTreeMap<OwnedRoomId, Vec<Checked>>,
) -> Vec<(Vec<OwnedEventId>, Result<Vec<(OwnedEventId, Outcome)>, Failure>)> {
    stream::iter(rooms)
        .map(|(room_id, events)| async move {
            let ids = events.iter().map(|event| event.event_id.clone()).collect();
            let outcomes = receive_in_room(world, origin, &room_id, events).await;
            if let Err(error) = &outcomes {
                tracing::warn!(room = %room_id, %error, "a room took nothing in");
            }
            (ids, outcomes)
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .collect()
        .await
}

/// Gives a room events of another server, and fetches the events that these build on and the room lacks.
pub async fn receive_in_room(
    world: &World,
    origin: &OwnedServerName,
    room_id: &RoomId,
    events: Vec<Checked>,
) -> Result<Vec<(OwnedEventId, Outcome)>, Failure> {
    let (purpose, again) = (Purpose::Live, Vec::new());
    let asked: Vec<_> = events.iter().map(|event| event.event_id.clone()).collect();
    let receive = Receive { origin: origin.clone(), events, purpose, again };
    let received = match world.ask(&room_object(room_id), &receive).await {
        Ok(received) => received,
        Err(AskError::Refused(Refusal::Absent)) => {
            let unknown = Outcome::Dropped("the room is unknown here".to_owned());
            return Ok(asked.into_iter().map(|id| (id, unknown.clone())).collect());
        }
        Err(error) => return Err(error.into()),
    };
    let mut outcomes: BTreeMap<_, _> = received.outcomes.iter().cloned().collect();
    if !received.lacking.is_empty() {
        match gap::fill(world, origin, room_id, received).await {
            Ok(filled) => outcomes.extend(filled),
            // The room's alarm tries parked events again.
            Err(error) => {
                tracing::warn!(room = %room_id, %error, "a gap stays open");
            }
        }
    }
    if outcomes.values().any(Outcome::is_held) {
        tell::tell_locals(world, room_id).await;
    }
    Ok(outcomes.into_iter().filter(|(id, _)| asked.contains(id)).collect())
}

/// The events of a transaction whose room is known here.
struct Known<'a> {
    pdus: Vec<(OwnedRoomId, &'static RoomVersion, &'a RawValue)>,
    /// Whether some room answered, if only that it is unknown here: then the transaction as a whole does not fail.
    reached: bool,
    /// Why a room did not answer.
    failure: Option<Failure>,
}

/// Finds the room version of each event. Events of unknown rooms have no effect: without the room version not even
/// their event ID is known.
async fn versions<'a>(world: &World, pdus: &'a [Box<RawValue>]) -> Known<'a> {
    let mut known = Known { pdus: Vec::new(), reached: false, failure: None };
    let mut others: BTreeSet<OwnedRoomId> = BTreeSet::new();
    for pdu in pdus {
        let room_id = event::field(pdu, "room_id")
            .and_then(|id| serde_json::from_str::<String>(id.get()).ok());
        let Some(room_id) = room_id.and_then(|id| RoomId::parse(id).ok()) else { continue };
        if others.contains(&room_id) {
            continue;
        }
        match version(world, &room_id).await {
            Ok(Some(version)) => known.pdus.push((room_id, version, &**pdu)),
            Ok(None) => {
                known.reached = true;
                others.insert(room_id);
            }
            Err(error) => {
                tracing::warn!(room = %room_id, %error, "a room is out of reach");
                known.failure = Some(error.into());
                others.insert(room_id);
            }
        }
    }
    known
}

/// Tries parked events again that are due, and fetches events that are left out of a state; answers when to come again
/// (ms).
pub async fn retry(world: &World, room_id: &RoomId) -> Result<Option<u64>, Failure> {
    let reconsidered = match world.ask(&room_object(room_id), &Reconsider {}).await {
        Ok(reconsidered) => reconsidered,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Each attempt is counted already: one that fails does not keep the others from being made.
    let mut ended = Ok(());
    for (origin, received) in reconsidered.due {
        match gap::fill(world, &origin, room_id, received).await {
            Ok(outcomes) if outcomes.values().any(Outcome::is_held) => {
                tell::tell_locals(world, room_id).await;
            }
            Ok(_) => {}
            Err(error) => ended = Err(error.into()),
        }
    }
    if !reconsidered.wanted.is_empty() {
        ended = gap::fetch_wanted(world, room_id, reconsidered.wanted).await.and(ended);
    }
    ended.map(|()| reconsidered.next)
}
