//! How does history come in below what we hold?
//!
//! An event stands above a gap if we lack a parent of it. Events that fill the gap are judged like any other event,
//! with the state before the lowest of them as the other server gives it. They are put below the event that waits for
//! them, so that a filled gap renumbers nothing. History is no forward extremity, and changes no current state: the
//! state above the gap contains its effect already.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use tombolo_protocol::event::Pdu;

use crate::objects::room::{
    Result, Room, Sn,
    graph::gaps::MAX_REFUSED,
    graph::{
        events::{Before, Entry, Stored, Verdict},
        judgement::{Judged, Judgement, outcome},
    },
    messages::{History, Lack, Outcome, Received},
    row::Life,
};

/// Takes in history: events below what we hold.
pub fn history(room: &mut Room<'_>, message: History) -> Result<Received> {
    let row = room.graph()?;
    let (extremities, min_depth) = (room.extremity_ids()?, row.floor);
    let mut received = Received { extremities, min_depth, ..Received::default() };
    // A user who left the room has no right to more of it.
    if row.life != Life::Live {
        return Ok(received);
    }
    let mut pdus = Vec::new();
    for event in &message.events {
        match event.pdu(row.version) {
            Ok(pdu) => {
                // A server that was asked before may have changed the event's content.
                room.complete(event)?;
                pdus.push(pdu);
            }
            Err(fault) => received
                .outcomes
                .push((event.event_id.clone(), Outcome::Dropped(fault.to_string()))),
        }
    }
    let ids: BTreeSet<OwnedEventId> =
        pdus.iter().map(|pdu| pdu.event_id.clone()).chain(message.asked.iter().cloned()).collect();
    let children = room.waiting_for(&ids)?;
    if children.is_empty() {
        return Ok(received);
    }
    let came: BTreeSet<OwnedEventId> = pdus.iter().map(|pdu| pdu.event_id.clone()).collect();
    let placed = room.judge_history(&message, pdus, &mut received)?;
    for (child, below) in room.below_each(&children, &placed)? {
        room.put_below(child, &below)?;
    }
    // If the last server answers but leaves out an event it was asked for, no server will give that event.
    let answered =
        !message.others && received.outcomes.iter().any(|(_, outcome)| outcome.is_held());
    let withheld = message.asked.into_iter().filter(|id| answered && !came.contains(id)).collect();
    for sn in children.into_iter().chain(placed) {
        room.note_parents(sn, &withheld)?;
    }
    Ok(received)
}

impl Room<'_> {
    /// Which of the stored events in `placed` (oldest first) go below which child (lowest first): each event below the
    /// lowest child that builds on it.
    fn below_each(&mut self, children: &[Sn], placed: &[Sn]) -> Result<Vec<(Sn, Vec<Sn>)>> {
        let Some((highest, others)) = children.split_last() else { return Ok(Vec::new()) };
        let (mut groups, mut rest) = (Vec::new(), placed.to_vec());
        for child in others {
            let ancestors = self.unplaced_ancestors(*child, placed.len() + MAX_REFUSED)?;
            let (below, above) = rest.into_iter().partition(|sn| ancestors.contains(sn));
            groups.push((*child, below));
            rest = above;
        }
        groups.push((*highest, rest));
        Ok(groups)
    }

    /// The ancestors of an event that have no position yet, at most `most`. The search stops at events that have one.
    fn unplaced_ancestors(&mut self, child: Sn, most: usize) -> Result<BTreeSet<Sn>> {
        let mut found = BTreeSet::new();
        let mut next = self.event(child)?.pdu.prev_events.clone();
        while let Some(id) = next.pop().filter(|_| found.len() < most) {
            // Outliers do not count: they have no place in the graph.
            let unplaced = |event: &Stored| event.pos.is_none() && event.before.is_some();
            let Some(event) = self.find(&id)?.filter(|event| unplaced(event)) else { continue };
            if found.insert(event.sn) {
                next.extend(event.pdu.prev_events.iter().cloned());
            }
        }
        Ok(found)
    }

    /// Judges events, parents first, and stores them without a position; answers those that are to get one, oldest
    /// first.
    fn judge_history(
        &mut self,
        message: &History,
        mut pdus: Vec<Pdu>,
        received: &mut Received,
    ) -> Result<Vec<Sn>> {
        pdus.sort_by(|a, b| (a.depth, &a.event_id).cmp(&(b.depth, &b.event_id)));
        let mut placed = Vec::new();
        loop {
            let (before, mut rest) = (pdus.len(), Vec::new());
            received.lacking.clear();
            for pdu in pdus {
                let event_id = pdu.event_id.clone();
                let outcome = match self.judge_past(message, &pdu)? {
                    None => Outcome::Known,
                    Some(Judgement::Judged(judged)) => {
                        let sn = self.store_past(&pdu, &judged)?;
                        placed.extend((judged.verdict == Verdict::Accepted).then_some(sn));
                        outcome(&judged)
                    }
                    Some(Judgement::Dropped(reason)) => Outcome::Dropped(reason),
                    Some(Judgement::Lacking { prev_events, auth_events }) => {
                        received.lacking.push(Lack { event_id, prev_events, auth_events });
                        rest.push(pdu);
                        continue;
                    }
                };
                received.outcomes.push((event_id, outcome));
            }
            if rest.is_empty() || rest.len() == before {
                return Ok(placed);
            }
            pdus = rest;
        }
    }

    /// Judges an event of the past. It is never soft-failed, since the state now says nothing about it. `None`: the
    /// event has its place in the graph already.
    fn judge_past(&mut self, message: &History, pdu: &Pdu) -> Result<Option<Judgement>> {
        if self.find(&pdu.event_id)?.is_some_and(|held| held.before.is_some()) {
            return Ok(None);
        }
        let received = message.states.iter().find(|received| received.event_id == pdu.event_id);
        let mut judgement = match received {
            _ if pdu.kind() == "m.room.create" => self.judge_outlier(pdu)?,
            Some(received) if pdu.room_id == self.row()?.id => {
                match self.received_state(pdu, &received.state, &received.missing)? {
                    Some(before) => self.judge_at(pdu, before)?,
                    None => Judgement::Dropped("the state before it is not known".to_owned()),
                }
            }
            _ => self.judge(pdu)?,
        };
        if let Judgement::Judged(judged) = &mut judgement
            && matches!(judged.verdict, Verdict::SoftFailed | Verdict::Outlier)
        {
            (judged.verdict, judged.reason) = (Verdict::Accepted, None);
        }
        Ok(Some(judgement))
    }

    /// Stores an event of the past, without a position.
    fn store_past(&mut self, pdu: &Pdu, judged: &Judged) -> Result<Sn> {
        // Before the create event there is no state at all.
        let at = if pdu.kind() == "m.room.create" { 0 } else { self.row()?.pos };
        let entry = Entry {
            pdu,
            pos: None,
            verdict: judged.verdict,
            reason: judged.reason.as_deref(),
            auth: &judged.auth,
            prev: &judged.prev,
            before: Some(judged.before.unwrap_or(Before { at, fork: None })),
            ours: false,
            given_by: None,
            transaction: None,
        };
        let sn = self.put(&entry)?;
        self.admit_late(sn)?;
        Ok(sn)
    }
}
