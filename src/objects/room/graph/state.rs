//! What is the state of the room: now, at a position, before an event on a fork?

use std::{collections::BTreeMap, rc::Rc};

use tombolo_platform::{Row, values};

use crate::{
    objects::room::{
        Result, Room, STEP, Sn,
        graph::events::{Before, Stored, Verdict},
        messages::Position,
    },
    shell::Stop,
};

/// A type and a state key.
pub type Key = (String, String);

/// The keys in which a state differs from the mainline at its position; `None`: the key is not set.
pub type Overlay = BTreeMap<Key, Option<Sn>>;

/// Forks are chained so that a step costs one row; a chain longer than this is flattened.
const LONGEST_CHAIN: i64 = 50;

/// The state after an event: the state before it and, for a state event that counts, the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    pub before: Before,
    pub plus: Option<(Key, Sn)>,
}

impl Before {
    /// The state before an event at `pos` whose parents were all the extremities: the mainline there.
    pub fn linear(pos: Position) -> Self {
        Self { at: pos - 1, fork: None }
    }
}

impl Stored {
    /// Whether the event came in below others that we held: its position is between the steps of live events, and the
    /// state around it is known only roughly.
    pub fn is_history(&self) -> bool {
        self.pos.is_some_and(|pos| pos % STEP != 0)
    }

    /// Whether an event that cites this one as its parent may be judged by the state after this one.
    pub fn is_parent(&self) -> bool {
        self.before.is_some() && !self.is_history()
    }

    /// The state after this event; `None` for an outlier, whose place is unknown.
    pub fn after(&self) -> Option<After> {
        let before = self.before?;
        let counts = matches!(self.verdict, Verdict::Accepted | Verdict::SoftFailed);
        let plus = self
            .pdu
            .key()
            .filter(|_| counts)
            .map(|(kind, key)| ((kind.to_owned(), key.to_owned()), self.sn));
        Some(match self.pos {
            Some(pos) if before == Before::linear(pos) => {
                After { before: Before { at: pos, fork: None }, plus: None }
            }
            _ => After { before, plus },
        })
    }
}

impl Room<'_> {
    /// The current value of a key.
    pub fn now(&mut self, kind: &str, key: &str) -> Result<Option<Sn>> {
        let entry = (kind.to_owned(), key.to_owned());
        if let Some(value) = self.cache.now.get(&entry) {
            return Ok(*value);
        }
        let query = "SELECT sn FROM now WHERE type = ? AND key = ?";
        let value = self.sql.row(query, values![kind, key], |row| row.int(0))?;
        self.cache.now.insert(entry, value);
        Ok(value)
    }

    /// The event that is the current value of a key.
    pub fn now_event(&mut self, kind: &str, key: &str) -> Result<Option<Rc<Stored>>> {
        self.now(kind, key)?.map(|sn| self.event(sn)).transpose()
    }

    /// The value of a key on the mainline, at a position.
    pub fn mainline(&mut self, at: Position, kind: &str, key: &str) -> Result<Option<Sn>> {
        if at >= self.unchanged_since()? {
            return self.now(kind, key);
        }
        let query = "SELECT sn, since FROM past WHERE type = ? AND key = ? AND until > ? ORDER BY until LIMIT 1";
        let pair = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
        if let Some((sn, since)) = self.sql.row(query, values![kind, key, at], pair)? {
            return Ok((since <= at).then_some(sn));
        }
        let query = "SELECT sn FROM now WHERE type = ? AND key = ? AND since <= ?";
        Ok(self.sql.row(query, values![kind, key, at], |row| row.int(0))?)
    }

    /// The value of a key in the state before an event.
    pub fn value(&mut self, before: Before, kind: &str, key: &str) -> Result<Option<Sn>> {
        let mut fork = before.fork;
        while let Some(current) = fork {
            let query = "SELECT sn FROM forks WHERE fork = ? AND type = ? AND key = ?";
            if let Some(value) =
                self.sql.row(query, values![current, kind, key], |row| row.int_or_null(0))?
            {
                return Ok(value);
            }
            fork = self.parent(current)?.0;
        }
        self.mainline(before.at, kind, key)
    }

    /// The value of a key in the state after an event.
    pub fn value_after(&mut self, after: &After, kind: &str, key: &str) -> Result<Option<Sn>> {
        match &after.plus {
            Some((plus, sn)) if plus.0 == kind && plus.1 == key => Ok(Some(*sn)),
            _ => self.value(after.before, kind, key),
        }
    }

    /// All keys in which a fork, its ancestors included, differs from the mainline.
    pub fn overlay(&mut self, fork: Option<i64>) -> Result<Overlay> {
        let mut overlay = Overlay::new();
        let mut next = fork;
        while let Some(current) = next {
            let entries = self.sql.rows(
                "SELECT type, key, sn FROM forks WHERE fork = ?",
                values![current],
                |row| Ok(((row.text(0)?, row.text(1)?), row.int_or_null(2)?)),
            )?;
            for (key, value) in entries {
                overlay.entry(key).or_insert(value);
            }
            next = self.parent(current)?.0;
        }
        Ok(overlay)
    }

    /// The whole state before an event.
    pub fn whole(&mut self, before: Before) -> Result<BTreeMap<Key, Sn>> {
        let query = "SELECT type, key, sn FROM now WHERE since <= ?1
                     UNION ALL SELECT type, key, sn FROM past WHERE since <= ?1 AND until > ?1";
        self.read_state(query, before, |_| true)
    }

    /// The state before an event without who is in the room: of a large room that is most of it.
    pub fn without_members(&mut self, before: Before) -> Result<BTreeMap<Key, Sn>> {
        let query = "SELECT type, key, sn FROM now WHERE (type < 'm.room.member' OR type > 'm.room.member') AND since <= ?1
                     UNION ALL SELECT type, key, sn FROM past WHERE (type < 'm.room.member' OR type > 'm.room.member')
                     AND since <= ?1 AND until > ?1";
        self.read_state(query, before, |kind| kind != "m.room.member")
    }

    /// The state before an event: what a query finds on the mainline, and what a fork has of such types instead.
    fn read_state(
        &mut self,
        query: &str,
        before: Before,
        has: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<Key, Sn>> {
        let rows = self.sql.rows(query, values![before.at], |row| {
            Ok(((row.text(0)?, row.text(1)?), row.int(2)?))
        })?;
        let mut state: BTreeMap<Key, Sn> = rows.into_iter().collect();
        for (key, value) in self.overlay(before.fork)?.into_iter().filter(|(key, _)| has(&key.0)) {
            match value {
                Some(sn) => state.insert(key, sn),
                None => state.remove(&key),
            };
        }
        Ok(state)
    }

    /// The position of the mainline's last change: from there on, every value is the current one.
    pub fn unchanged_since(&mut self) -> Result<Position> {
        if let Some(since) = self.cache.unchanged_since {
            return Ok(since);
        }
        let query = "SELECT max(coalesce((SELECT max(since) FROM now), 0), coalesce((SELECT max(until) FROM past), 0))";
        let since = self.sql.row(query, values![], |row| row.int(0))?.unwrap_or(0);
        self.cache.unchanged_since = Some(since);
        Ok(since)
    }

    /// The keys whose mainline value changed after `from` and up to `to`.
    pub fn changed(&mut self, from: Position, to: Position) -> Result<Vec<Key>> {
        if from >= self.unchanged_since()? {
            return Ok(Vec::new());
        }
        let query = "SELECT type, key FROM now WHERE since > ?1 AND since <= ?2
                     UNION SELECT type, key FROM past WHERE until > ?1 AND until <= ?2
                     UNION SELECT type, key FROM past WHERE since > ?1 AND since <= ?2";
        Ok(self.sql.rows(query, values![from, to], |row| Ok((row.text(0)?, row.text(1)?)))?)
    }

    /// Stores `parent` overlaid by `overlay` as a fork. An empty overlay makes none: the state is `parent`.
    pub fn fork(&mut self, parent: Before, overlay: Overlay) -> Result<Before> {
        if overlay.is_empty() {
            return Ok(parent);
        }
        let (fork, at) = (self.new_fork(parent, overlay)?, parent.at);
        Ok(Before { at, fork: Some(fork) })
    }

    /// Stores the fork that is `parent` overlaid by `overlay`, which may be empty; answers the fork's number.
    pub fn new_fork(&mut self, parent: Before, overlay: Overlay) -> Result<i64> {
        let depth = self.depth_upon(parent.fork)?;
        let (base, depth, overlay) = if depth > LONGEST_CHAIN {
            let mut flat = self.overlay(parent.fork)?;
            flat.extend(overlay);
            (None, 0, flat)
        } else {
            (parent.fork, depth, overlay)
        };
        let insert = "INSERT INTO fork (parent, depth) VALUES (?, ?) RETURNING fork";
        let fork = self.sql.row(insert, values![base, depth], |row| row.int(0))?;
        let fork = fork.ok_or_else(|| Stop::broken("a new fork has no number"))?;
        self.write_fork(fork, &overlay)?;
        Ok(fork)
    }

    /// Replaces the differences of a fork from its parent.
    pub fn rewrite_fork(&mut self, fork: i64, overlay: &Overlay) -> Result<()> {
        self.sql.run("DELETE FROM forks WHERE fork = ?", values![fork])?;
        self.write_fork(fork, overlay)
    }

    /// Sets a key of a fork, unless the fork itself sets that key to another event.
    pub fn set_in_fork(&mut self, fork: i64, (kind, key): (&str, &str), sn: Sn) -> Result<()> {
        let insert = "INSERT INTO forks (fork, type, key, sn) VALUES (?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET sn = excluded.sn WHERE sn IS NULL";
        self.sql.run(insert, values![fork, kind, key, sn])?;
        Ok(())
    }

    /// Writes the differences of a fork from its parent.
    fn write_fork(&mut self, fork: i64, overlay: &Overlay) -> Result<()> {
        for ((kind, key), sn) in overlay {
            self.sql.run(
                "INSERT INTO forks (fork, type, key, sn) VALUES (?, ?, ?, ?)",
                values![fork, kind, key, *sn],
            )?;
        }
        Ok(())
    }

    /// Whether a new fork on top of this state would be chained to it, not flattened.
    pub fn is_chained(&mut self, parent: Before) -> Result<bool> {
        Ok(self.depth_upon(parent.fork)? <= LONGEST_CHAIN)
    }

    fn depth_upon(&mut self, fork: Option<i64>) -> Result<i64> {
        let parent = fork.map(|fork| self.parent(fork)).transpose()?;
        Ok(parent.map_or(0, |(_, depth)| depth + 1))
    }

    /// Writes the current value of a key, which holds from `pos` on. Call [`Room::change`], which also updates members
    /// and followers.
    pub fn write_now(&mut self, key: &Key, value: Option<Sn>, pos: Position) -> Result<()> {
        let (kind, name) = (key.0.as_str(), key.1.as_str());
        let query = "SELECT sn, since FROM now WHERE type = ? AND key = ?";
        let old = self.sql.row(query, values![kind, name], |row| Ok((row.int(0)?, row.int(1)?)))?;
        if let Some((sn, since)) = old.filter(|(_, since)| *since < pos) {
            self.write_past((kind, name), sn, (since, pos))?;
        }
        match value {
            Some(sn) => self.sql.run(
                "INSERT INTO now (type, key, sn, since) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET sn = excluded.sn, since = excluded.since",
                values![kind, name, sn, pos],
            )?,
            None => {
                self.sql.run("DELETE FROM now WHERE type = ? AND key = ?", values![kind, name])?
            }
        };
        self.cache.now.insert(key.clone(), value);
        self.cache.unchanged_since = self.cache.unchanged_since.map(|since| since.max(pos));
        if kind == "m.room.member" {
            self.cache.audience = None;
        }
        Ok(())
    }

    /// Writes the value that a key had on the mainline from `since` until before `until`.
    pub fn write_past(
        &mut self,
        (kind, key): (&str, &str),
        sn: Sn,
        (since, until): (Position, Position),
    ) -> Result<()> {
        let insert = "INSERT INTO past (type, key, until, since, sn) VALUES (?, ?, ?, ?, ?)";
        self.sql.run(insert, values![kind, key, until, since, sn])?;
        Ok(())
    }

    /// Replaces the value that a key has had on the mainline since a position, until it changed.
    pub fn rewrite_past(
        &mut self,
        (kind, key): (&str, &str),
        since: Position,
        value: Option<Sn>,
    ) -> Result<()> {
        match value {
            Some(sn) => {
                let update = "UPDATE past SET sn = ? WHERE type = ? AND key = ? AND since = ?";
                self.sql.run(update, values![sn, kind, key, since])?;
            }
            None => {
                let delete = "DELETE FROM past WHERE type = ? AND key = ? AND since = ?";
                self.sql.run(delete, values![kind, key, since])?;
            }
        }
        Ok(())
    }

    fn parent(&mut self, fork: i64) -> Result<(Option<i64>, i64)> {
        let query = "SELECT parent, depth FROM fork WHERE fork = ?";
        let found =
            self.sql.row(query, values![fork], |row| Ok((row.int_or_null(0)?, row.int(1)?)))?;
        found.ok_or_else(|| Stop::broken(format!("no fork {fork}")))
    }
}
