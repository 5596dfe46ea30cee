//! How are events fetched that one server holds and a room lacks?
//!
//! Each answer is verified and given to the room in parts, each event after those it cites. Once the gap's time is up,
//! no further request is sent.

use futures_util::{StreamExt, stream};
use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    incoming_state::{IncomingState, Ordered},
    source::{Failure, Source},
};
use crate::{
    objects::{
        room::messages::{Purpose, Receive, ReceivedState, Unknown},
        room_object,
    },
    remote::{
        RemoteError, answered, api,
        client::{self, Ask, BRIEF, LARGE},
        pieces::Pieces,
    },
};

/// How many single events are fetched for one event or state, and how many at once.
const MAX_FETCHED: usize = 50;
const AT_ONCE: usize = 6;
/// For how many of these events the auth chain is fetched too.
const MAX_CHAINS: usize = 10;
/// How many events a state and its auth chain may have.
const MAX_STATE: usize = 250_000;
/// How many events of a state may stay missing because nobody can verify them; the room allows fewer that are new to
/// it.
const MAX_MISSING: usize = 10_000;
/// How many events the room is asked about at once.
const IDS_AT_ONCE: usize = 5000;

#[derive(Deserialize)]
struct AuthChain {
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct StateIds {
    pdu_ids: Vec<OwnedEventId>,
    auth_chain_ids: Vec<OwnedEventId>,
}

/// The events of an answer, in the form that several endpoints share.
#[derive(Deserialize)]
pub struct Events {
    pub pdus: Vec<Box<RawValue>>,
}

impl Source<'_> {
    /// The state before an event, as the server gives it; events that the room lacks are fetched. A few may stay
    /// missing because nobody can verify them.
    pub async fn state_before(&self, id: &OwnedEventId) -> Result<ReceivedState, Failure> {
        let path = api::state_ids(self.room_id, id);
        let ids: StateIds = self.ask(Ask::get(&path)).await?;
        if ids.pdu_ids.len() + ids.auth_chain_ids.len() > MAX_STATE {
            return Err(RemoteError::Nonsense("its state is too large".to_owned()).into());
        }
        let mut missing = self.unknown(&ids.pdu_ids).await?;
        let wanted = self.unknown_but(&missing, true).await?;
        if !wanted.is_empty() {
            self.fetch_state(id, &[ids.auth_chain_ids, wanted].concat()).await?;
            missing = self.unknown(&missing).await?;
        }
        if missing.len() > MAX_MISSING {
            return Err(RemoteError::Nonsense("its state cannot be verified".to_owned()).into());
        }
        Ok(ReceivedState { event_id: id.clone(), state: ids.pdu_ids, missing })
    }

    /// Fetches the events of a state and its auth chain that the room lacks.
    async fn fetch_state(&self, id: &EventId, ids: &[OwnedEventId]) -> Result<(), Failure> {
        let unknown = self.unknown(ids).await?;
        if unknown.len() <= MAX_FETCHED {
            self.fetch_each(&unknown).await?;
        }
        if self.unknown(&unknown).await?.is_empty() {
            return Ok(());
        }
        // If too many are unknown, or some could not be stored, the whole state is fetched in one request.
        let path = api::state(self.room_id, id);
        self.in_time()?;
        let ask = Ask::get(&path).within(LARGE);
        let answer = Pieces::of(client::open(self.world, self.origin, ask).await?);
        let mut incoming = self.incoming();
        if let Err(failure) = read_state(answer, &mut incoming).await {
            incoming.forget().await;
            return Err(failure);
        }
        self.store_outliers(incoming).await
    }

    /// Fetches events one by one, and the auth chains of those that could not be stored; returns the IDs of the events
    /// that the room still lacks.
    pub async fn fetch_single(&self, ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, Failure> {
        self.fetch_each(ids).await?;
        for id in self.unknown(ids).await?.iter().take(MAX_CHAINS) {
            self.fetch_auth(id, std::slice::from_ref(id)).await?;
        }
        self.unknown(ids).await
    }

    /// Fetches the auth chain of an event, and then one by one the wanted events that the answer left out.
    pub async fn fetch_auth(
        &self,
        event_id: &EventId,
        wanted: &[OwnedEventId],
    ) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let path = api::event_auth(self.room_id, event_id);
        if let Some(answer) = answered(self.ask::<AuthChain>(Ask::get(&path).within(BRIEF)).await)?
        {
            self.store_outliers(self.incoming_list(&answer.auth_chain).await?).await?;
        }
        self.fetch_each(&self.unknown(wanted).await?).await
    }

    fn incoming(&self) -> IncomingState<'_> {
        IncomingState::new(self.world, self.room_id, self.version, self.origin)
    }

    async fn incoming_list(&self, events: &[Box<RawValue>]) -> Result<IncomingState<'_>, Failure> {
        let mut incoming = self.incoming();
        for event in events {
            incoming.add(event.get().as_bytes(), false).await?;
        }
        Ok(incoming)
    }

    async fn store_outliers(&self, incoming: IncomingState<'_>) -> Result<(), Failure> {
        let mut ordered = incoming.ordered().await?;
        let stored = self.store(&mut ordered).await;
        ordered.forget().await;
        stored
    }

    async fn store(&self, ordered: &mut Ordered<'_>) -> Result<(), Failure> {
        while let Some(slice) = ordered.next().await? {
            let (origin, purpose) = (self.origin.clone(), Purpose::Outlier);
            let receive = Receive { origin, events: slice.events, purpose, again: Vec::new() };
            self.world.ask(&room_object(self.room_id), &receive).await?;
        }
        Ok(())
    }

    /// Fetches events, several at once. An event that the server does not give does not spoil the others.
    async fn fetch_each(&self, ids: &[OwnedEventId]) -> Result<(), Failure> {
        let wanted = ids.iter().take(MAX_FETCHED);
        let mut answers = stream::iter(wanted).map(|id| self.fetch(id)).buffer_unordered(AT_ONCE);
        let (mut events, mut ended) = (Vec::new(), Ok(()));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(event) => events.extend(event),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        self.store_outliers(self.incoming_list(&events).await?).await?;
        Ok(ended?)
    }

    async fn fetch(&self, id: &EventId) -> Result<Option<Box<RawValue>>, RemoteError> {
        let path = api::event(id);
        let single = answered(self.ask::<Events>(Ask::get(&path).within(BRIEF)).await)?;
        Ok(single.and_then(|single| single.pdus.into_iter().next()))
    }

    /// Which of these events the room does not hold.
    async fn unknown(&self, ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, Failure> {
        self.unknown_but(ids, false).await
    }

    /// The same; with `unverified`, without the events that are left out of the room's state because nobody could
    /// verify them.
    async fn unknown_but(
        &self,
        ids: &[OwnedEventId],
        unverified: bool,
    ) -> Result<Vec<OwnedEventId>, Failure> {
        let mut unknown = Vec::new();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let ask = Unknown { event_ids: ids.to_vec(), but_unverified: unverified };
            unknown.extend(self.world.ask(&room_object(self.room_id), &ask).await?);
        }
        Ok(unknown)
    }
}

/// Reads the events of a state and its auth chain.
async fn read_state(mut answer: Pieces, incoming: &mut IncomingState<'_>) -> Result<(), Failure> {
    while let Some(piece) = answer.next().await? {
        if matches!(piece.member.as_str(), "pdus" | "auth_chain") {
            incoming.add(&piece.text, piece.member == "pdus").await?;
        }
    }
    Ok(())
}
