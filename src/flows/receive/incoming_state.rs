//! How are the state and auth chain of another server's answer verified and ordered?
//!
//! The answer to a join may hold a hundred thousand events, in any order, and is read as it arrives. Memory holds only
//! which events each event cites and which keys it needs; [`Texts`] keeps its text. When the answer is complete, all
//! keys are fetched together, and the events are read back and verified slice by slice, each event after those it
//! cites.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use ruma::{OwnedEventId, OwnedServerName, RoomId, ServerName};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    admission::{self, Checked, Unverified},
    canonical_json::CanonicalJsonValue,
    event::create_event_id,
    room_version::RoomVersion,
    server_keys::KeyRing,
};

use super::{
    texts::Texts,
    verify::{Dropped, Needed, check, logged},
};
use crate::{
    objects::room::messages::{Place, Refusal},
    remote::keys,
};

/// The most events of a slice.
const SLICE: usize = 400;
/// How large the text of a slice may grow (bytes).
const SLICE_BYTES: u32 = 512 << 10;
/// The most events of an answer: each takes some 200 bytes of memory.
const MAX_EVENTS: usize = 250_000;

/// The state and auth chain of an answer, while it arrives.
pub struct IncomingState<'a> {
    world: &'a World,
    version: &'static RoomVersion,
    graph: Graph,
    needed: Needed,
    /// The servers that signed events without which the state is of no use: their keys are waited for longest.
    awaited: BTreeSet<OwnedServerName>,
    texts: Texts<'a>,
}

/// The state and auth chain of an answer, in the order in which it can be stored.
pub struct Ordered<'a> {
    version: &'static RoomVersion,
    ring: KeyRing,
    texts: Texts<'a>,
    events: std::vec::IntoIter<Entry>,
}

/// Verified events, each after those it cites.
#[derive(Default)]
pub struct Slice {
    pub events: Vec<Checked>,
    pub state: BTreeSet<OwnedEventId>,
    /// A state event that could not be verified, and without which the state is of no use (`is_needed`).
    pub lost: Option<Dropped>,
    /// Other state events that could not be verified: they are taken in later, when they can be.
    pub unverified: Vec<OwnedEventId>,
}

impl<'a> IncomingState<'a> {
    pub fn new(
        world: &'a World,
        room_id: &RoomId,
        version: &'static RoomVersion,
        giver: &ServerName,
    ) -> Self {
        Self {
            world,
            version,
            graph: Graph::default(),
            needed: Needed::default(),
            awaited: BTreeSet::from([giver.to_owned()]),
            texts: Texts::new(world, room_id),
        }
    }

    /// Adds an event of the state or of the auth chain. Text that is no event is left out.
    pub async fn add(&mut self, text: &[u8], is_state: bool) -> Result<(), AskError<Refusal>> {
        let Some(event) = logged(admission::parse(text, self.version)) else { return Ok(()) };
        let Ok(text) = std::str::from_utf8(text) else { return Ok(()) };
        if self.graph.nodes.len() > MAX_EVENTS {
            let reason = format!("the room has more than {MAX_EVENTS} events in its state");
            return Err(AskError::Refused(Refusal::TooLarge(reason)));
        }
        self.needed.add(&event);
        if is_state && is_needed(&event) {
            self.awaited.extend(event.required_keys().into_iter().map(|(server, _)| server));
        }
        let mut cited = event.auth_events();
        // From room version 12 on no event cites the create event, but every event is judged with it.
        let by_hash = self.version.room_id_is_create_hash();
        let create = by_hash.then(|| create_event_id(&event.room_id)).flatten();
        cited.extend(create.filter(|create| *create != event.event_id));
        let entry = Entry { place: self.texts.keep(text).await?, is_state };
        self.graph.add(&event.event_id, &cited, entry);
        Ok(())
    }

    /// Ends the reading: orders the events, and fetches all the keys that they need together.
    pub async fn ordered(mut self) -> Result<Ordered<'a>, AskError<Refusal>> {
        self.texts.end().await?;
        let ring = keys::ring_of_all(self.world, &self.needed.keys(), &self.awaited).await;
        let events = self.graph.ordered().into_iter();
        let Self { version, texts, .. } = self;
        Ok(Ordered { version, ring, texts, events })
    }

    /// Has the kept texts deleted.
    pub async fn forget(self) {
        self.texts.forget().await;
    }
}

impl Ordered<'_> {
    /// Has the kept texts deleted.
    pub async fn forget(self) {
        self.texts.forget().await;
    }

    /// The next slice, with the events that can be verified.
    pub async fn next(&mut self) -> Result<Option<Slice>, AskError<Refusal>> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.place.length;
            bytes <= SLICE_BYTES
        };
        let rest = self.events.as_slice();
        let count = rest.iter().take(SLICE).take_while(fits).count().max(1);
        let slice: Vec<Entry> = self.events.by_ref().take(count).collect();
        if slice.is_empty() {
            return Ok(None);
        }
        let places: Vec<Place> = slice.iter().map(|entry| entry.place).collect();
        let texts = self.texts.read(&places).await?;
        let mut held = Slice::default();
        for (entry, text) in slice.iter().zip(texts) {
            self.check(&mut held, entry, &text);
        }
        Ok(Some(held))
    }

    fn check(&self, held: &mut Slice, entry: &Entry, text: &str) {
        let parsed = logged(admission::parse(text.as_bytes(), self.version));
        let Some(event) = parsed else { return };
        let needed = entry.is_state && is_needed(&event);
        let id = entry.is_state.then(|| event.event_id.clone());
        match check(event, &self.ring) {
            Ok(event) => {
                held.state.extend(id);
                held.events.push(event);
            }
            Err(dropped) if needed => held.lost = Some(dropped),
            Err(dropped) => {
                held.unverified.extend(id);
                logged::<Checked>(Err(dropped));
            }
        }
    }
}

/// Whether a state is of no use without this event: it says who may do what and who may come in.
fn is_needed(event: &Unverified) -> bool {
    let kind = event.object().get("type").and_then(CanonicalJsonValue::as_str);
    matches!(kind, Some("m.room.create" | "m.room.power_levels" | "m.room.join_rules"))
}

#[derive(Clone, Copy)]
struct Entry {
    place: Place,
    is_state: bool,
}

/// Which event cites which. Events are numbers here, so that each ID is held once.
#[derive(Default)]
struct Graph {
    numbers: BTreeMap<OwnedEventId, usize>,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// `None` for an event that others cite and that has not arrived.
    entry: Option<Entry>,
    cites: Vec<u32>,
}

impl Graph {
    fn add(&mut self, id: &OwnedEventId, cited: &[OwnedEventId], entry: Entry) {
        let number = self.number(id);
        let cites = cited.iter().filter_map(|id| u32::try_from(self.number(id)).ok()).collect();
        let is_state = entry.is_state || self.nodes[number].entry.is_some_and(|held| held.is_state);
        self.nodes[number] = Node { entry: Some(Entry { is_state, ..entry }), cites };
    }

    fn number(&mut self, id: &OwnedEventId) -> usize {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.nodes.len();
        self.numbers.insert(id.clone(), number);
        self.nodes.push(Node::default());
        number
    }

    /// The events, each after those it cites, and otherwise in the order of arrival. Each sweep over the answer takes
    /// the events whose citations are all taken, so that events read together stand together. IDs are hashes, so there
    /// are no cycles.
    fn ordered(mut self) -> Vec<Entry> {
        drop(std::mem::take(&mut self.numbers));
        let citing = self.citing();
        let came = |number: &u32| self.nodes[*number as usize].entry;
        let mut waits_for: Vec<usize> =
            self.nodes.iter().map(|node| node.cites.iter().filter_map(came).count()).collect();
        let mut ready: BinaryHeap<Reverse<(usize, Place, usize)>> = BinaryHeap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let entry = node.entry.filter(|_| waits_for[number] == 0);
            ready.extend(entry.map(|entry| Reverse((0, entry.place, number))));
        }
        let mut ordered = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse((sweep, place, number))) = ready.pop() {
            ordered.extend(self.nodes[number].entry);
            for citing in citing.of(number) {
                let citing = *citing as usize;
                waits_for[citing] -= 1;
                let entry = self.nodes[citing].entry.filter(|_| waits_for[citing] == 0);
                let next = |entry: Entry| (sweep + usize::from(entry.place < place), entry.place);
                ready.extend(entry.map(next).map(|(sweep, place)| Reverse((sweep, place, citing))));
            }
        }
        ordered
    }

    /// Which events cite which.
    fn citing(&self) -> Citing {
        let mut begins = vec![0; self.nodes.len() + 1];
        for cited in self.nodes.iter().flat_map(|node| &node.cites) {
            begins[*cited as usize + 1] += 1;
        }
        for number in 1..begins.len() {
            begins[number] += begins[number - 1];
        }
        let mut citing = vec![0; begins[self.nodes.len()]];
        let mut next = begins.clone();
        for (number, node) in self.nodes.iter().enumerate() {
            for cited in &node.cites {
                let slot = &mut next[*cited as usize];
                citing[*slot] = u32::try_from(number).unwrap_or(u32::MAX);
                *slot += 1;
            }
        }
        Citing { begins, citing }
    }
}

/// For each event the events that cite it, one list after another.
struct Citing {
    /// Where each list begins; it ends where the next one begins.
    begins: Vec<usize>,
    citing: Vec<u32>,
}

impl Citing {
    fn of(&self, number: usize) -> &[u32] {
        &self.citing[self.begins[number]..self.begins[number + 1]]
    }
}
