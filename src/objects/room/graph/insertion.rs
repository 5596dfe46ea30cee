//! How does a judged event become part of the room?
//!
//! The one write, for local and remote events alike: the event's row, its place in the timeline, the new extremities,
//! and what it does to the current state. Three writes stand elsewhere: a new room's create event
//! (`sending/create.rs`), our join (`joining/join.rs`), and history (`arrival/backfill.rs`).

use std::collections::BTreeSet;

use tombolo_protocol::{admission::Checked, event::Pdu};

use crate::objects::room::{
    Result, Room, STEP, Sn, Telling,
    graph::{
        events::{Before, Entry, Verdict},
        judgement::Judged,
    },
    messages::{Position, Transaction},
    row::Life,
};

/// Where an event came from, and who is to hear of it through us.
#[derive(Clone, Copy, Default)]
pub struct Source<'a> {
    /// Whether we tell other servers of the event.
    pub ours: bool,
    /// The server that gave us the event to pass on.
    pub given_by: Option<&'a str>,
    pub transaction: Option<&'a Transaction>,
}

impl Source<'_> {
    /// Whether the event was made a moment ago, so that nobody can have cited, redacted or sent it before.
    fn is_made_here(&self) -> bool {
        self.ours && self.given_by.is_none()
    }
}

impl Judged {
    /// The state before the event; `None` if the event has no place in the graph. A linear event was judged by the
    /// state now: before it is the mainline below `pos`, or at the `end` of the timeline.
    fn state_before(&self, pos: Option<Position>, end: Position) -> Option<Before> {
        if self.verdict == Verdict::Outlier || self.prev.is_empty() && self.before.is_none() {
            return None;
        }
        let linear = pos.map_or(Before { at: end, fork: None }, Before::linear);
        Some(self.before.unwrap_or(linear))
    }
}

impl Room<'_> {
    /// Stores a judged event; answers its number and, if it is part of the timeline, its position.
    pub fn insert(
        &mut self,
        pdu: &Pdu,
        judged: &Judged,
        source: Source<'_>,
    ) -> Result<(Sn, Option<Position>)> {
        let row = self.row()?;
        let accepted = judged.verdict == Verdict::Accepted;
        let pos = accepted.then_some(row.pos + STEP);
        let entry = Entry {
            pdu,
            pos,
            verdict: judged.verdict,
            reason: judged.reason.as_deref(),
            auth: &judged.auth,
            prev: &judged.prev,
            before: judged.state_before(pos, row.pos),
            ours: source.ours,
            given_by: source.given_by,
            transaction: source.transaction,
        };
        let new = source.is_made_here();
        let children = match pos {
            Some(_) if !new => self.waiting_for(&BTreeSet::from([pdu.event_id.clone()]))?,
            _ => Vec::new(),
        };
        let sn = if new { self.add(&entry)? } else { self.put(&entry)? };
        let Some(pos) = pos else {
            // The state that a join gives becomes current as a whole, not event by event.
            if row.life == Life::Live {
                self.admit_late(sn)?;
            }
            return Ok((sn, None));
        };
        self.extend(sn, pos, judged, children.is_empty())?;
        if !new || pdu.kind() == "m.room.redaction" {
            self.meet(sn, &children)?;
        }
        self.note_gap_below(sn, &judged.prev)?;
        // For an event of another server, the request that brought it tells local users; the alarm only makes sure.
        self.tell(if source.ours { Telling::Soon } else { Telling::MakeSure });
        Ok((sn, Some(pos)))
    }

    /// Connects an event with what was here before it: its children, redactions, states that it was left out of.
    fn meet(&mut self, sn: Sn, children: &[Sn]) -> Result<()> {
        match children.first() {
            Some(lowest) => self.put_below(*lowest, &[sn])?,
            None => self.redact_on(sn)?,
        }
        for child in children {
            self.note_gap(*child)?;
        }
        self.admit_to_forks(sn)
    }

    /// Notes a gap where one of an event's parents has no position: that parent may itself lack parents.
    fn note_gap_below(&mut self, sn: Sn, parents: &[Sn]) -> Result<()> {
        for parent in parents {
            if self.event(*parent)?.pos.is_none() {
                return self.note_gap(sn);
            }
        }
        Ok(())
    }

    /// Makes an accepted event a forward extremity unless an event we hold already cites it, and updates the current
    /// state.
    fn extend(&mut self, sn: Sn, pos: Position, judged: &Judged, newest: bool) -> Result<()> {
        let mut row = self.row()?;
        let was = row.pos;
        let covered = self.covered(&judged.prev)?;
        row.extremities.retain(|extremity| !covered.contains(extremity));
        row.extremities.extend(newest.then_some(sn));
        row.pos = pos;
        let extremities = row.extremities.clone();
        self.set_row(row)?;
        if judged.before.is_some() || !newest {
            self.pending.resolved.push((sn, pos));
            return self.resolve_current_state(&extremities, was, pos);
        }
        let event = self.event(sn)?;
        match event.pdu.key() {
            Some((kind, key)) => self.change(&(kind.to_owned(), key.to_owned()), Some(sn), pos),
            None => Ok(()),
        }
    }

    /// The extremities that an event with these parents replaces: the parents and, below refused ones, which are no
    /// extremities, their parents.
    fn covered(&mut self, parents: &[Sn]) -> Result<BTreeSet<Sn>> {
        let mut covered = BTreeSet::new();
        let mut next = parents.to_vec();
        while let Some(sn) = next.pop() {
            if !covered.insert(sn) {
                continue;
            }
            let event = self.event(sn)?;
            if event.verdict != Verdict::Accepted {
                next.extend(&event.prev);
            }
        }
        Ok(covered)
    }

    /// Stores the content of an event that is held without it; answers whether it did.
    pub fn complete(&mut self, event: &Checked) -> Result<bool> {
        let Some(held) = self.find(&event.event_id)? else { return Ok(false) };
        let completes = self.take_content(&held, event.json.get())?;
        // A redaction without its content may not have named its target.
        if completes && held.pos.is_some() {
            self.redact_on(held.sn)?;
        }
        Ok(completes)
    }
}
