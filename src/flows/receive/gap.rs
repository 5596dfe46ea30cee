//! How does a room get what parked events build on?
//! ([missing events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))
//!
//! First the origin is asked for the events between our tips and the parked one. Where it cannot close the gap, the state
//! before the parked event is asked for, and the event enters with a hole below it. Where the origin is out of reach or
//! refuses, the event stays parked, and the room's alarm tries again, with others in the room too.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::room_version::RoomVersion;

use super::{super::room, version};
use crate::{
    config::Config,
    error::Result,
    flows::verify::verified,
    objects::room::messages::{
        Connect, Lack, Outcome, Participants, Purpose, Receive, Received, Unknown,
    },
    remote::{
        RemoteError,
        client::{self, Ask, BRIEF},
    },
};

/// How often the origin is asked for what lies between.
const ROUNDS: usize = 10;
/// How many servers beside the origin are asked.
const OTHERS: usize = 3;
/// How many events are asked for at once.
const LIMIT: u32 = 20;
/// How many single events are fetched for one state.
const MAX_FETCHED: usize = 500;

#[derive(Deserialize)]
struct MissingEvents {
    events: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct AuthChain {
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct StateIds {
    pdu_ids: Vec<OwnedEventId>,
    auth_chain_ids: Vec<OwnedEventId>,
}

#[derive(Deserialize)]
struct State {
    pdus: Vec<Box<RawValue>>,
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Single {
    pdus: Vec<Box<RawValue>>,
}

/// One room and the server that sent it something.
pub struct Gap<'a> {
    pub world: &'a World,
    pub origin: &'a OwnedServerName,
    pub room_id: &'a RoomId,
    pub version: &'static RoomVersion,
}

/// Fetches what is lacking from these servers, in turn; answers what became of the events meanwhile.
pub async fn fill(
    world: &World,
    sources: &[OwnedServerName],
    room_id: &RoomId,
    received: Received,
) -> Result<BTreeMap<OwnedEventId, Outcome>> {
    let mut outcomes = BTreeMap::new();
    let Some(version) = version(world, room_id).await? else { return Ok(outcomes) };
    let mut open = Some(received);
    for origin in sources {
        let Some(received) = open.take() else { break };
        let gap = Gap { world, origin, room_id, version };
        open = gap.narrow(received, &mut outcomes).await?;
    }
    Ok(outcomes)
}

/// The origin, then others in the room: it may know less of us than they do.
pub async fn sources(
    world: &World,
    origin: &OwnedServerName,
    room_id: &RoomId,
) -> Result<Vec<OwnedServerName>> {
    let own = &Config::of(world)?.server_name;
    let participants = world.ask(&room(room_id), &Participants { users: false }).await?;
    let others =
        participants.servers.into_iter().filter(|server| server != origin && server != own);
    Ok(std::iter::once(origin.clone()).chain(others.take(OTHERS)).collect())
}

/// Whether anything came in.
fn has_progress(received: &Received) -> bool {
    let came = |outcome: &Outcome| !matches!(outcome, Outcome::Known | Outcome::Parked);
    received.outcomes.iter().any(|(_, outcome)| came(outcome))
}

/// Why a gap stays open.
pub enum Failure {
    Remote(RemoteError),
    Ours(crate::error::Error),
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl<R: Into<crate::error::Error> + std::fmt::Debug> From<tombolo_platform::AskError<R>>
    for Failure
{
    fn from(error: tombolo_platform::AskError<R>) -> Self {
        Self::Ours(error.into())
    }
}

impl Gap<'_> {
    /// Fetches for some rounds what is lacking; answers what is still lacking, if this server is of no more help.
    async fn narrow(
        &self,
        mut received: Received,
        outcomes: &mut BTreeMap<OwnedEventId, Outcome>,
    ) -> Result<Option<Received>> {
        let mut tried: BTreeSet<OwnedEventId> = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut lacking = received.lacking.iter();
            let Some(lack) = lacking.find(|lack| !tried.contains(&lack.event_id)).cloned() else {
                break;
            };
            match self.close(&lack, &received).await {
                Ok(next) => {
                    if !has_progress(&next) {
                        tried.insert(lack.event_id);
                    }
                    outcomes.extend(next.outcomes.iter().cloned());
                    received = next;
                }
                Err(Failure::Ours(error)) => return Err(error),
                Err(Failure::Remote(error)) => {
                    tracing::info!(server = %self.origin, event = %lack.event_id, %error, "a gap stays open");
                    return Ok(Some(received));
                }
            }
        }
        Ok((!received.lacking.is_empty()).then_some(received))
    }

    /// One attempt for one parked event.
    async fn close(
        &self,
        lack: &Lack,
        received: &Received,
    ) -> std::result::Result<Received, Failure> {
        self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        if lack.prev_events.is_empty() {
            return self.give(Purpose::Gap, &[]).await;
        }
        let path =
            format!("/_matrix/federation/v1/get_missing_events/{}", encode(self.room_id.as_str()));
        let body = json!({ "latest_events": [lack.event_id], "earliest_events": received.tips, "limit": LIMIT, "min_depth": received.min_depth });
        let answer = client::ask::<MissingEvents>(
            self.world,
            self.origin,
            Ask::post(&path, &body).within(BRIEF),
        )
        .await;
        if let Ok(missing) = answer
            && !missing.events.is_empty()
        {
            let received = self.give(Purpose::Gap, &missing.events).await?;
            if received.outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Known)) {
                return self.or_connect(lack, received).await;
            }
        }
        self.connect(lack).await
    }

    /// Where what came does not reach down to what we hold, the lowest of it is connected by its state.
    async fn or_connect(
        &self,
        lack: &Lack,
        received: Received,
    ) -> std::result::Result<Received, Failure> {
        let open: Vec<&Lack> = received.lacking.iter().collect();
        let parked: BTreeSet<&OwnedEventId> = open.iter().map(|lack| &lack.event_id).collect();
        let lowest = open
            .iter()
            .find(|lack| lack.prev_events.iter().all(|prev| !parked.contains(prev)))
            .copied();
        match lowest {
            Some(lowest) if lowest.event_id != lack.event_id => {
                if !lowest.auth_events.is_empty() {
                    self.fetch_auth(&lowest.event_id, &lowest.auth_events).await?;
                }
                if lowest.prev_events.is_empty() {
                    self.give(Purpose::Gap, &[]).await
                } else {
                    self.connect(lowest).await
                }
            }
            _ => Ok(received),
        }
    }

    /// Asks for the state before the event, and lets the event in with it.
    async fn connect(&self, lack: &Lack) -> std::result::Result<Received, Failure> {
        let state = self.state_before(&lack.event_id).await?;
        self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        let (origin, event_id) = (self.origin.clone(), lack.event_id.clone());
        Ok(self.world.ask(&room(self.room_id), &Connect { origin, event_id, state }).await?)
    }

    /// The state before an event as the server tells it; what of it the room does not hold is fetched.
    pub async fn state_before(
        &self,
        event_id: &OwnedEventId,
    ) -> std::result::Result<Vec<OwnedEventId>, Failure> {
        let (room_id, event_id) = (encode(self.room_id.as_str()), encode(event_id.as_str()));
        let path = format!("/_matrix/federation/v1/state_ids/{room_id}?event_id={event_id}");
        let ids: StateIds = client::ask(self.world, self.origin, Ask::get(&path)).await?;
        let wanted: Vec<OwnedEventId> =
            ids.auth_chain_ids.iter().chain(&ids.pdu_ids).cloned().collect();
        let unknown = self.world.ask(&room(self.room_id), &Unknown { event_ids: wanted }).await?;
        if unknown.len() <= MAX_FETCHED {
            self.fetch_each(&unknown).await?;
        }
        // A state with gaps would judge the event wrongly: what did not come one by one comes all together. What is still
        // missing could not be verified; another attempt may find the keys.
        let unknown = self.world.ask(&room(self.room_id), &Unknown { event_ids: unknown }).await?;
        if !unknown.is_empty() {
            let path = format!("/_matrix/federation/v1/state/{room_id}?event_id={event_id}");
            let ask = Ask::get(&path).within(client::LARGE);
            let state: State = client::ask(self.world, self.origin, ask).await?;
            self.give(Purpose::Outlier, &[state.auth_chain, state.pdus].concat()).await?;
            let ask = Unknown { event_ids: ids.pdu_ids.clone() };
            if !self.world.ask(&room(self.room_id), &ask).await?.is_empty() {
                let reason = "its state cannot be verified".to_owned();
                return Err(RemoteError::Unreachable(reason).into());
            }
        }
        Ok(ids.pdu_ids)
    }

    /// Fetches the auth chain of an event, then one by one what the answer left out.
    pub async fn fetch_auth(
        &self,
        event_id: &OwnedEventId,
        wanted: &[OwnedEventId],
    ) -> std::result::Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let path = format!(
            "/_matrix/federation/v1/event_auth/{}/{}",
            encode(self.room_id.as_str()),
            encode(event_id.as_str())
        );
        if let Ok(answer) =
            client::ask::<AuthChain>(self.world, self.origin, Ask::get(&path).within(BRIEF)).await
        {
            self.give(Purpose::Outlier, &answer.auth_chain).await?;
        }
        let unknown =
            self.world.ask(&room(self.room_id), &Unknown { event_ids: wanted.to_vec() }).await?;
        self.fetch_each(&unknown).await
    }

    async fn fetch_each(&self, ids: &[OwnedEventId]) -> std::result::Result<(), Failure> {
        let mut events = Vec::new();
        for id in ids.iter().take(MAX_FETCHED) {
            let path = format!("/_matrix/federation/v1/event/{}", encode(id.as_str()));
            match client::ask::<Single>(self.world, self.origin, Ask::get(&path).within(BRIEF))
                .await
            {
                Ok(single) => events.extend(single.pdus),
                // One event it does not give need not spoil the others.
                Err(RemoteError::Answered { .. } | RemoteError::Nonsense(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !events.is_empty() {
            self.give(Purpose::Outlier, &events).await?;
        }
        Ok(())
    }

    /// Verifies events and gives them to the room.
    async fn give(
        &self,
        purpose: Purpose,
        events: &[Box<RawValue>],
    ) -> std::result::Result<Received, Failure> {
        let events = verified(self.world, self.version, events, self.origin).await;
        Ok(self
            .world
            .ask(&room(self.room_id), &Receive { origin: self.origin.clone(), events, purpose })
            .await?)
    }
}

/// An identifier as a path segment or the value of a query.
pub fn encode(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}
