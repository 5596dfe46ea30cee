//! Which events of the timeline say something of an event?
//! ([relationships](https://spec.matrix.org/v1.19/client-server-api/#relationships-between-events))
//!
//! A relation is noted when its event gets its place, and dropped when the event is redacted: whatever has a place and
//! still says it is here. The other event need not be held.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedUserId, UserId};
use tombolo_platform::{Row, values};
use tombolo_protocol::event::{Pdu, Relation};

use crate::objects::room::{
    Result, Room, Sn,
    graph::events::Stored,
    messages::{MAX_DEPTH, Position, Related},
};

/// The longest type of a relation that is noted, in bytes: as long as an event's type may be.
const MAX_TYPE: usize = 255;
/// Of how many older events one message notes the relations.
const STEP: u32 = 1000;
/// How long after that the next part is noted (ms), if no message comes before.
const PAUSE: u64 = 100;

/// How much relates to an event, in one way.
#[derive(Debug)]
pub struct Summary {
    pub target: String,
    pub rel_type: String,
    pub count: i64,
    /// Whether the viewer sent any of it.
    pub own: bool,
}

/// Which relations count for a viewer: those up to a position, of users whom the viewer does not ignore.
pub struct Scope<'a> {
    pub user: &'a UserId,
    pub end: Position,
    /// A list, as JSON.
    ignored: String,
}

impl<'a> Scope<'a> {
    pub fn new(user: &'a UserId, ignored: &BTreeSet<OwnedUserId>, end: Position) -> Result<Self> {
        Ok(Self { user, end, ignored: serde_json::to_string(ignored)? })
    }
}

impl Room<'_> {
    /// Notes what an event says of another, once it has a place.
    pub fn note_relation(&mut self, sn: Sn, pdu: &Pdu, pos: Option<Position>) -> Result<()> {
        let (Some(pos), Some(relation)) = (pos, readable(pdu)) else { return Ok(()) };
        self.sql.run(
            "INSERT INTO relations (target, rel_type, pos, sn, type, sender, ts) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
            values![
                &relation.event_id,
                &relation.rel_type,
                pos,
                sn,
                pdu.kind(),
                pdu.sender.as_str(),
                pdu.origin_server_ts
            ],
        )?;
        self.cache.has_relations = Some(true);
        Ok(())
    }

    /// Drops what an event says of another: it is being redacted.
    pub fn drop_relation(&mut self, event: &Stored) -> Result<()> {
        let (Some(pos), Some(relation)) = (event.pos, readable(&event.pdu)) else { return Ok(()) };
        self.sql.run(
            "DELETE FROM relations WHERE target = ? AND rel_type = ? AND pos = ?",
            values![&relation.event_id, &relation.rel_type, pos],
        )?;
        Ok(())
    }

    /// Whether any event of the room may relate to another.
    pub fn has_relations(&mut self) -> Result<bool> {
        if let Some(known) = self.cache.has_relations {
            return Ok(known);
        }
        let query = "SELECT 1 FROM relations LIMIT 1";
        let found = self.sql.row(query, values![], |row| row.int(0))?.is_some();
        self.cache.has_relations = Some(found);
        Ok(found)
    }

    /// Notes the relations of older events, a part of them, newest first; the alarm goes on with the rest. So a room
    /// that an earlier deployment made comes to have them all, and no message takes long.
    pub fn note_older_relations(&mut self) -> Result<()> {
        let due = match self.cache.relations_due {
            Some(due) => due,
            None => {
                let query = "SELECT sn FROM relations_due";
                self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default()
            }
        };
        self.cache.relations_due = Some(due);
        if due == 0 {
            return Ok(());
        }
        let rest = due.saturating_sub(Sn::from(STEP)).max(0);
        // The text is looked at in SQL, so that only events which relate to others are read.
        let query = "SELECT sn FROM events WHERE sn > ? AND sn <= ? AND pos IS NOT NULL AND instr(json, '\"m.relates_to\"') > 0";
        for sn in self.sql.rows(query, values![rest, due], |row| row.int(0))? {
            let event = self.event(sn)?;
            self.note_relation(sn, &event.pdu, event.pos)?;
        }
        if rest == 0 {
            self.sql.run("DELETE FROM relations_due", values![])?;
        } else {
            self.sql.run("UPDATE relations_due SET sn = ?", values![rest])?;
            self.wake_at(self.moment.now.saturating_add(PAUSE));
        }
        self.cache.relations_due = Some(rest);
        Ok(())
    }

    /// The events that relate to one, with their places, in the order of the timeline: above `low`, up to `high`.
    pub fn related(
        &mut self,
        wanted: &Related,
        (low, high): (Position, Position),
        limit: u32,
    ) -> Result<Vec<(Sn, Position)>> {
        let order = if wanted.backwards { "DESC" } else { "ASC" };
        let query = if wanted.recurse {
            format!(
                "SELECT sn, pos FROM (
                     WITH RECURSIVE found (sn, pos, rel_type, type, depth) AS (
                         SELECT sn, pos, rel_type, type, 0 FROM relations WHERE target = ?1
                         UNION ALL SELECT r.sn, r.pos, r.rel_type, r.type, f.depth + 1
                         FROM found f JOIN events e ON e.sn = f.sn JOIN relations r ON r.target = e.id WHERE f.depth < ?7
                     ) SELECT sn, pos, rel_type, type FROM found
                 ) WHERE (?2 IS NULL OR rel_type = ?2) AND (?3 IS NULL OR type = ?3) AND pos > ?4 AND pos <= ?5
                 ORDER BY pos {order} LIMIT ?6"
            )
        } else {
            format!(
                "SELECT sn, pos FROM relations WHERE target = ?1 AND (?2 IS NULL OR rel_type = ?2)
                 AND (?3 IS NULL OR type = ?3) AND pos > ?4 AND pos <= ?5 ORDER BY pos {order} LIMIT ?6"
            )
        };
        let (rel_type, event_type) = (wanted.rel_type.as_deref(), wanted.event_type.as_deref());
        let event_id = wanted.event_id.as_str();
        let values = values![event_id, rel_type, event_type, low, high, limit, MAX_DEPTH];
        let values = if wanted.recurse { values } else { &values[..6] };
        Ok(self.sql.rows(&query, values, |row| Ok((row.int(0)?, row.int(1)?)))?)
    }

    /// How much relates to each of these events, by how it relates.
    pub fn relations_of(
        &mut self,
        event_ids: &BTreeSet<&str>,
        scope: &Scope<'_>,
    ) -> Result<Vec<Summary>> {
        let query = "SELECT target, rel_type, count(*), max(sender = ?1) FROM relations
                     WHERE target IN (SELECT value FROM json_each(?2)) AND rel_type IN ('m.replace', 'm.thread', 'm.reference')
                     AND pos <= ?3 AND sender NOT IN (SELECT value FROM json_each(?4)) GROUP BY target, rel_type";
        let ids = serde_json::to_string(event_ids)?;
        let values = values![scope.user.as_str(), &ids, scope.end, &scope.ignored];
        let read = |row: &Row<'_>| {
            let own = row.int(3)? != 0;
            Ok(Summary { target: row.text(0)?, rel_type: row.text(1)?, count: row.int(2)?, own })
        };
        Ok(self.sql.rows(query, values, read)?)
    }

    /// The newest events of a thread, newest first.
    pub fn newest_of_thread(
        &mut self,
        root: &str,
        scope: &Scope<'_>,
        limit: u32,
    ) -> Result<Vec<Sn>> {
        let query =
            "SELECT sn FROM relations WHERE target = ? AND rel_type = 'm.thread' AND pos <= ?
                     AND sender NOT IN (SELECT value FROM json_each(?)) ORDER BY pos DESC LIMIT ?";
        let values = values![root, scope.end, &scope.ignored, limit];
        Ok(self.sql.rows(query, values, |row| row.int(0))?)
    }

    /// The newest edits of an event by its sender that are of its type, by the time that they were sent.
    pub fn edits_of(&mut self, event: &Pdu, scope: &Scope<'_>, limit: u32) -> Result<Vec<Sn>> {
        let query = "SELECT sn FROM relations WHERE target = ? AND rel_type = 'm.replace' AND pos <= ? AND sender = ?
                     AND type = ? ORDER BY ts DESC LIMIT ?";
        let (id, sender) = (event.event_id.as_str(), event.sender.as_str());
        let values = values![id, scope.end, sender, event.kind(), limit];
        Ok(self.sql.rows(query, values, |row| row.int(0))?)
    }

    /// The events that refer to one, oldest first.
    pub fn references_to(
        &mut self,
        event_id: &str,
        scope: &Scope<'_>,
        limit: u32,
    ) -> Result<Vec<Sn>> {
        let query =
            "SELECT sn FROM relations WHERE target = ? AND rel_type = 'm.reference' AND pos <= ?
                     AND sender NOT IN (SELECT value FROM json_each(?)) ORDER BY pos LIMIT ?";
        let values = values![event_id, scope.end, &scope.ignored, limit];
        Ok(self.sql.rows(query, values, |row| row.int(0))?)
    }

    /// Threads, each by its root and the place of its newest event, newest first, from this place downwards.
    pub fn threads_below(
        &mut self,
        from: Position,
        scope: &Scope<'_>,
        limit: u32,
    ) -> Result<Vec<(String, Position)>> {
        let query = "SELECT r.target, r.pos FROM relations r WHERE r.rel_type = 'm.thread' AND r.pos <= ?1
                     AND r.sender NOT IN (SELECT value FROM json_each(?3))
                     AND NOT EXISTS (
                         SELECT 1 FROM relations n WHERE n.target = r.target AND n.rel_type = 'm.thread' AND n.pos > r.pos
                         AND n.pos <= ?2 AND n.sender NOT IN (SELECT value FROM json_each(?3))
                     ) ORDER BY r.pos DESC LIMIT ?4";
        let values = values![from.min(scope.end), scope.end, &scope.ignored, limit];
        Ok(self.sql.rows(query, values, |row| Ok((row.text(0)?, row.int(1)?)))?)
    }
}

/// What an event says of another, if it can be noted.
fn readable(pdu: &Pdu) -> Option<Relation> {
    let relation = Relation::of(&pdu.content)?;
    let fits = relation.rel_type.len() <= MAX_TYPE && EventId::parse(&relation.event_id).is_ok();
    fits.then_some(relation)
}
