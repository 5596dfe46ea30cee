//! What becomes of what a join, or one event, left out of the state it was given?
//!
//! Nobody could verify it then, or what it cites. It is noted, and taken into the state once it is stored.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, UserId};
use tombolo_platform::values;
use tombolo_protocol::event::Pdu;

use super::{
    Head, Position, Refusal, Result, Room, STEP, Sn,
    state::{After, Overlay},
    timeline::{Before, Standing},
};
use crate::objects::Stop;

/// How many events are noted that could not be verified: a server may invent them.
const MAX_LEFT_OUT: usize = 10_000;
/// How many of them a state takes over from the states that it comes from.
const MAX_INHERITED: u32 = 1000;

/// Refuses a state without what the room's members see it by: who may do what, and who comes in.
pub fn may_be_left_out(pdu: &Pdu) -> Result<()> {
    match pdu.kind() {
        kind @ ("m.room.power_levels" | "m.room.join_rules") => {
            let reason = format!("what {kind} rests on cannot be verified");
            Err(Stop::Refused(Refusal::Invalid(reason)))
        }
        _ => Ok(()),
    }
}

impl Room<'_> {
    /// Notes what is left out of the state that is being given.
    pub fn note_left_out(&mut self, left_out: &[OwnedEventId]) -> Result<()> {
        if left_out.is_empty() {
            return Ok(());
        }
        let query = "SELECT count(*) FROM left_out WHERE since IS NULL";
        let noted = self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default();
        let spare = MAX_LEFT_OUT.saturating_sub(usize::try_from(noted).unwrap_or(MAX_LEFT_OUT));
        for id in left_out.iter().take(spare) {
            let insert =
                "INSERT INTO left_out (id) VALUES (?) ON CONFLICT DO UPDATE SET since = NULL";
            self.sql.run(insert, values![id.as_str()])?;
        }
        Ok(())
    }

    /// Forgets what was noted for an attempt to join that came to nothing.
    pub fn forget_left_out(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM left_out WHERE since IS NULL", values![])?;
        Ok(())
    }

    /// What was noted is left out of the state that begins at a position, and nothing else is any more.
    pub fn begin_left_out(&mut self, pos: Position) -> Result<()> {
        self.sql.run("DELETE FROM left_out WHERE since IS NOT NULL", values![])?;
        self.sql.run("UPDATE left_out SET since = ?", values![pos])?;
        Ok(())
    }

    /// Makes a state, an overlay of the mainline, one of its own, and notes what is left out of it. `parents` are the
    /// events after whose states it comes; none where a server gave it.
    pub fn fork_without(
        &mut self,
        base: Before,
        overlay: Overlay,
        left_out: &[OwnedEventId],
        parents: &[Sn],
    ) -> Result<Before> {
        let fork = self.new_fork(base, overlay)?;
        // Of too many, those of the oldest states go: any server in the room can invent more.
        let delete = "DELETE FROM left_out_of_fork WHERE fork IN
                      (SELECT fork FROM left_out_of_fork ORDER BY fork DESC LIMIT -1 OFFSET ?)";
        self.sql.run(delete, values![MAX_LEFT_OUT.saturating_sub(left_out.len())])?;
        let parents = match parents {
            [] => None,
            parents => Some(serde_json::to_string(parents)?),
        };
        for id in left_out {
            let insert = "INSERT INTO left_out_of_fork (id, fork, at, parents) VALUES (?, ?, ?, ?)
                          ON CONFLICT DO NOTHING";
            self.sql.run(insert, values![id.as_str(), fork, base.at, parents.as_deref()])?;
        }
        Ok(Before { fork: Some(fork), ..base })
    }

    /// Whether something is left out of a state.
    pub fn lacks(&mut self, fork: Option<i64>) -> Result<bool> {
        let before = Before { at: 0, fork };
        Ok(!self.left_out_of(&[After { before, plus: None }])?.is_empty())
    }

    /// What is left out of any of these states.
    pub fn left_out_of(&mut self, states: &[After]) -> Result<Vec<OwnedEventId>> {
        if self
            .sql
            .row("SELECT 1 FROM left_out_of_fork LIMIT 1", values![], |row| row.int(0))?
            .is_none()
        {
            return Ok(Vec::new());
        }
        let mut left_out = BTreeSet::new();
        for after in states {
            let query = "WITH RECURSIVE above (fork) AS (
                             SELECT ?1 UNION ALL SELECT parent FROM fork JOIN above USING (fork) WHERE parent IS NOT NULL
                         )
                         SELECT id FROM left_out_of_fork JOIN above USING (fork) LIMIT ?2";
            let ids = self
                .sql
                .rows(query, values![after.before.fork, MAX_INHERITED], |row| row.text(0))?;
            left_out.extend(ids);
        }
        let read = |id: String| {
            OwnedEventId::try_from(id).map_err(|_| Stop::broken("what is left out has no ID"))
        };
        left_out.into_iter().take(MAX_INHERITED as usize).map(read).collect()
    }

    /// Takes an event into the states given for single events that it was left out of, and into those that come from
    /// them. The state now may rest on them.
    pub fn amend_forks(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        let query = "DELETE FROM left_out_of_fork WHERE id = ? RETURNING fork, at, parents";
        let id = event.pdu.event_id.as_str();
        let mut forks = self.sql.rows(query, values![id], |row| {
            Ok((row.int(0)?, row.int_or_null(1)?, row.text_or_null(2)?))
        })?;
        let key = event.pdu.key().filter(|_| event.standing != Standing::Rejected);
        let Some((kind, key)) = key.filter(|_| !forks.is_empty()) else { return Ok(()) };
        // A state is younger than those that it comes from.
        forks.sort_unstable();
        for (fork, at, parents) in forks {
            if let Some(parents) = parents {
                self.derive_again(fork, &serde_json::from_str::<Vec<Sn>>(&parents)?)?;
                continue;
            }
            let at = match at {
                Some(at) => at,
                None => self.head()?.pos,
            };
            // What another event set meanwhile stands.
            if self.value(Before { at, fork: Some(fork) }, kind, key)?.is_none() {
                let insert = "INSERT INTO forks (fork, type, key, sn) VALUES (?, ?, ?, ?)
                              ON CONFLICT DO UPDATE SET sn = excluded.sn";
                self.sql.run(insert, values![fork, kind, key, sn])?;
            }
        }
        // The state changes at a position without an event.
        let Head { tips, pos, .. } = self.head()?;
        self.settle(&tips, pos, pos + STEP)?;
        let head = self.head()?;
        self.save(Head { pos: pos + STEP, ..head })?;
        self.tell_the_dropped(sn, pos + STEP)?;
        self.wake_soon();
        Ok(())
    }

    /// Makes a state anew from the states after its parents, since these have changed.
    fn derive_again(&mut self, fork: i64, parents: &[Sn]) -> Result<()> {
        let mut states = Vec::new();
        for parent in parents {
            states.extend(self.event(*parent)?.after());
        }
        let (_, overlay) = self.resolve(&states)?;
        self.sql.run("DELETE FROM forks WHERE fork = ?", values![fork])?;
        for ((kind, key), value) in overlay {
            let insert = "INSERT INTO forks (fork, type, key, sn) VALUES (?, ?, ?, ?)";
            self.sql.run(insert, values![fork, &kind, &key, value])?;
        }
        Ok(())
    }

    /// Takes an event into the states it was left out of.
    pub fn amend(&mut self, sn: Sn) -> Result<()> {
        self.amend_join(sn)?;
        self.amend_forks(sn)
    }

    /// Takes an event into the state from where that begins, if it was left out of it then and nothing has replaced it
    /// since. Whoever reads the state from before is shown it as what changed now.
    fn amend_join(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        let query = "DELETE FROM left_out WHERE id = ? AND since IS NOT NULL RETURNING since";
        let id = event.pdu.event_id.as_str();
        let Some(since) = self.sql.row(query, values![id], |row| row.int(0))? else {
            return Ok(());
        };
        let key = event.pdu.key().filter(|_| event.standing != Standing::Rejected);
        let Some((kind, key)) = key else { return Ok(()) };
        let query = "SELECT 1 FROM past WHERE type = ? AND key = ? AND until > ? LIMIT 1";
        let replaced = self.sql.row(query, values![kind, key, since], |row| row.int(0))?;
        if replaced.is_some() || self.now(kind, key)?.is_some() {
            return Ok(());
        }
        let pos = self.head()?.pos + 1;
        self.change(&(kind.to_owned(), key.to_owned()), Some(sn), pos)?;
        let insert = "INSERT INTO past (type, key, until, since, sn) VALUES (?, ?, ?, ?, ?)";
        self.sql.run(insert, values![kind, key, pos, since, sn])?;
        if event.pdu.membership().as_deref() == Some("join")
            && let Ok(user) = UserId::parse(key)
        {
            self.note_stay(user.server_name(), since, pos)?;
        }
        let head = self.head()?;
        self.save(head)?;
        self.wake_soon();
        Ok(())
    }
}
