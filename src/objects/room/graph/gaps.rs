//! Where does the graph that we hold have gaps?
//!
//! An event stands above a gap if we lack a parent of it. Events that fill the gap are put below the one that waits for
//! them, so that a filled gap renumbers nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ruma::OwnedEventId;
use tombolo_platform::values;

use crate::{
    objects::room::{
        Result, Room, Sn,
        messages::{Position, Refusal},
    },
    shell::Stop,
};

/// How many refused events (soft-failed, rejected) are searched for missing parents below an event of the timeline.
pub const MAX_REFUSED: usize = 100;

impl Room<'_> {
    /// Notes which parents of an event we do not hold.
    pub fn note_gap(&mut self, child: Sn) -> Result<()> {
        self.note_parents(child, &BTreeSet::new())
    }

    /// Notes which parents of an event we hold, and which are missing. Those in `withheld` are not noted: no server
    /// gives them.
    pub fn note_parents(&mut self, child: Sn, withheld: &BTreeSet<OwnedEventId>) -> Result<()> {
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
                    // A refused event is held but has no place in the timeline: parents that it lacks are missing here.
                    if event.pos.is_none() {
                        next.extend(event.pdu.prev_events.iter().cloned());
                    }
                }
                None if withheld.contains(&id) => {}
                None => missing.push(id),
            }
        }
        self.link(child, &held)?;
        // The row stays when nothing is missing any more: a window that ended above the gap ends there for ever.
        if !missing.is_empty() || self.is_above_gap(child)? {
            let insert = "INSERT INTO holes (child, missing) VALUES (?, ?) ON CONFLICT DO UPDATE SET missing = excluded.missing";
            self.sql.run(insert, values![child, &serde_json::to_string(&missing)?])?;
            self.gaps()?.note(child, missing);
        }
        Ok(())
    }

    /// Whether an event stands above a gap, or above one that is filled by now.
    pub fn is_above_gap(&mut self, sn: Sn) -> Result<bool> {
        Ok(self.gaps()?.missing.contains_key(&sn))
    }

    /// The parents of an event that we have not been given yet.
    pub fn missing_below(&mut self, sn: Sn) -> Result<Vec<OwnedEventId>> {
        Ok(self.gaps()?.missing.get(&sn).cloned().unwrap_or_default())
    }

    /// Whether any parent of any event is missing.
    pub fn has_gaps(&mut self) -> Result<bool> {
        Ok(!self.gaps()?.children.is_empty())
    }

    /// The events of the timeline that wait for any of these as their parents, lowest first.
    pub fn waiting_for(&mut self, ids: &BTreeSet<OwnedEventId>) -> Result<Vec<Sn>> {
        let gaps = self.gaps()?;
        let children: BTreeSet<Sn> =
            ids.iter().filter_map(|id| gaps.children.get(id)).flatten().copied().collect();
        let mut waiting = Vec::new();
        for child in children {
            waiting.extend(self.event(child)?.pos.map(|pos| (pos, child)));
        }
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, child)| child).collect())
    }

    /// The gaps, read once and then kept in memory: every event that comes in or is shown is looked up in them.
    fn gaps(&mut self) -> Result<&mut Gaps> {
        if self.cache.gaps.is_none() {
            let mut gaps = Gaps::default();
            let query = "SELECT child, missing FROM holes";
            for (child, missing) in
                self.sql.rows(query, values![], |row| Ok((row.int(0)?, row.text(1)?)))?
            {
                gaps.note(child, serde_json::from_str(&missing)?);
            }
            self.cache.gaps = Some(gaps);
        }
        Ok(self.cache.gaps.get_or_insert_default())
    }

    /// Gives stored events, oldest first, positions below another event: right below it, or at the next place down that
    /// has room for all of them.
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
            self.place(*sn, pos)?;
        }
        for sn in placed {
            self.redact_on(*sn)?;
        }
        Ok(())
    }
}

/// The gaps of a room, as its table has them.
#[derive(Default)]
pub struct Gaps {
    /// By the event above the gap: the parents we have not been given yet; none where the gap is filled.
    missing: BTreeMap<Sn, Vec<OwnedEventId>>,
    /// By missing parent: the events above the gap.
    children: BTreeMap<OwnedEventId, BTreeSet<Sn>>,
}

impl Gaps {
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
