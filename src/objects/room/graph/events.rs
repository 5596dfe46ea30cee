//! Which events does the room hold, and where do they stand?

use std::rc::Rc;

use ruma::{EventId, OwnedServerName};
use serde_json::value::RawValue;
use tombolo_platform::{Row, SqlError, values};
use tombolo_protocol::{
    admission::is_whole,
    event::{Pdu, for_federation},
};

use crate::{
    objects::room::{
        Result, Room, Sn,
        messages::{Position, Transaction},
        row::{pack, unpack},
    },
    shell::Stop,
};

/// What the room's judgement made of an event. It may change: an outlier can be placed, a rejection be revised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In the timeline: it has a position.
    Accepted,
    /// Allowed by the state before it, forbidden by the state now when it came: in the graph, not in the timeline.
    SoftFailed,
    /// Forbidden by the events it cites or by the state before it: in the graph, of no effect.
    Rejected,
    /// Allowed by its auth events, place in the graph unknown.
    Outlier,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Accepted, Self::SoftFailed, Self::Rejected, Self::Outlier];

    /// The number under which the verdict is stored.
    fn number(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::SoftFailed => 1,
            Self::Rejected => 2,
            Self::Outlier => 3,
        }
    }

    /// The verdict that is stored as this number.
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }
}

/// The state before an event: the mainline at a position, overlaid by a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Before {
    pub at: Position,
    /// The overlay, a row of `fork`; `None`: the mainline itself.
    pub fork: Option<i64>,
}

/// An event we hold.
#[derive(Debug)]
pub struct Stored {
    pub sn: Sn,
    /// Its place in the timeline, if it is accepted.
    pub pos: Option<Position>,
    pub verdict: Verdict,
    /// The length of the longest path in its auth chain: the events it cites are lower.
    pub height: i64,
    /// Its auth events.
    pub auth: Vec<Sn>,
    /// Those of its parents that we hold.
    pub prev: Vec<Sn>,
    /// The state before it; `None` for an outlier, whose place in the graph is unknown.
    pub before: Option<Before>,
    /// Whether we tell other servers of it.
    pub ours: bool,
    /// The server that gave us the event to pass on, and is not told of it.
    pub given_by: Option<OwnedServerName>,
    /// The redaction that took its content.
    pub redacted_by: Option<Sn>,
    pub pdu: Rc<Pdu>,
    /// The event as the authorization rules read it: they may read more content than a redaction leaves.
    pub judged: Rc<Pdu>,
}

impl Stored {
    /// The event in federation format.
    pub fn for_servers(&self) -> Result<Box<RawValue>> {
        Ok(RawValue::from_string(for_federation(&self.pdu).to_owned())?)
    }
}

/// An event about to be stored.
pub struct Entry<'a> {
    pub pdu: &'a Pdu,
    pub pos: Option<Position>,
    pub verdict: Verdict,
    pub reason: Option<&'a str>,
    pub auth: &'a [Sn],
    pub prev: &'a [Sn],
    pub before: Option<Before>,
    pub ours: bool,
    pub given_by: Option<&'a str>,
    pub transaction: Option<&'a Transaction>,
}

/// How many parsed events the cache holds; once full, it is emptied.
const CACHED_EVENTS: usize = 4096;
/// And how many bytes they take at most: an event has up to 64 KB, its text and its content by itself.
const CACHED_BYTES: usize = 16 << 20;

const COLUMNS: &str =
    "sn, id, pos, verdict, height, auth, prev, at, fork, ours, given_by, redacted_by, json, judged";

impl Room<'_> {
    /// The event of this ID, if we hold it.
    pub fn find(&mut self, id: &EventId) -> Result<Option<Rc<Stored>>> {
        let sn = match self.cache.ids.get(id) {
            Some(sn) => Some(*sn),
            None => {
                self.sql.row("SELECT sn FROM events WHERE id = ?", values![id.as_str()], |row| {
                    row.int(0)
                })?
            }
        };
        sn.map(|sn| self.event(sn)).transpose()
    }

    /// The event of this number; that it exists is an invariant of our tables.
    pub fn event(&mut self, sn: Sn) -> Result<Rc<Stored>> {
        if let Some(stored) = self.cache.events.get(&sn) {
            return Ok(Rc::clone(stored));
        }
        let version = self.row()?.version;
        let query = format!("SELECT {COLUMNS} FROM events WHERE sn = ?");
        let raw = self
            .sql
            .row(&query, values![sn], read)?
            .ok_or_else(|| Stop::broken(format!("no event {sn}")))?;
        Ok(self.remember(raw.parse(version)?))
    }

    /// The events at these positions, in order: `backwards` newest first. Both ends included.
    pub fn between(
        &mut self,
        low: Position,
        high: Position,
        backwards: bool,
        limit: u32,
    ) -> Result<Vec<Rc<Stored>>> {
        let order = if backwards { "DESC" } else { "ASC" };
        let query =
            format!("SELECT sn FROM events WHERE pos BETWEEN ? AND ? ORDER BY pos {order} LIMIT ?");
        let sns = self.sql.rows(&query, values![low, high, limit], |row| row.int(0))?;
        sns.into_iter().map(|sn| self.event(sn)).collect()
    }

    /// Stores a new event; answers its number.
    pub fn add(&mut self, entry: &Entry<'_>) -> Result<Sn> {
        let sn = self.next_sn()?;
        let mut height = 0;
        for auth in entry.auth {
            height = height.max(self.event(*auth)?.height + 1);
        }
        let (auth, prev) = (pack(entry.auth)?, pack(entry.prev)?);
        let keyed = entry.transaction.map(|_| entry.pdu.sender.as_str());
        self.sql.run(
            "INSERT INTO events (sn, id, pos, verdict, reason, height, auth, prev, at, fork, ours, given_by, sender, device, txn, scope, json)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values![
                sn,
                entry.pdu.event_id.as_str(),
                entry.pos,
                entry.verdict.number(),
                entry.reason,
                height,
                auth.as_slice(),
                prev.as_slice(),
                entry.before.map(|before| before.at),
                entry.before.and_then(|before| before.fork),
                entry.ours,
                entry.given_by,
                keyed,
                entry.transaction.map(|transaction| transaction.device.as_str()),
                entry.transaction.map(|transaction| transaction.txn_id.as_str()),
                entry.transaction.map(|transaction| transaction.scope.as_str()),
                &entry.pdu.json
            ],
        )?;
        let pdu = Rc::new(entry.pdu.clone());
        self.remember(Stored {
            sn,
            pos: entry.pos,
            verdict: entry.verdict,
            height,
            auth: entry.auth.to_vec(),
            prev: entry.prev.to_vec(),
            before: entry.before,
            ours: entry.ours,
            given_by: entry.given_by.and_then(|server| server.try_into().ok()),
            redacted_by: None,
            judged: Rc::clone(&pdu),
            pdu,
        });
        self.note_relation(sn, entry.pdu, entry.pos)?;
        Ok(sn)
    }

    /// Stores an event, whether or not we hold it already; answers its number.
    pub fn put(&mut self, entry: &Entry<'_>) -> Result<Sn> {
        match self.find(&entry.pdu.event_id)? {
            Some(held) => {
                self.take_content(&held, &entry.pdu.json)?;
                self.replace_row(held.sn, entry)?;
                Ok(held.sn)
            }
            None => self.add(entry),
        }
    }

    /// Stores the full text of an event that we hold only redacted, because the first server to give it had changed its
    /// content; answers whether it did.
    pub fn take_content(&mut self, held: &Stored, text: &str) -> Result<bool> {
        let fuller = held.redacted_by.is_none() && text.len() > held.pdu.json.len();
        let takes = fuller && !is_whole(&held.pdu.json) && is_whole(text);
        if takes {
            self.sql.run("UPDATE events SET json = ? WHERE sn = ?", values![text, held.sn])?;
            self.forget(held.sn);
            self.cache.listed_since = None;
            self.note_placed(held.sn)?;
        }
        Ok(takes)
    }

    /// Notes which parents of an event we hold.
    pub fn link(&mut self, sn: Sn, prev: &[Sn]) -> Result<()> {
        if self.event(sn)?.prev != prev {
            self.sql.run(
                "UPDATE events SET prev = ? WHERE sn = ?",
                values![pack(prev)?.as_slice(), sn],
            )?;
            self.forget(sn);
        }
        Ok(())
    }

    /// Gives an event a position.
    pub fn place(&mut self, sn: Sn, pos: Position) -> Result<()> {
        self.sql.run("UPDATE events SET pos = ? WHERE sn = ?", values![pos, sn])?;
        self.forget(sn);
        self.note_placed(sn)
    }

    /// Marks an event as one that we tell other servers of.
    pub fn tell_of(&mut self, sn: Sn) -> Result<()> {
        self.sql.run("UPDATE events SET ours = 1 WHERE sn = ?", values![sn])?;
        self.forget(sn);
        Ok(())
    }

    /// Indexes an event, now that it has its place or its content.
    fn note_placed(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        self.note_relation(sn, &event.pdu, event.pos)?;
        self.index_late(&event)
    }

    /// Drops from the cache an event whose row has changed.
    fn forget(&mut self, sn: Sn) {
        self.cache.events.remove(&sn);
    }

    /// Gives a new verdict and place to an event we already hold: an outlier, or an event judged anew.
    pub fn replace_row(&mut self, sn: Sn, entry: &Entry<'_>) -> Result<()> {
        self.cache.events.remove(&sn);
        let prev = pack(entry.prev)?;
        self.sql.run(
            "UPDATE events SET pos = ?, verdict = ?, reason = ?, prev = ?, at = ?, fork = ?, ours = ?, given_by = ? WHERE sn = ?",
            values![
                entry.pos,
                entry.verdict.number(),
                entry.reason,
                prev.as_slice(),
                entry.before.map(|before| before.at),
                entry.before.and_then(|before| before.fork),
                entry.ours,
                entry.given_by,
                sn
            ],
        )?;
        self.note_placed(sn)
    }

    /// Replaces an event's text by its redacted form; `judged` is the content that the rules read, if it differs.
    pub fn overwrite(
        &mut self,
        sn: Sn,
        (redacted, judged): (&Pdu, Option<&RawValue>),
        by: Sn,
    ) -> Result<()> {
        let event = self.event(sn)?;
        self.drop_relation(&event)?;
        self.drop_words(&event)?;
        self.forget(sn);
        self.cache.listed_since = None;
        self.sql.run(
            "UPDATE events SET json = ?, judged = ?, redacted_by = ? WHERE sn = ?",
            values![&redacted.json, judged.map(RawValue::get), by, sn],
        )?;
        Ok(())
    }

    fn next_sn(&mut self) -> Result<Sn> {
        let next = match self.cache.next_sn {
            Some(next) => next,
            None => {
                self.sql
                    .row("SELECT max(sn) FROM events", values![], |row| row.int_or_null(0))?
                    .flatten()
                    .unwrap_or(0)
                    + 1
            }
        };
        self.cache.next_sn = Some(next + 1);
        Ok(next)
    }

    fn remember(&mut self, stored: Stored) -> Rc<Stored> {
        self.cache.events_bytes += 2 * stored.pdu.json.len();
        if self.cache.events.len() >= CACHED_EVENTS || self.cache.events_bytes > CACHED_BYTES {
            self.cache.events.clear();
            self.cache.events_bytes = 2 * stored.pdu.json.len();
            self.cache.ids.clear();
        }
        let stored = Rc::new(stored);
        self.cache.ids.insert(stored.pdu.event_id.clone(), stored.sn);
        self.cache.events.insert(stored.sn, Rc::clone(&stored));
        stored
    }
}

/// A row of `events`, its text not yet parsed.
struct Raw {
    id: String,
    json: String,
    judged: Option<String>,
    rejected: bool,
    stored: Box<dyn FnOnce(Rc<Pdu>, Rc<Pdu>) -> Stored>,
}

impl Raw {
    fn parse(
        self,
        version: &'static tombolo_protocol::room_version::RoomVersion,
    ) -> Result<Stored> {
        let broken = |what: String| Stop::broken(format!("stored event {}: {what}", self.id));
        let id = self.id.as_str().try_into().map_err(|_| broken("its ID is none".to_owned()))?;
        let pdu = Pdu::from_stored(id, &self.json, version, self.rejected)
            .map_err(|fault| broken(fault.to_string()))?;
        let pdu = Rc::new(pdu);
        let judged = match self.judged {
            Some(content) => Rc::new(pdu.with_content(RawValue::from_string(content)?)),
            None => Rc::clone(&pdu),
        };
        Ok((self.stored)(pdu, judged))
    }
}

fn read(row: &Row<'_>) -> std::result::Result<Raw, SqlError> {
    let (sn, pos, verdict, height) = (row.int(0)?, row.int_or_null(2)?, row.int(3)?, row.int(4)?);
    let (auth, prev) = (unpack(&row.blob(5)?), unpack(&row.blob(6)?));
    let fork = row.int_or_null(8)?;
    let before = row.int_or_null(7)?.map(|at| Before { at, fork });
    let (ours, redacted_by) = (row.int(9)? != 0, row.int_or_null(11)?);
    let given_by = row.text_or_null(10)?.and_then(|server| server.try_into().ok());
    let verdict = Verdict::of(verdict)
        .ok_or_else(|| SqlError::Database(format!("event {sn} has an unknown verdict")))?;
    Ok(Raw {
        id: row.text(1)?,
        json: row.text(12)?,
        judged: row.text_or_null(13)?,
        rejected: verdict == Verdict::Rejected,
        stored: Box::new(move |pdu, judged| Stored {
            sn,
            pos,
            verdict,
            height,
            auth,
            prev,
            before,
            ours,
            given_by,
            redacted_by,
            pdu,
            judged,
        }),
    })
}
