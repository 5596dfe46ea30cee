//! Which events of a given state could nobody verify, and how does the state get them later?
//!
//! Another server gives a state with a join, or for one event. Events of it that nobody could verify, and events that
//! cite these, are left out and noted; each is added once it is stored. The room asks for them again a few times: in a
//! quiet room nobody may ever send them. Until then it gives out no state that was given for one event and lacks one:
//! others would take it for the whole.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, UserId};
use tombolo_platform::{Row, values};
use tombolo_protocol::{event::Pdu, membership::Membership};

use crate::{
    objects::room::{
        Result, Room, STEP, Sn, Telling,
        graph::{
            events::{Before, Stored, Verdict},
            state::{After, Overlay},
        },
        messages::{Position, Refusal},
        row::RoomRow,
    },
    shell::Stop,
};

/// How many unverified events are noted: a server may invent them.
const MAX_UNVERIFIED: usize = 10_000;
/// How many states are noted that derive from an incomplete one, to be derived again when its missing event comes.
/// Later ones count as complete: else a server that invents an event would make every later event costlier, for ever.
const MAX_DERIVED: i64 = 1000;
/// When unverified events are asked for again (ms); four times as long each time,
const FIRST_PAUSE: u64 = 60_000;
/// up to a day (ms),
const LONGEST_PAUSE: u64 = 86_400_000;
/// and so often.
const MOST_TIMES: u32 = 8;
/// How many events are asked for at once.
const WANTED_AT_ONCE: usize = 50;

/// Refuses a join's state if this event, which it would have to leave out, says who may do what, or who comes in.
pub fn may_be_unverified(pdu: &Pdu) -> Result<()> {
    match pdu.kind() {
        kind @ ("m.room.power_levels" | "m.room.join_rules") => {
            let reason = format!("what {kind} rests on cannot be verified");
            Err(Stop::Refused(Refusal::Invalid(reason)))
        }
        _ => Ok(()),
    }
}

impl Room<'_> {
    /// Notes the events that are left out of the state that a join is being given.
    pub fn note_unverified(&mut self, unverified: &[OwnedEventId]) -> Result<()> {
        if unverified.is_empty() {
            return Ok(());
        }
        let query = "SELECT count(*) FROM left_out WHERE since IS NULL";
        let noted = self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default();
        let spare = MAX_UNVERIFIED.saturating_sub(usize::try_from(noted).unwrap_or(MAX_UNVERIFIED));
        for id in unverified.iter().take(spare) {
            let insert =
                "INSERT INTO left_out (id) VALUES (?) ON CONFLICT DO UPDATE SET since = NULL";
            self.sql.run(insert, values![id.as_str()])?;
        }
        Ok(())
    }

    /// Forgets the notes of an attempt to join that came to nothing.
    pub fn forget_unverified(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM left_out WHERE since IS NULL", values![])?;
        Ok(())
    }

    /// Binds the notes to the state that begins at `pos`, and drops older ones.
    pub fn begin_unverified(&mut self, pos: Position) -> Result<()> {
        self.sql.run("DELETE FROM left_out WHERE since IS NOT NULL", values![])?;
        self.sql.run("UPDATE left_out SET since = ?", values![pos])?;
        if self.sql.row("SELECT 1 FROM left_out LIMIT 1", values![], |row| row.int(0))?.is_some() {
            self.want_again()?;
        }
        Ok(())
    }

    /// Has the alarm ask for the unverified events again soon.
    fn want_again(&mut self) -> Result<()> {
        let at = self.moment.now + FIRST_PAUSE;
        let insert = "INSERT INTO wanted (one, retry_at, attempts, upto) VALUES (1, ?, 0, '')
                      ON CONFLICT DO UPDATE SET retry_at = min(retry_at, excluded.retry_at)";
        self.sql.run(insert, values![at])?;
        self.wake_at(at);
        Ok(())
    }

    /// The events that are due to be asked for, and when to look again (ms). Counts the attempt.
    pub fn due_wanted(&mut self) -> Result<(Vec<OwnedEventId>, Option<u64>)> {
        let query = "SELECT retry_at, attempts, upto FROM wanted";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.text(2)?));
        let Some((at, attempts, upto)) = self.sql.row(query, values![], read)? else {
            return Ok((Vec::new(), None));
        };
        let (at, attempts) = (u64::try_from(at).unwrap_or(0), u32::try_from(attempts).unwrap_or(0));
        if at > self.moment.now {
            return Ok((Vec::new(), Some(at)));
        }
        let query = "SELECT id FROM left_out WHERE since IS NOT NULL
                     UNION SELECT id FROM left_out_of_fork ORDER BY id";
        let all = self.sql.rows(query, values![], |row| row.text(0))?;
        let (before, after): (Vec<String>, Vec<String>) =
            all.into_iter().partition(|id| *id <= upto);
        let ids: Vec<String> = after.into_iter().chain(before).take(WANTED_AT_ONCE).collect();
        if ids.is_empty() || attempts == MOST_TIMES {
            self.sql.run("DELETE FROM wanted", values![])?;
            return Ok((Vec::new(), None));
        }
        let pause = FIRST_PAUSE.saturating_mul(4_u64.saturating_pow(attempts + 1));
        let next = self.moment.now + pause.min(LONGEST_PAUSE);
        let last = ids.last().map_or("", String::as_str);
        let update = "UPDATE wanted SET retry_at = ?, attempts = attempts + 1, upto = ?";
        self.sql.run(update, values![next, last])?;
        Ok((ids.into_iter().filter_map(|id| id.try_into().ok()).collect(), Some(next)))
    }

    /// Starts to count attempts anew, since an unverified event came in: the others may be there again too.
    fn want_more(&mut self) -> Result<()> {
        self.sql.run("UPDATE wanted SET attempts = 0", values![])?;
        self.want_again()
    }

    /// These events, without those that are left out of the mainline.
    pub fn without_unverified(&mut self, ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = "SELECT id FROM left_out WHERE since IS NOT NULL";
        let unverified: BTreeSet<String> =
            self.sql.rows(query, values![], |row| row.text(0))?.into_iter().collect();
        Ok(ids.iter().filter(|id| !unverified.contains(id.as_str())).cloned().collect())
    }

    /// Stores a given state as a fork of the mainline, and notes the unverified events that are left out of it.
    pub fn fork_without(
        &mut self,
        base: Before,
        overlay: Overlay,
        unverified: &[OwnedEventId],
    ) -> Result<Before> {
        let fork = self.new_fork(base, overlay)?;
        // If there are too many notes, those of the oldest states go: any server in the room can invent more.
        let delete = "DELETE FROM left_out_of_fork WHERE fork IN
                      (SELECT fork FROM left_out_of_fork ORDER BY fork DESC LIMIT -1 OFFSET ?)";
        self.sql.run(delete, values![MAX_UNVERIFIED.saturating_sub(unverified.len())])?;
        for id in unverified {
            let insert =
                "INSERT INTO left_out_of_fork (id, fork) VALUES (?, ?) ON CONFLICT DO NOTHING";
            self.sql.run(insert, values![id.as_str(), fork])?;
        }
        self.cache.unverified = Some(true);
        self.want_again()?;
        Ok(Before { fork: Some(fork), ..base })
    }

    /// Stores the resolution of the states after several events. Where one of the states `has_gap`, the parents are
    /// noted, so that the resolution can be made again.
    pub fn fork_from(&mut self, parents: &[Sn], states: &[After], has_gap: bool) -> Result<Before> {
        let (base, overlay) = self.resolve(states)?;
        if !has_gap {
            return self.fork(base, overlay);
        }
        let fork = self.new_fork(base, overlay)?;
        let insert = "INSERT INTO derived (fork, parents) SELECT ?, ? WHERE (SELECT count(*) FROM derived) < ?";
        let parents = serde_json::to_string(parents)?;
        self.sql.run(insert, values![fork, &parents, MAX_DERIVED])?;
        Ok(Before { fork: Some(fork), ..base })
    }

    /// Whether an unverified event is left out of one of these states, or of a state from which one of them derives.
    pub fn has_gap_in(&mut self, states: &[After]) -> Result<bool> {
        if !self.has_unverified()? {
            return Ok(false);
        }
        let query = "WITH RECURSIVE above (fork) AS (
                         SELECT ? UNION ALL SELECT parent FROM fork JOIN above USING (fork) WHERE parent IS NOT NULL
                     )
                     SELECT 1 FROM above WHERE fork IN (SELECT fork FROM derived)
                         OR EXISTS (SELECT 1 FROM left_out_of_fork l WHERE l.fork = above.fork) LIMIT 1";
        for fork in states.iter().filter_map(|state| state.before.fork) {
            if self.sql.row(query, values![fork], |row| row.int(0))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an unverified event is left out of a state, or of one from which it derives, and is asked for still.
    pub fn is_being_completed(&mut self, before: Before) -> Result<bool> {
        let wanted = "SELECT 1 FROM wanted";
        Ok(self.has_gap_in(&[After { before, plus: None }])?
            && self.sql.row(wanted, values![], |row| row.int(0))?.is_some())
    }

    /// Whether an unverified event is left out of any state that a server gave for one event.
    fn has_unverified(&mut self) -> Result<bool> {
        if self.cache.unverified.is_none() {
            let query = "SELECT 1 FROM left_out_of_fork LIMIT 1";
            self.cache.unverified =
                Some(self.sql.row(query, values![], |row| row.int(0))?.is_some());
        }
        Ok(self.cache.unverified.unwrap_or_default())
    }

    /// Adds an event to the forks that it was left out of, derives again the forks that rest on these, and resolves the
    /// state now, which may rest on them.
    pub fn admit_to_forks(&mut self, sn: Sn) -> Result<()> {
        if !self.has_unverified()? {
            return Ok(());
        }
        let event = self.event(sn)?;
        let query = "DELETE FROM left_out_of_fork WHERE id = ? RETURNING fork";
        let id = event.pdu.event_id.as_str();
        let forks = self.sql.rows(query, values![id], |row| row.int(0))?;
        if forks.is_empty() {
            return Ok(());
        }
        self.cache.unverified = None;
        self.want_more()?;
        if let Some((kind, key)) = event.pdu.key().filter(|_| event.verdict != Verdict::Rejected) {
            for fork in &forks {
                self.set_in_fork(*fork, (kind, key), sn)?;
            }
            self.derive_again(forks.into_iter().collect())?;
            // The state changes at a position without an event.
            let RoomRow { extremities, pos, .. } = self.row()?;
            self.resolve_current_state(&extremities, pos, pos + STEP)?;
            let row = self.row()?;
            self.set_row(RoomRow { pos: pos + STEP, ..row })?;
            self.pending.resolved.push((sn, pos + STEP));
            self.tell(Telling::Soon);
        }
        if !self.has_unverified()? {
            self.sql.run("DELETE FROM derived", values![])?;
        }
        Ok(())
    }

    /// Derives again the forks that rest on changed ones; the older first, since later ones may rest on them.
    fn derive_again(&mut self, mut changed: BTreeSet<i64>) -> Result<()> {
        let query = "SELECT fork, parents FROM derived ORDER BY fork";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
        for (fork, parents) in self.sql.rows(query, values![], read)? {
            let mut states = Vec::new();
            for parent in serde_json::from_str::<Vec<Sn>>(&parents)? {
                states.extend(self.event(parent)?.after());
            }
            if self.rests_on(&states, &changed)? {
                let (_, overlay) = self.resolve(&states)?;
                self.rewrite_fork(fork, &overlay)?;
                changed.insert(fork);
            }
        }
        Ok(())
    }

    /// Whether one of these states is, or overlays, one of these forks.
    fn rests_on(&mut self, states: &[After], forks: &BTreeSet<i64>) -> Result<bool> {
        for state in states {
            let mut next = state.before.fork;
            while let Some(fork) = next {
                if forks.contains(&fork) {
                    return Ok(true);
                }
                let query = "SELECT parent FROM fork WHERE fork = ?";
                next = self.sql.row(query, values![fork], |row| row.int_or_null(0))?.flatten();
            }
        }
        Ok(false)
    }

    /// Adds an event to every state that it was left out of.
    pub fn admit_late(&mut self, sn: Sn) -> Result<()> {
        self.admit_to_join_state(sn)?;
        self.admit_to_forks(sn)
    }

    /// Adds an event to a join's state from that state's begin on, if it was left out there, until its key was set. A
    /// client that read the state before sees the event as a change that happens now.
    fn admit_to_join_state(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        let query = "DELETE FROM left_out WHERE id = ? AND since IS NOT NULL RETURNING since";
        let id = event.pdu.event_id.as_str();
        let Some(since) = self.sql.row(query, values![id], |row| row.int(0))? else {
            return Ok(());
        };
        self.want_more()?;
        let key = event.pdu.key().filter(|_| event.verdict != Verdict::Rejected);
        let Some((kind, key)) = key else { return Ok(()) };
        let query = "SELECT 1 FROM past WHERE type = ? AND key = ? AND until > ? LIMIT 1";
        let replaced = self.sql.row(query, values![kind, key, since], |row| row.int(0))?;
        if replaced.is_some() || self.now(kind, key)?.is_some() {
            return self.resolve_since(since, (kind, key), &event);
        }
        let pos = self.next_pos()?;
        self.change(&(kind.to_owned(), key.to_owned()), Some(sn), pos)?;
        self.write_late(&event, (kind, key), (since, pos))?;
        self.tell(Telling::Soon);
        Ok(())
    }

    /// Gives out a position for a change of the state without an event: nobody was told of anything there yet.
    fn next_pos(&mut self) -> Result<Position> {
        let row = self.row()?;
        let pos = row.pos + STEP;
        self.set_row(RoomRow { pos, ..row })?;
        Ok(pos)
    }

    /// Writes down that this event was the value of its key in a period that is past, and that its server was here if
    /// it is a join.
    fn write_late(
        &mut self,
        event: &Stored,
        (kind, key): (&str, &str),
        (since, until): (Position, Position),
    ) -> Result<()> {
        self.write_past((kind, key), event.sn, (since, until))?;
        match UserId::parse(key) {
            Ok(user) if event.pdu.membership() == Some(Membership::Join) => {
                self.note_stay(user.server_name(), since, until)
            }
            _ => Ok(()),
        }
    }

    /// Resolves anew the values that resolutions gave a key since a position, if the value now is such a one: they
    /// lacked this event. If a state that another server gave has two events of one key, the first to come counts.
    fn resolve_since(&mut self, since: Position, key: (&str, &str), event: &Stored) -> Result<()> {
        if self.mainline(since, key.0, key.1)?.is_some() {
            return Ok(());
        }
        let query = "SELECT s.since, e.pos FROM (
                         SELECT since, sn FROM past WHERE type = ?1 AND key = ?2 AND since > ?3
                         UNION ALL SELECT since, sn FROM now WHERE type = ?1 AND key = ?2 AND since > ?3
                     ) s JOIN events e ON e.sn = s.sn ORDER BY s.since";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int_or_null(1)?));
        let values = self.sql.rows(query, values![key.0, key.1, since], read)?;
        let by_resolution = |(set, own): &(Position, Option<Position>)| *own != Some(*set);
        let Some((first, _)) = values.first().copied() else { return Ok(()) };
        let held = self.now(key.0, key.1)?;
        if held.is_none() || !values.last().is_some_and(by_resolution) {
            return Ok(());
        }
        let mut resolved = Vec::new();
        for (set, _) in values.into_iter().filter(by_resolution) {
            resolved.push((set, self.resolve_with(set, key, event.sn)?));
        }
        let (_, now) = resolved.last().copied().unwrap_or_default();
        if now != held {
            let pos = self.next_pos()?;
            self.change(&(key.0.to_owned(), key.1.to_owned()), now, pos)?;
            self.pending.resolved.push((event.sn, pos));
            self.tell(Telling::Soon);
        }
        for (set, value) in resolved {
            self.rewrite_past(key, set, value)?;
        }
        self.write_late(event, key, (since, first))
    }

    /// What a key is where the state at a position meets the same state with this event.
    fn resolve_with(&mut self, at: Position, key: (&str, &str), sn: Sn) -> Result<Option<Sn>> {
        let (key, then) = ((key.0.to_owned(), key.1.to_owned()), Before { at, fork: None });
        let states = [None, Some((key.clone(), sn))].map(|plus| After { before: then, plus });
        let (_, overlay) = self.resolve(&states)?;
        match overlay.get(&key) {
            Some(value) => Ok(*value),
            None => self.mainline(at, &key.0, &key.1),
        }
    }
}
