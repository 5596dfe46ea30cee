//! How does history come in below what we hold?
//!
//! An event whose parents we were never given stands above a hole. What fills the hole is judged like any other event,
//! with the state before its lowest event as the other server tells it. It is put below the event that waits for it, so
//! that a filled gap renumbers nothing. History is no tip, and changes no current state: what is above it was judged
//! with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ruma::OwnedEventId;
use tombolo_platform::values;
use tombolo_protocol::event::Pdu;

use super::{
    History, Lack, Life, Outcome, Position, Received, Refusal, Result, Room, Sn,
    judge::{Judged, Judgement},
    receive::outcome,
    timeline::{Before, Entry, Standing, Stored},
};
use crate::objects::Stop;

/// How many events are searched between an event of the timeline and what it lacks.
const MAX_REFUSED: usize = 100;

/// Takes in history: events below what we hold.
pub fn history(room: &mut Room<'_>, message: History) -> Result<Received> {
    let head = room.graph()?;
    let (tips, min_depth) = (room.tip_ids()?, head.floor);
    let mut received = Received { tips, min_depth, ..Received::default() };
    // A user who left the room has no right to more of it.
    if head.life != Life::Live {
        return Ok(received);
    }
    let mut pdus = Vec::new();
    for event in &message.events {
        match event.pdu(head.version) {
            Ok(pdu) => pdus.push(pdu),
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
    let given: BTreeSet<OwnedEventId> = pdus.iter().map(|pdu| pdu.event_id.clone()).collect();
    let placed = room.judge_history(&message, pdus, &mut received)?;
    for (child, below) in room.below_each(&children, &placed)? {
        room.put_below(child, &below)?;
    }
    // Where the last server answers but leaves out an event it was asked for, nobody has such an event to give.
    let answered =
        !message.others && received.outcomes.iter().any(|(_, outcome)| outcome.is_held());
    let withheld = message.asked.into_iter().filter(|id| answered && !given.contains(id)).collect();
    for sn in children.into_iter().chain(placed) {
        room.note_parents(sn, &withheld)?;
    }
    Ok(received)
}

impl Room<'_> {
    /// Notes which parents of an event we do not hold.
    pub fn note_hole(&mut self, child: Sn) -> Result<()> {
        self.note_parents(child, &BTreeSet::new())
    }

    /// Notes which parents of an event we hold, and which we do not and may yet be given.
    fn note_parents(&mut self, child: Sn, withheld: &BTreeSet<OwnedEventId>) -> Result<()> {
        let (mut held, mut missing) = (Vec::new(), Vec::new());
        let parents = self.event(child)?.pdu.prev_events.clone();
        let mut next: VecDeque<OwnedEventId> = parents.iter().cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = next.pop_front().filter(|_| seen.len() < MAX_REFUSED) {
            if !seen.insert(id.clone()) {
                continue;
            }
            match self.find(&id)?.filter(|event| event.before.is_some()) {
                Some(event) => {
                    held.extend(parents.contains(&id).then_some(event.sn));
                    // A refused event is held but has no place in the timeline: what it lacks is lacking here.
                    if event.pos.is_none() {
                        next.extend(event.pdu.prev_events.iter().cloned());
                    }
                }
                None if withheld.contains(&id) => {}
                None => missing.push(id),
            }
        }
        self.link(child, &held)?;
        // The row stays when nothing is missing any more: a window that ended above the hole ends there for ever.
        if !missing.is_empty() || self.is_above_hole(child)? {
            let insert = "INSERT INTO holes (child, missing) VALUES (?, ?) ON CONFLICT DO UPDATE SET missing = excluded.missing";
            self.sql.run(insert, values![child, &serde_json::to_string(&missing)?])?;
            self.holes()?.note(child, missing);
        }
        Ok(())
    }

    /// Whether an event had parents we did not hold when it came.
    pub fn is_above_hole(&mut self, sn: Sn) -> Result<bool> {
        Ok(self.holes()?.missing.contains_key(&sn))
    }

    /// The events of the timeline that wait for any of these as their parents, lowest first.
    pub fn waiting_for(&mut self, ids: &BTreeSet<OwnedEventId>) -> Result<Vec<Sn>> {
        let holes = self.holes()?;
        let children: BTreeSet<Sn> =
            ids.iter().filter_map(|id| holes.children.get(id)).flatten().copied().collect();
        let mut waiting = Vec::new();
        for child in children {
            waiting.extend(self.event(child)?.pos.map(|pos| (pos, child)));
        }
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, child)| child).collect())
    }

    /// The holes, read once: every event that comes in is asked about, and every one that is shown.
    fn holes(&mut self) -> Result<&mut Holes> {
        if self.hot.holes.is_none() {
            let mut holes = Holes::default();
            let query = "SELECT child, missing FROM holes";
            for (child, missing) in
                self.sql.rows(query, values![], |row| Ok((row.int(0)?, row.text(1)?)))?
            {
                holes.note(child, serde_json::from_str(&missing)?);
            }
            self.hot.holes = Some(holes);
        }
        Ok(self.hot.holes.get_or_insert_default())
    }

    /// Which of these stored events, oldest first, go below which of the events that wait, lowest first: each below the
    /// lowest that builds on it.
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

    /// At most so many of the events that an event builds on, down to what has its place in the timeline.
    fn unplaced_ancestors(&mut self, child: Sn, most: usize) -> Result<BTreeSet<Sn>> {
        let mut found = BTreeSet::new();
        let mut next = self.event(child)?.pdu.prev_events.clone();
        while let Some(id) = next.pop().filter(|_| found.len() < most) {
            // Outliers have no place in the graph either.
            let unplaced = |event: &Stored| event.pos.is_none() && event.before.is_some();
            let Some(event) = self.find(&id)?.filter(|event| unplaced(event)) else { continue };
            if found.insert(event.sn) {
                next.extend(event.pdu.prev_events.iter().cloned());
            }
        }
        Ok(found)
    }

    /// Puts stored events, oldest first, below another: right below it, or where there is room for all of them.
    pub fn put_below(&mut self, above: Sn, placed: &[Sn]) -> Result<()> {
        let mut top = self.event(above)?.pos.unwrap_or_default();
        let count = Position::try_from(placed.len()).unwrap_or(Position::MAX);
        let query = "SELECT max(pos) FROM events WHERE pos < ?";
        let lowest = loop {
            let below =
                self.sql.row(query, values![top], |row| row.int_or_null(0))?.flatten().unwrap_or(0);
            if top.saturating_sub(count) > below {
                break top - count;
            }
            if below == 0 {
                return Err(Stop::Refused(Refusal::Invalid("the gap is full".to_owned())));
            }
            top = below;
        };
        for (sn, pos) in placed.iter().zip(lowest..) {
            self.sql.run("UPDATE events SET pos = ? WHERE sn = ?", values![pos, *sn])?;
            self.forget(*sn);
        }
        for sn in placed {
            self.redact_on(*sn)?;
        }
        Ok(())
    }

    /// Judges events, parents first, and stores them without a place; answers those that are to have one, oldest first.
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
                        placed.extend((judged.standing == Standing::Accepted).then_some(sn));
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

    /// Judges an event of the past: what the state is now says nothing about it. `None`: it has its place already.
    fn judge_past(&mut self, message: &History, pdu: &Pdu) -> Result<Option<Judgement>> {
        if self.find(&pdu.event_id)?.is_some_and(|held| held.before.is_some()) {
            return Ok(None);
        }
        let given = message.states.iter().find(|given| given.event_id == pdu.event_id);
        let mut judgement = match given {
            _ if pdu.kind() == "m.room.create" => self.judge_outlier(pdu)?,
            Some(given) if pdu.room_id == self.head()?.id => {
                match self.given_state(pdu, &given.state, &given.missing)? {
                    Some(before) => self.judge_at(pdu, before)?,
                    None => Judgement::Dropped("the state before it is not known".to_owned()),
                }
            }
            _ => self.judge(pdu)?,
        };
        if let Judgement::Judged(judged) = &mut judgement
            && matches!(judged.standing, Standing::SoftFailed | Standing::Outlier)
        {
            (judged.standing, judged.reason) = (Standing::Accepted, None);
        }
        Ok(Some(judgement))
    }

    /// Stores an event of the past, without a place in the timeline.
    fn store_past(&mut self, pdu: &Pdu, judged: &Judged) -> Result<Sn> {
        // Before the create event there is no state at all.
        let at = if pdu.kind() == "m.room.create" { 0 } else { self.head()?.pos };
        let entry = Entry {
            pdu,
            pos: None,
            standing: judged.standing,
            reason: judged.reason.as_deref(),
            auth: &judged.auth,
            prev: &judged.prev,
            before: Some(judged.before.unwrap_or(Before { at, fork: None })),
            ours: false,
            given_by: None,
            transaction: None,
        };
        let sn = self.put(&entry)?;
        self.amend(sn)?;
        Ok(sn)
    }
}

/// The holes of a room, as its table has them.
#[derive(Default)]
pub struct Holes {
    /// By the event above the hole: the parents we have not been given yet; none where the hole is filled.
    missing: BTreeMap<Sn, Vec<OwnedEventId>>,
    /// The same, the other way round.
    children: BTreeMap<OwnedEventId, BTreeSet<Sn>>,
}

impl Holes {
    fn note(&mut self, child: Sn, missing: Vec<OwnedEventId>) {
        for id in self.missing.remove(&child).unwrap_or_default() {
            if let Some(children) = self.children.get_mut(&id) {
                children.remove(&child);
                if children.is_empty() {
                    self.children.remove(&id);
                }
            }
        }
        for id in &missing {
            self.children.entry(id.clone()).or_default().insert(child);
        }
        self.missing.insert(child, missing);
    }
}
