//! How does a room get what parked events build on?
//! ([missing events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))
//!
//! First the origin is asked for the events between our tips and the parked one. Where it cannot close the gap, the state
//! before the parked event is asked for, and the event enters with a hole below it. Who answers neither loses the event:
//! it may come again. Who cannot be reached has it kept.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::room_version::RoomVersion;

use super::{super::room, version};
use crate::{
    error::Result,
    flows::verify::verified,
    objects::room::messages::{
        Connect, Lack, Outcome, Purpose, Receive, Received, Unknown, Unpark,
    },
    remote::{
        RemoteError,
        client::{self, Ask, BRIEF},
    },
};

/// How often the origin is asked for what lies between.
const ROUNDS: usize = 10;
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
struct Gap<'a> {
    world: &'a World,
    origin: &'a OwnedServerName,
    room_id: &'a RoomId,
    version: &'static RoomVersion,
}

/// Fetches what is lacking, for some rounds; answers what became of the events meanwhile.
pub async fn fill(
    world: &World,
    origin: &OwnedServerName,
    room_id: &RoomId,
    mut received: Received,
) -> Result<BTreeMap<OwnedEventId, Outcome>> {
    let mut outcomes = BTreeMap::new();
    let Some(version) = version(world, room_id).await? else { return Ok(outcomes) };
    let gap = Gap { world, origin, room_id, version };
    let mut tried: BTreeSet<OwnedEventId> = BTreeSet::new();
    for _ in 0..ROUNDS {
        let Some(lack) =
            received.lacking.iter().find(|lack| !tried.contains(&lack.event_id)).cloned()
        else {
            break;
        };
        let answer = gap.close(&lack, &received.tips).await;
        match answer {
            Ok(Some(next)) => {
                let progress = next
                    .outcomes
                    .iter()
                    .any(|(_, outcome)| !matches!(outcome, Outcome::Known | Outcome::Parked));
                if !progress {
                    tried.insert(lack.event_id);
                }
                outcomes.extend(next.outcomes.iter().cloned());
                received = next;
            }
            Ok(None) => {
                tried.insert(lack.event_id);
            }
            Err(failure) => return gap.give_up(&lack, failure, outcomes).await,
        }
    }
    Ok(outcomes)
}

/// Why a gap stays open.
enum Failure {
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
    /// One attempt for one parked event.
    async fn close(
        &self,
        lack: &Lack,
        tips: &[OwnedEventId],
    ) -> std::result::Result<Option<Received>, Failure> {
        if !lack.auth_events.is_empty() {
            self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
            if lack.prev_events.is_empty() {
                return Ok(Some(self.give(Purpose::Gap, &[]).await?));
            }
        }
        let path =
            format!("/_matrix/federation/v1/get_missing_events/{}", encode(self.room_id.as_str()));
        let body = json!({ "latest_events": [lack.event_id], "earliest_events": tips, "limit": LIMIT, "min_depth": 0 });
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
    ) -> std::result::Result<Option<Received>, Failure> {
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
                    Ok(Some(self.give(Purpose::Gap, &[]).await?))
                } else {
                    self.connect(lowest).await
                }
            }
            _ => Ok(Some(received)),
        }
    }

    /// Asks for the state before the event, and lets the event in with it.
    async fn connect(&self, lack: &Lack) -> std::result::Result<Option<Received>, Failure> {
        let (room_id, event_id) = (encode(self.room_id.as_str()), encode(lack.event_id.as_str()));
        let path = format!("/_matrix/federation/v1/state_ids/{room_id}?event_id={event_id}");
        let ids: StateIds = client::ask(self.world, self.origin, Ask::get(&path)).await?;
        let wanted: Vec<OwnedEventId> =
            ids.auth_chain_ids.iter().chain(&ids.pdu_ids).cloned().collect();
        let unknown = self.world.ask(&room(self.room_id), &Unknown { event_ids: wanted }).await?;
        if unknown.len() > MAX_FETCHED {
            let path = format!("/_matrix/federation/v1/state/{room_id}?event_id={event_id}");
            let state: State =
                client::ask(self.world, self.origin, Ask::get(&path).within(client::LARGE)).await?;
            self.give(Purpose::Outlier, &[state.auth_chain, state.pdus].concat()).await?;
        } else {
            self.fetch_each(&unknown).await?;
        }
        self.fetch_auth(&lack.event_id, &lack.auth_events).await?;
        let connect = Connect {
            origin: self.origin.clone(),
            event_id: lack.event_id.clone(),
            state: ids.pdu_ids,
        };
        Ok(Some(self.world.ask(&room(self.room_id), &connect).await?))
    }

    /// Fetches the auth chain of an event, then one by one what the answer left out.
    async fn fetch_auth(
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
        let events = verified(self.world, self.version, events).await;
        Ok(self
            .world
            .ask(&room(self.room_id), &Receive { origin: self.origin.clone(), events, purpose })
            .await?)
    }

    /// Forgets the event if its server refuses to connect it; keeps it if the server is out of reach.
    async fn give_up(
        &self,
        lack: &Lack,
        failure: Failure,
        mut outcomes: BTreeMap<OwnedEventId, Outcome>,
    ) -> Result<BTreeMap<OwnedEventId, Outcome>> {
        match failure {
            Failure::Ours(error) => Err(error),
            Failure::Remote(error) => {
                tracing::info!(origin = %self.origin, event = %lack.event_id, %error, "a gap stays open");
                if error.is_answer() {
                    self.world
                        .ask(&room(self.room_id), &Unpark { event_id: lack.event_id.clone() })
                        .await?;
                    outcomes.insert(
                        lack.event_id.clone(),
                        Outcome::Dropped("what it builds on is unknown".to_owned()),
                    );
                }
                Ok(outcomes)
            }
        }
    }
}

/// An identifier as a path segment or the value of a query.
pub fn encode(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}
