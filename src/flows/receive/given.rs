//! What did a server give us of a room, each event after those it cites?
//!
//! The answer to a join may hold tens of thousands of events, in any order. It is read twice, so that beside its bytes
//! little is held: once for who cites whom and which keys are needed, once, a slice at a time, for the events.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    admission::{self, Checked, Unverified},
    canonical_json::CanonicalJsonValue,
    event::create_event_id,
    room_version::RoomVersion,
    server_keys::KeyRing,
};

use super::verify::{Dropped, Needed, check, logged};
use crate::remote::keys;

/// The most events of a slice.
const SLICE: usize = 400;
/// How large the text of a slice may grow (bytes).
const SLICE_BYTES: usize = 512 << 10;

/// What was given, in the order in which it can be stored.
pub struct Given<'a> {
    version: &'static RoomVersion,
    events: Vec<Entry<'a>>,
    ring: KeyRing,
    giver: &'a ServerName,
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    raw: &'a RawValue,
    is_state: bool,
}

/// Some events, each after those it cites, and which of them are the state.
#[derive(Default)]
pub struct Slice {
    pub events: Vec<Checked>,
    pub state: BTreeSet<OwnedEventId>,
    /// An event of the state that was left out, and without which the room is not what its members see: who may do
    /// what, who comes in, and whom the giver itself has in the room.
    pub lost: Option<Dropped>,
    /// Others that were left out: they are taken in when they can be verified.
    pub left_out: Vec<OwnedEventId>,
}

impl<'a> Given<'a> {
    /// Orders the events and fetches the keys they need, all together. What is no event is left out.
    pub async fn read(
        world: &World,
        version: &'static RoomVersion,
        auth_chain: &[&'a RawValue],
        state: &[&'a RawValue],
        giver: &'a ServerName,
    ) -> Self {
        let (mut graph, mut needed) = (Graph::default(), Needed::default());
        let mut awaited = BTreeSet::from([giver.to_owned()]);
        let entry = |is_state| move |raw: &&'a RawValue| Entry { raw, is_state };
        for entry in auth_chain.iter().map(entry(false)).chain(state.iter().map(entry(true))) {
            let Some(event) = logged(admission::parse(entry.raw.get().as_bytes(), version)) else {
                continue;
            };
            needed.add(&event);
            if entry.is_state && is_needed(&event, giver) {
                awaited.extend(event.required_keys().into_iter().map(|(server, _)| server));
            }
            let mut cited = event.auth_events();
            // In version 12 no event cites the create event, and yet every one is judged with it.
            let by_hash = version.room_id_is_create_hash();
            cited.extend(by_hash.then(|| create_event_id(&event.room_id)).flatten());
            graph.add(&event.event_id, &cited, entry);
        }
        let ring = keys::ring_of_all(world, &needed.keys(), &awaited).await;
        Self { version, events: graph.ordered(), ring, giver }
    }

    /// The events that hold, a slice at a time.
    pub fn slices(&self) -> impl Iterator<Item = Slice> {
        let mut rest = self.events.as_slice();
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = |entry: &&Entry<'_>| {
                bytes += entry.raw.get().len();
                bytes <= SLICE_BYTES
            };
            let taken = rest.iter().take(SLICE).take_while(fits).count().max(1);
            let (slice, others) = rest.split_at_checked(taken)?;
            rest = others;
            let mut held = Slice::default();
            for entry in slice {
                let parsed = logged(admission::parse(entry.raw.get().as_bytes(), self.version));
                let Some(event) = parsed else { continue };
                let needed = entry.is_state && is_needed(&event, self.giver);
                let id = entry.is_state.then(|| event.event_id.clone());
                match check(event, &self.ring) {
                    Ok(event) => {
                        held.state.extend(id);
                        held.events.push(event);
                    }
                    Err(dropped) if needed => held.lost = Some(dropped),
                    Err(dropped) => {
                        held.left_out.extend(id);
                        logged::<Checked>(Err(dropped));
                    }
                }
            }
            Some(held)
        })
    }
}

/// Whether the room is not what its members see without this event of its state.
fn is_needed(event: &Unverified, giver: &ServerName) -> bool {
    let kind = event.object().get("type").and_then(CanonicalJsonValue::as_str);
    event.sender.server_name() == giver
        || matches!(kind, Some("m.room.create" | "m.room.power_levels" | "m.room.join_rules"))
}

/// Which event cites which, by numbers: IDs are held once.
#[derive(Default)]
struct Graph<'a> {
    numbers: BTreeMap<OwnedEventId, usize>,
    nodes: Vec<Node<'a>>,
}

#[derive(Default)]
struct Node<'a> {
    /// Missing where the event is only cited.
    entry: Option<Entry<'a>>,
    cites: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn add(&mut self, id: &OwnedEventId, cited: &[OwnedEventId], entry: Entry<'a>) {
        let number = self.number(id);
        let cites = cited.iter().map(|id| self.number(id)).collect();
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

    /// The events, each after those it cites. IDs are hashes, so no event cites itself by a detour.
    fn ordered(self) -> Vec<Entry<'a>> {
        let mut ordered = Vec::with_capacity(self.nodes.len());
        let mut done = vec![false; self.nodes.len()];
        for first in 0..self.nodes.len() {
            // Each number stands on the stack once to be entered, and once more, below what it cites, to be left.
            let mut stack = vec![(first, false)];
            while let Some((number, left)) = stack.pop() {
                if left {
                    ordered.extend(self.nodes[number].entry);
                } else if !std::mem::replace(&mut done[number], true) {
                    stack.push((number, true));
                    stack.extend(self.nodes[number].cites.iter().map(|cited| (*cited, false)));
                }
            }
        }
        ordered
    }
}
