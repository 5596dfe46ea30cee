//! What is the server owed, and what has been delivered?

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::backoff;

use super::{
    Batch, Delivered, Destination, Failed, Health, Heard, IsOwed, MAX_EDUS, MAX_PDUS, NextBatch,
    Owe, OweEdu, PendingEdu, Reset, Result, State, StateReply,
};
use crate::shell::Stop;

/// The most EDUs in memory. With one more the last of them is dropped: a user's next receipt or presence replaces a lost
/// one, and typing ends by itself.
const MAX_REMEMBERED: usize = 10 * MAX_EDUS;

/// The most EDUs that are written down: the oldest give way, for the server may never come back.
const MAX_WRITTEN: i64 = 20_000;

/// The most bytes of the EDUs of one transaction that were written down; no value has more.
const MAX_BYTES: i64 = 2 << 20;

/// How long an EDU waits for another reason to send a transaction, if it may (ms).
const UNHURRIED: u64 = 60_000;

/// The most rooms of one transaction: with one event each they fill it.
const ROOMS: usize = MAX_PDUS;

/// Notes that the server is owed a range of a room; ranges of one room are merged.
pub fn owe(destination: &mut Destination<'_>, message: Owe) -> Result<()> {
    destination.create()?;
    destination.sql.run(
        "INSERT INTO owed (room, since, upto) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET since = min(since, excluded.since), upto = max(upto, excluded.upto)",
        values![message.room_id.as_str(), message.from, message.to],
    )?;
    destination.wake()
}

/// Whether the server is owed something of a room from before a position.
pub fn is_owed(destination: &mut Destination<'_>, message: IsOwed) -> Result<bool> {
    if !destination.exists()? {
        return Ok(false);
    }
    let query = "SELECT 1 FROM owed WHERE room = ? AND since < ?";
    let values = values![message.room_id.as_str(), message.before];
    Ok(destination.sql.row(query, values, |row| row.int(0))?.is_some())
}

/// Notes an EDU, in place of one with the same key. One that is not durable is held in memory, and lost if the object is
/// evicted; only while the server is failing is it written down.
pub fn owe_edu(destination: &mut Destination<'_>, message: OweEdu) -> Result<()> {
    destination.create()?;
    let OweEdu { key, edu, until, durable, unhurried } = message;
    if durable {
        destination.write_edu(&key, &edu)?;
        return destination.wake_in(if unhurried { UNHURRIED } else { 0 });
    }
    if destination.health()?.is_failing() {
        return if until.is_none() { destination.write_edu(&key, &edu) } else { Ok(()) };
    }
    destination.cache.remembered += 1;
    let id = -destination.cache.remembered;
    let lasts = until.map(|until| until.saturating_sub(destination.moment.now));
    let edus = &mut destination.cache.edus;
    edus.insert(key, PendingEdu { id, until, lasts, edu });
    if edus.len() > MAX_REMEMBERED {
        let last = edus.iter().max_by_key(|(_, pending)| pending.rank());
        if let Some(key) = last.map(|(key, _)| key.clone()) {
            edus.remove(&key);
        }
    }
    destination.wake_in(if unhurried { UNHURRIED } else { 0 })
}

/// Ends the back-off of a server that is up: what it is owed is sent now.
pub fn heard(destination: &mut Destination<'_>, _: Heard) -> Result<()> {
    if destination.exists()? && destination.health()?.is_failing() {
        destination.set_health(Health::default())?;
        destination.wake()?;
    }
    Ok(())
}

/// Whether anything was ever owed to the server, and whether it is failing.
pub fn state(destination: &mut Destination<'_>, _: State) -> Result<StateReply> {
    if !destination.exists()? {
        return Ok(StateReply::default());
    }
    let health = destination.health()?;
    let failing_since = health.since.filter(|_| health.is_failing());
    Ok(StateReply { known: true, failing_since, retry_at: health.retry_at })
}

/// Ends the back-off for an operator; answers whether there was one.
pub fn reset(destination: &mut Destination<'_>, _: Reset) -> Result<bool> {
    let is_failing = destination.exists()? && destination.health()?.is_failing();
    heard(destination, Heard {})?;
    Ok(is_failing)
}

/// The next transaction, under a new transaction ID. An attempt without an answer is not repeated under its old ID: all
/// that is in it has the same effect when it arrives twice.
pub fn next_batch(destination: &mut Destination<'_>, _: NextBatch) -> Result<Batch> {
    let txn_id = URL_SAFE_NO_PAD.encode(&destination.moment.draw()[..16]);
    let mut batch = Batch { server: None, rooms: Vec::new(), edus: Vec::new(), txn_id, next: None };
    if !destination.exists()? {
        return Ok(batch);
    }
    let retry_at = destination.health()?.retry_at;
    if retry_at > destination.moment.now {
        batch.next = Some(retry_at);
        return Ok(batch);
    }
    let now = destination.moment.now;
    destination.cache.edus.retain(|_, pending| pending.until.is_none_or(|until| until > now));
    let query = "SELECT room, since, upto FROM owed ORDER BY upto LIMIT ?";
    for (room, since, upto) in destination
        .sql
        .rows(query, values![ROOMS], |row| Ok((row.text(0)?, row.int(1)?, row.int(2)?)))?
    {
        batch.rooms.push((
            room.try_into().map_err(|_| Stop::broken("a room that is owed has no ID"))?,
            since,
            upto,
        ));
    }
    batch.edus = destination.written_edus()?;
    let spare = MAX_EDUS - batch.edus.len();
    let mut pending: Vec<&PendingEdu> = destination.cache.edus.values().collect();
    pending.sort_unstable_by_key(|pending| pending.rank());
    let sent = pending.into_iter().take(spare);
    batch.edus.extend(sent.map(|pending| (pending.id, pending.edu.clone())));
    if !batch.rooms.is_empty() || !batch.edus.is_empty() {
        let broken = |_| Stop::broken("a destination is no server");
        batch.server = Some(destination.name.try_into().map_err(broken)?);
    }
    Ok(batch)
}

/// Removes what the server has taken; answers when to go on, if more is owed.
pub fn delivered(destination: &mut Destination<'_>, message: Delivered) -> Result<Option<u64>> {
    for (room, upto) in message.rooms {
        destination
            .sql
            .run("DELETE FROM owed WHERE room = ? AND upto <= ?", values![room.as_str(), upto])?;
        let update = "UPDATE owed SET since = max(since, ?) WHERE room = ?";
        destination.sql.run(update, values![upto, room.as_str()])?;
    }
    destination.cache.edus.retain(|_, pending| !message.edus.contains(&pending.id));
    for id in message.edus.into_iter().filter(|id| *id > 0) {
        destination.sql.run("DELETE FROM edus WHERE id = ?", values![id])?;
    }
    if destination.health()?.is_failing() {
        destination.set_health(Health::default())?;
    }
    let query = "SELECT 1 FROM owed UNION ALL SELECT 1 FROM edus LIMIT 1";
    let more = !destination.cache.edus.is_empty()
        || destination.sql.row(query, values![], |row| row.int(0))?.is_some();
    Ok(more.then_some(destination.moment.now))
}

/// Notes a failed transaction, and writes down the EDUs that were in memory; answers when to try again (ms).
pub fn failed(destination: &mut Destination<'_>, message: Failed) -> Result<u64> {
    let (health, now) = (destination.health()?, destination.moment.now);
    let since = health.since.or(message.began).unwrap_or(now);
    let retry_at = now.saturating_add(backoff::wait(now.saturating_sub(since)));
    destination.set_health(Health { since: Some(since), retry_at })?;
    for (key, PendingEdu { until, edu, .. }) in std::mem::take(&mut destination.cache.edus) {
        // Only EDUs without an end are worth sending however long the outage lasts.
        if until.is_none() {
            destination.write_edu(&key, &edu)?;
        }
    }
    Ok(retry_at)
}

impl Destination<'_> {
    /// The oldest EDUs that are written down, as many as fit into a transaction.
    fn written_edus(&mut self) -> Result<Vec<(i64, Box<RawValue>)>> {
        let query = "SELECT id, length(CAST(edu AS BLOB)) FROM edus ORDER BY id LIMIT ?";
        let lengths =
            self.sql.rows(query, values![MAX_EDUS], |row| Ok((row.int(0)?, row.int(1)?)))?;
        let (mut last, mut bytes) = (0, 0);
        for (id, length) in lengths {
            bytes += length;
            if bytes > MAX_BYTES {
                break;
            }
            last = id;
        }
        let query = "SELECT id, edu FROM edus WHERE id <= ? ORDER BY id";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
        let edus = self.sql.rows(query, values![last], read)?.into_iter();
        edus.map(|(id, edu)| Ok((id, RawValue::from_string(edu)?))).collect()
    }

    fn write_edu(&mut self, key: &str, edu: &RawValue) -> Result<()> {
        // One that is there already keeps its place. Another one gets a new ID: the one before may be on its way, and
        // that alone is delivered then.
        let insert = "INSERT INTO edus (id, key, edu) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM edus), ?, ?)
                      ON CONFLICT (key) DO UPDATE SET id = excluded.id, edu = excluded.edu WHERE edu <> excluded.edu
                      RETURNING id";
        let Some(id) = self.sql.row(insert, values![key, edu.get()], |row| row.int(0))? else {
            return Ok(());
        };
        self.sql.run("DELETE FROM edus WHERE id <= ?", values![id - MAX_WRITTEN])?;
        Ok(())
    }
}
