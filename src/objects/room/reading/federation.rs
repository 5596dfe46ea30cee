//! What may another server read of the room's graph?
//! ([retrieving events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))
//!
//! Only a server that is or was in the room is answered, up to the end of its stay, only with events of this room, and
//! each as history visibility allows.

use std::collections::{BTreeSet, VecDeque};

use ruma::{EventId, ServerName};
use serde_json::value::RawValue;

use crate::{
    objects::room::{
        Result, Room, Sn,
        graph::events::{Stored, Verdict},
        messages::{
            AuthChain, Backfill, Bodies, MissingEvents, Refusal, StateBefore, StateBeforeReply,
            StateNumbers,
        },
    },
    shell::Stop,
};

/// The most events one answer to `/backfill` holds.
const MAX_BACKFILL: usize = 100;
/// The most events one answer to `/get_missing_events` holds.
const MAX_MISSING: usize = 20;
/// How large one answer to [`Bodies`] may be (bytes), unless its first event is larger.
const MAX_BODIES: usize = 512 << 10;
/// How many events one walk visits, whatever it finds.
const MAX_VISITED: usize = 2000;

/// The state before an event and its auth chain.
pub fn state_before(room: &mut Room<'_>, message: StateBefore) -> Result<StateBeforeReply> {
    let horizon = room.entitled(&message.origin)?;
    let event = room.placed(&message.event_id)?;
    // A server that has to build on an event may know the state before it, though it may not see the event itself.
    if !horizon.covers(&event) {
        return Err(Stop::Refused(Refusal::NotFound));
    }
    let Some(before) = event.before else { return Err(Stop::Refused(Refusal::NotFound)) };
    // Who asks would take it for the whole state, and never hear of what it lacks. Other servers may have it.
    if room.is_being_completed(before)? {
        return Err(Stop::Refused(Refusal::NotFound));
    }
    let state: Vec<Sn> = room.whole(before)?.into_values().collect();
    let chain: Vec<Sn> = room.auth_chain_of(&state, 0)?.into_iter().collect();
    let mut reply = StateBeforeReply::default();
    if message.by_number {
        reply.numbers = StateNumbers { state, auth_chain: chain };
        return Ok(reply);
    }
    reply.state = room.ids(&state)?;
    reply.auth_chain = room.ids(&chain)?;
    if message.bodies {
        reply.state_bodies = room.bodies(&state)?;
        reply.auth_chain_bodies = room.bodies(&chain)?;
    }
    Ok(reply)
}

/// Events in federation format, as many as one answer holds.
pub fn bodies(room: &mut Room<'_>, message: Bodies) -> Result<Vec<Box<RawValue>>> {
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for sn in message.numbers {
        let body = room.event(sn)?.for_servers()?;
        bytes += body.get().len();
        if bytes > MAX_BODIES && !bodies.is_empty() {
            break;
        }
        bodies.push(body);
    }
    Ok(bodies)
}

/// The auth chain of an event.
pub fn auth_chain(room: &mut Room<'_>, message: AuthChain) -> Result<Vec<Box<RawValue>>> {
    let horizon = room.entitled(&message.origin)?;
    let event = room.find(&message.event_id)?.filter(|event| horizon.covers(event));
    let event = event.ok_or(Stop::Refused(Refusal::NotFound))?;
    let chain: Vec<Sn> = room.auth_chain_of(&[event.sn], 0)?.into_iter().collect();
    room.bodies(&chain)
}

/// The events between two sets of events, oldest first.
pub fn missing_events(room: &mut Room<'_>, message: MissingEvents) -> Result<Vec<Box<RawValue>>> {
    let horizon = room.entitled(&message.origin)?;
    let limit = (message.limit as usize).min(MAX_MISSING);
    let mut seen: BTreeSet<Sn> = BTreeSet::new();
    for id in &message.earliest {
        seen.extend(room.find(id)?.map(|event| event.sn));
    }
    let mut queue = VecDeque::new();
    for id in &message.latest {
        if let Some(event) = room.find(id)? {
            queue.extend(event.prev.iter().copied());
        }
    }
    let mut found = Vec::new();
    while let Some(sn) =
        queue.pop_front().filter(|_| found.len() < limit && seen.len() < MAX_VISITED)
    {
        if !seen.insert(sn) {
            continue;
        }
        let event = room.event(sn)?;
        if event.pdu.depth < message.min_depth {
            continue;
        }
        queue.extend(event.prev.iter().copied());
        if event.verdict != Verdict::Rejected && event.before.is_some() && horizon.covers(&event) {
            found.push(event);
        }
    }
    found.reverse();
    let mut bodies = Vec::with_capacity(found.len());
    for event in found {
        bodies.push(room.body_for(&message.origin, &event)?);
    }
    Ok(bodies)
}

/// Events before and including some, newest first.
pub fn backfill(room: &mut Room<'_>, message: Backfill) -> Result<Vec<Box<RawValue>>> {
    let horizon = room.entitled(&message.origin)?;
    let limit = (message.limit as usize).min(MAX_BACKFILL);
    let mut next: BTreeSet<(u64, Sn)> = BTreeSet::new();
    for id in &message.from {
        if let Some(event) = room.find(id)?.filter(|event| event.before.is_some()) {
            next.insert((event.pdu.depth, event.sn));
        }
    }
    let mut seen: BTreeSet<Sn> = BTreeSet::new();
    let mut bodies = Vec::new();
    while let Some((_, sn)) = next.pop_last() {
        if bodies.len() >= limit || seen.len() >= MAX_VISITED {
            break;
        }
        if !seen.insert(sn) {
            continue;
        }
        let event = room.event(sn)?;
        for prev in &event.prev {
            next.insert((room.event(*prev)?.pdu.depth, *prev));
        }
        // Others may have accepted what we soft-failed: it is part of the graph, and theirs to judge.
        if event.verdict != Verdict::Rejected && horizon.covers(&event) {
            bodies.push(room.body_for(&message.origin, &event)?);
        }
    }
    Ok(bodies)
}

impl Room<'_> {
    fn placed(&mut self, id: &EventId) -> Result<std::rc::Rc<Stored>> {
        self.find(id)?
            .filter(|event| event.before.is_some())
            .ok_or(Stop::Refused(Refusal::NotFound))
    }

    fn body_for(&mut self, server: &ServerName, event: &Stored) -> Result<Box<RawValue>> {
        let sees = self.server_sees(server, event)?;
        self.federation_view(event, sees)
    }
}
