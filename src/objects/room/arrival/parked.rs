//! Which events wait for others, how much may wait, and when is another attempt due?
//!
//! A parked event is unknown to the graph: no parent, no forward extremity, not answered to others. The request that
//! brought it tries to fetch what it lacks; after that the room's alarm tries, less and less often, until the room
//! forgets the event, which may come again.
//!
//! A server that is, or was, in the room may have some events wait. A server whose join has not reached us yet looks
//! like one that only knows the room's ID: all such strangers together may have a few wait, for a while, and nothing
//! is fetched for them later.

use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::{Row, SqlError, values};
use tombolo_protocol::admission::Checked;

use crate::{
    objects::room::{
        Result, Room,
        graph::judgement::Judgement,
        messages::{Lack, Received, Reconsider, Reconsidered},
        row::Life,
    },
    shell::Stop,
};

/// How long a parked event is left to the request that brought it (ms); doubled with each attempt after.
const FIRST_RETRY: u64 = 10_000;
/// How often a parked event is tried before it is forgotten; it may come again.
const MAX_ATTEMPTS: i64 = 8;
/// How many events are tried together.
const TRIED_TOGETHER: i64 = 10;
/// How soon the alarm comes again where more events are due already (ms).
const NEXT: u64 = 1000;
/// How long strangers' events wait (ms): as long as the join of a newcomer may take to reach us, where a link is down.
const STRANGERS_WAIT: u64 = 600_000;

/// How much may be parked; beyond, new events are dropped and may come again.
#[derive(Clone, Copy)]
struct Quota {
    events: i64,
    bytes: i64,
}

const OF_ROOM: Quota = Quota { events: 1000, bytes: 16 << 20 };
const OF_SERVER: Quota = Quota { events: 100, bytes: 2 << 20 };
const OF_STRANGERS: Quota = Quota { events: 20, bytes: 512 << 10 };

/// How an event comes to be parked.
pub struct Parking<'a> {
    pub origin: &'a ServerName,
    /// Whether the origin, or the sender's server, is or was in the room.
    pub known: bool,
    pub lack: Option<&'a Lack>,
    /// The parked event for which this one was fetched. This one takes over its count of attempts: else each attempt
    /// could bring another event that is to be tried.
    pub helps: Option<&'a EventId>,
}

/// Answers what the due events of one server lack, and which unverified events are to be asked for.
pub fn reconsider(room: &mut Room<'_>, _: Reconsider) -> Result<Reconsidered> {
    let row = room.row()?;
    if row.life != Life::Live {
        // No local user is in the room, to see events that a join did not take up.
        if !room.may_be_joined()? {
            room.sql.run("DELETE FROM parked", values![])?;
            room.sql.run("DELETE FROM awaited", values![])?;
        }
        return Ok(Reconsidered { due: Vec::new(), wanted: Vec::new(), next: None });
    }
    room.forget_hopeless()?;
    let due = room.due()?;
    let next = room
        .sql
        .row("SELECT min(retry_at) AS next FROM parked", values![], |row| row.int_or_null(0))?
        .flatten()
        .and_then(|next| u64::try_from(next).ok())
        .map(|next| next.max(room.moment.now + NEXT));
    let (wanted, again) = room.due_wanted()?;
    let next = next.into_iter().chain(again).min();
    Ok(Reconsidered { due: due.into_iter().collect(), wanted, next })
}

impl Room<'_> {
    /// Parks an event, if there is room for another; answers whether it is parked.
    pub fn park(&mut self, event: &Checked, parking: &Parking<'_>) -> Result<bool> {
        let &Parking { origin, known, lack, helps } = parking;
        let (id, json) = (event.event_id.as_str(), event.json.get());
        if self.parked(&event.event_id)?.is_some() {
            return Ok(true);
        }
        if !self.may_park(origin, known, json.len())? {
            return Ok(false);
        }
        let usual = self.moment.now + if known { FIRST_RETRY } else { STRANGERS_WAIT };
        let (attempts, retry_at) = self.back_off_of(helps)?.unwrap_or((0, usual));
        self.sql.run(
            "INSERT INTO parked (id, origin, attempts, retry_at, known, bytes, json) VALUES (?, ?, ?, ?, ?, ?, ?)",
            values![id, origin.as_str(), attempts, retry_at, known, json.len(), json],
        )?;
        let missing = lack.map(|lack| lack.prev_events.iter().chain(&lack.auth_events));
        for missing in missing.into_iter().flatten() {
            let insert = "INSERT INTO awaited (id, parked) VALUES (?, ?) ON CONFLICT DO NOTHING";
            self.sql.run(insert, values![missing.as_str(), id])?;
        }
        self.wake_at(retry_at);
        Ok(true)
    }

    /// Every parked event, with the server it came from.
    pub fn all_parked(&mut self) -> Result<Vec<(OwnedServerName, Checked)>> {
        let query = "SELECT origin, id, json FROM parked";
        self.sql.rows(query, values![], read)?.into_iter().map(parked_event).collect()
    }

    /// The parked events that lack this one, with the servers they came from.
    pub fn parked_for(&mut self, id: &EventId) -> Result<Vec<(OwnedServerName, Checked)>> {
        let query = "SELECT p.origin, p.id, p.json FROM awaited a JOIN parked p ON p.id = a.parked WHERE a.id = ?";
        self.sql.rows(query, values![id.as_str()], read)?.into_iter().map(parked_event).collect()
    }

    /// A parked event, with the server it came from.
    pub fn parked(&mut self, id: &EventId) -> Result<Option<(OwnedServerName, Checked)>> {
        let query = "SELECT origin, id, json FROM parked WHERE id = ?";
        self.sql.row(query, values![id.as_str()], read)?.map(parked_event).transpose()
    }

    pub fn forget_parked(&mut self, id: &EventId) -> Result<()> {
        let delete = "DELETE FROM parked WHERE id = ? RETURNING id";
        if !self.sql.rows(delete, values![id.as_str()], |row| row.text(0))?.is_empty() {
            self.sql.run("DELETE FROM awaited WHERE parked = ?", values![id.as_str()])?;
        }
        Ok(())
    }

    /// Forgets events that were tried often enough, and strangers' events whose time is over. The events of a server
    /// that is no stranger any more are tried like others.
    fn forget_hopeless(&mut self) -> Result<()> {
        let query = "SELECT id FROM parked WHERE attempts >= ?";
        for id in self.sql.rows(query, values![MAX_ATTEMPTS], |row| row.text(0))? {
            self.forget_parked(&event_id(id)?)?;
        }
        let query = "SELECT origin, id, json, retry_at <= ? AS over FROM parked WHERE NOT known";
        let (now, version) = (self.moment.now, self.row()?.version);
        let waits = |row: &Row<'_>| Ok((read(row)?, row.int(3)? != 0));
        for (row, over) in self.sql.rows(query, values![now], waits)? {
            let (origin, event) = parked_event(row)?;
            let pdu = event.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
            if self.is_or_was_here(&origin)? || self.is_or_was_here(pdu.sender.server_name())? {
                let update =
                    "UPDATE parked SET known = 1, retry_at = min(retry_at, ?) WHERE id = ?";
                self.sql.run(update, values![now, event.event_id.as_str()])?;
            } else if over {
                self.forget_parked(&event.event_id)?;
            }
        }
        Ok(())
    }

    /// What the due events of one server lack; counts the attempt for all its due events. One server has its turn at a
    /// time, so that none keeps the room busy while others need it. Of events that build on each other only the lowest
    /// is answered: it brings in the rest.
    fn due(&mut self) -> Result<Option<(OwnedServerName, Received)>> {
        let (row, now) = (self.row()?, self.moment.now);
        let query =
            "SELECT origin FROM parked WHERE retry_at <= ? ORDER BY retry_at, origin LIMIT 1";
        let Some(origin) = self.sql.row(query, values![now], |row| row.text(0))? else {
            return Ok(None);
        };
        let query = "SELECT origin, id, json FROM parked p WHERE origin = ? AND retry_at <= ? AND NOT EXISTS
                     (SELECT 1 FROM awaited a JOIN parked q ON q.id = a.id WHERE a.parked = p.id) ORDER BY retry_at, id LIMIT ?";
        let rows = self.sql.rows(query, values![&origin, now, TRIED_TOGETHER], read)?;
        let update = "UPDATE parked SET attempts = attempts + 1, retry_at = CAST(? AS INTEGER) + (CAST(? AS INTEGER) << (attempts + 1)) WHERE origin = ? AND retry_at <= ?";
        self.sql.run(update, values![now, FIRST_RETRY, &origin, now])?;
        let mut lacking = Vec::new();
        for waiting in rows {
            let (_, event) = parked_event(waiting)?;
            let pdu = event.pdu(row.version).map_err(|fault| Stop::broken(fault.to_string()))?;
            // An event that lacks nothing any more comes in when the room is asked to judge it again.
            let (prev_events, auth_events) = match self.judge(&pdu)? {
                Judgement::Lacking { prev_events, auth_events } => (prev_events, auth_events),
                _ => (Vec::new(), Vec::new()),
            };
            lacking.push(Lack { event_id: event.event_id, prev_events, auth_events });
        }
        let origin = server(origin)?;
        let stranger = !self.is_or_was_here(&origin)?;
        let (extremities, min_depth) = (self.extremity_ids()?, row.floor);
        Ok(Some((
            origin,
            Received { outcomes: Vec::new(), lacking, extremities, min_depth, stranger },
        )))
    }

    /// How often a parked event was tried, and when it is tried next (ms).
    fn back_off_of(&mut self, id: Option<&EventId>) -> Result<Option<(i64, u64)>> {
        let Some(id) = id else { return Ok(None) };
        let query = "SELECT attempts, retry_at FROM parked WHERE id = ?";
        let held =
            self.sql.row(query, values![id.as_str()], |row| Ok((row.int(0)?, row.int(1)?)))?;
        Ok(held.and_then(|(attempts, retry_at)| Some((attempts, u64::try_from(retry_at).ok()?))))
    }

    /// Whether one more event of this size may be parked.
    fn may_park(&mut self, origin: &ServerName, known: bool, size: usize) -> Result<bool> {
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
        let quota = if known { OF_SERVER } else { OF_STRANGERS };
        // All strangers count as one.
        let query = "SELECT count(*) AS n, coalesce(sum(bytes), 0) AS size FROM parked WHERE known = ?1 AND (origin = ?2 OR NOT ?1)";
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let fits = |held: Option<(i64, i64)>, quota: Quota| {
            held.is_none_or(|(events, bytes)| {
                events < quota.events && bytes.saturating_add(size) <= quota.bytes
            })
        };
        if !fits(self.sql.row(query, values![known, origin.as_str()], read)?, quota) {
            return Ok(false);
        }
        let query = "SELECT count(*) AS n, coalesce(sum(bytes), 0) AS size FROM parked";
        Ok(fits(self.sql.row(query, values![], read)?, OF_ROOM))
    }
}

fn read(row: &Row<'_>) -> std::result::Result<(String, String, String), SqlError> {
    Ok((row.text(0)?, row.text(1)?, row.text(2)?))
}

fn parked_event(
    (origin, id, json): (String, String, String),
) -> Result<(OwnedServerName, Checked)> {
    Ok((server(origin)?, Checked { event_id: event_id(id)?, json: RawValue::from_string(json)? }))
}

fn server(name: String) -> Result<OwnedServerName> {
    name.try_into().map_err(|_| Stop::broken("a parked event's origin has no form"))
}

fn event_id(id: String) -> Result<OwnedEventId> {
    id.try_into().map_err(|_| Stop::broken("a parked event's ID has no form"))
}
