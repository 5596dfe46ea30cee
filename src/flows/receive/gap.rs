//! How does a room get the events that parked events build on?
//! ([missing events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))
//!
//! First the origin is asked for the events between our extremities and the parked event. If it cannot give them all,
//! it is asked for the state before the parked event, which then enters with a gap below it. If the origin is out of
//! reach or refuses, the event stays parked; the room's alarm tries again, also with other servers in the room.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;

use super::{
    source::{Failure, Source},
    versions::version,
};
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        room::messages::{Connect, Lack, Outcome, Participants, Purpose, Received, ReceivedState},
        room_object,
    },
    remote::{
        RemoteError, answered, api,
        client::{self, Ask, BRIEF},
        failing,
    },
};

/// How long a gap is worked on (ms); the room's alarm continues later.
const PATIENCE: u64 = 10_000;
/// How many rounds of requests for missing events one server gets.
const ROUNDS: usize = 10;
/// How many servers beside the origin are asked.
const OTHERS: usize = 3;
/// How many events are asked for at once.
const LIMIT: usize = 20;

#[derive(Deserialize)]
struct MissingEvents {
    events: Vec<Box<RawValue>>,
}

/// Fetches the lacking events from the origin, and then from others in the room; returns the outcomes so far. For
/// events that only a stranger sent, no other server is asked.
pub async fn fill(
    world: &World,
    origin: &OwnedServerName,
    room_id: &RoomId,
    received: Received,
) -> Result<BTreeMap<OwnedEventId, Outcome>, Ours> {
    let Some(version) = version(world, room_id).await? else { return Ok(BTreeMap::new()) };
    let until = world.now() + PATIENCE;
    let stranger = received.stranger;
    let mut open = Open::default();
    open.note(received);
    let source = Source { world, origin, room_id, version, stranger, until };
    let goes_on = source.narrow_by_one(&mut open).await?;
    if stranger || !goes_on || open.lacking.is_empty() {
        return Ok(open.outcomes);
    }
    let others = match others(world, Some(origin), room_id).await {
        Ok(others) => others,
        // Events that came in stay; the room's alarm tries again.
        Err(error) => {
            tracing::warn!(room = %room_id, %error, "nobody else can be asked");
            return Ok(open.outcomes);
        }
    };
    for origin in &others {
        let goes_on = Source { origin, ..source }.narrow_by_one(&mut open).await?;
        if !goes_on || open.lacking.is_empty() || world.now() >= until {
            break;
        }
    }
    Ok(open.outcomes)
}

/// Asks servers in the room for events that nobody could verify, until all are there.
pub async fn fetch_wanted(
    world: &World,
    room_id: &RoomId,
    mut wanted: Vec<OwnedEventId>,
) -> Result<(), Failure> {
    let Some(version) = version(world, room_id).await? else { return Ok(()) };
    for origin in &others(world, None, room_id).await? {
        let until = world.now() + PATIENCE;
        let source = Source { world, origin, room_id, version, stranger: false, until };
        match source.fetch_single(&wanted).await {
            Ok(unknown) if unknown.is_empty() => break,
            Ok(unknown) => wanted = unknown,
            Err(Failure::Ours(error)) => return Err(error.into()),
            Err(Failure::Room(_)) => break,
            Err(Failure::Remote(error)) => {
                tracing::info!(server = %origin, %error, "what was left out is not there");
            }
        }
    }
    Ok(())
}

/// The other servers in the room, those that failed lately last. They may answer where the origin does not: the origin
/// may not know yet that we are in the room.
async fn others(
    world: &World,
    origin: Option<&OwnedServerName>,
    room_id: &RoomId,
) -> Result<Vec<OwnedServerName>, Failure> {
    let own = &Config::of(world)?.server_name;
    let participants = world.ask(&room_object(room_id), &Participants {}).await?;
    let mut others = participants.servers;
    others.retain(|server| Some(server) != origin && server != own);
    Ok(failing::last(world, others, OTHERS))
}

/// The parked events with what they lack, and the outcomes so far.
#[derive(Default)]
struct Open {
    lacking: BTreeMap<OwnedEventId, Lack>,
    outcomes: BTreeMap<OwnedEventId, Outcome>,
    extremities: Vec<OwnedEventId>,
    min_depth: u64,
    /// How many events came in.
    came: usize,
}

impl Open {
    fn note(&mut self, received: Received) {
        for (id, outcome) in received.outcomes {
            self.lacking.remove(&id);
            match outcome {
                // An earlier outcome of the event says more.
                Outcome::Known => _ = self.outcomes.entry(id).or_insert(outcome),
                Outcome::Parked | Outcome::Dropped(_) => _ = self.outcomes.insert(id, outcome),
                Outcome::Accepted | Outcome::SoftFailed(_) | Outcome::Rejected(_) => {
                    self.came += 1;
                    self.outcomes.insert(id, outcome);
                }
            }
        }
        self.lacking.extend(received.lacking.into_iter().map(|lack| (lack.event_id.clone(), lack)));
        (self.extremities, self.min_depth) = (received.extremities, received.min_depth);
    }

    /// A parked event that was not tried. One that builds on no other parked event comes first: once it is in, those that
    /// build on it may lack nothing else.
    fn next(&self, tried: &BTreeSet<OwnedEventId>) -> Option<Lack> {
        let untried = || self.lacking.values().filter(|lack| !tried.contains(&lack.event_id));
        untried().find(|lack| self.is_lowest(lack)).or_else(|| untried().next()).cloned()
    }

    /// The first of these parked events that builds on no other parked event.
    fn lowest(&self, of: &[OwnedEventId]) -> Option<Lack> {
        let mut open = of.iter().filter_map(|id| self.lacking.get(id));
        open.find(|lack| self.is_lowest(lack)).cloned()
    }

    fn is_lowest(&self, lack: &Lack) -> bool {
        lack.prev_events.iter().all(|prev| !self.lacking.contains_key(prev))
    }
}

impl Source<'_> {
    /// Fetches from this server what it can give; answers whether other servers may be asked.
    async fn narrow_by_one(&self, open: &mut Open) -> Result<bool, Ours> {
        match self.narrow(open).await {
            Ok(()) => Ok(true),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Room(refusal)) => {
                tracing::info!(room = %self.room_id, %refusal, "the room takes nothing in");
                Ok(false)
            }
            Err(Failure::Remote(error)) => {
                tracing::info!(server = %self.origin, room = %self.room_id, %error, "a gap stays open");
                Ok(true)
            }
        }
    }

    /// Works on the lacking events for some rounds.
    ///
    /// # Errors
    /// This server cannot help any further, or no server can.
    async fn narrow(&self, open: &mut Open) -> Result<(), Failure> {
        let mut tried: BTreeSet<OwnedEventId> = BTreeSet::new();
        for _ in 0..ROUNDS {
            let Some(lack) = open.next(&tried) else { break };
            let came = open.came;
            match self.close(&lack, open).await {
                // A server that cannot help with this event may help with others.
                Err(Failure::Remote(
                    error @ (RemoteError::Answered { .. } | RemoteError::Nonsense(_)),
                )) => {
                    tracing::info!(server = %self.origin, event = %lack.event_id, %error, "it is no help");
                }
                closed => closed?,
            }
            if open.came == came {
                tried.insert(lack.event_id);
            }
        }
        Ok(())
    }

    /// Tries once to bring in one parked event.
    async fn close(&self, lack: &Lack, open: &mut Open) -> Result<(), Failure> {
        self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        if lack.prev_events.is_empty() {
            return self.judge_again(lack, open).await;
        }
        let path = api::get_missing_events(self.room_id);
        let body = client::content(&api::MissingEvents {
            earliest_events: &open.extremities,
            latest_events: std::slice::from_ref(&lack.event_id),
            limit: LIMIT,
            min_depth: open.min_depth,
        })?;
        let answer = self.ask::<MissingEvents>(Ask::post(&path, &body).within(BRIEF)).await;
        let mut events = answered(answer)?.map_or_else(Vec::new, |missing| missing.events);
        events.truncate(LIMIT);
        if events.is_empty() {
            return self.connect(lack, open).await;
        }
        let received = self.give(Purpose::Gap, &events, &lack.event_id).await?;
        // Events that are held already, or are dropped as history, do not help.
        let helpless = |outcome: &Outcome| matches!(outcome, Outcome::Known | Outcome::Dropped(_));
        let helpless = received.outcomes.iter().all(|(_, outcome)| helpless(outcome));
        let lacking: Vec<_> = received.lacking.iter().map(|lack| lack.event_id.clone()).collect();
        open.note(received);
        if !open.lacking.contains_key(&lack.event_id) {
            return Ok(());
        }
        if helpless {
            return self.connect(lack, open).await;
        }
        // If the new events do not reach down to what we hold, the lowest of them enters by the state before it.
        match open.lowest(&lacking).filter(|lowest| lowest.event_id != lack.event_id) {
            Some(lowest) => {
                self.fetch_auth(&lowest.event_id, &lowest.auth_events).await?;
                if lowest.prev_events.is_empty() {
                    self.judge_again(&lowest, open).await
                } else {
                    self.connect(&lowest, open).await
                }
            }
            None => Ok(()),
        }
    }

    /// Has the room judge a parked event again: its auth events were fetched, and it may lack nothing else.
    async fn judge_again(&self, lack: &Lack, open: &mut Open) -> Result<(), Failure> {
        open.note(self.give(Purpose::Gap, &[], &lack.event_id).await?);
        Ok(())
    }

    /// Asks for the state before a parked event, and has the room let the event in with that state.
    async fn connect(&self, lack: &Lack, open: &mut Open) -> Result<(), Failure> {
        if self.stranger {
            let reason = "it was never in the room".to_owned();
            return Err(RemoteError::Nonsense(reason).into());
        }
        let ReceivedState { event_id, state, missing } = self.state_before(&lack.event_id).await?;
        self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        let connect = Connect { origin: self.origin.clone(), event_id, state, missing };
        open.note(self.world.ask(&room_object(self.room_id), &connect).await?);
        Ok(())
    }
}
