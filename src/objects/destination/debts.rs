//! What is the server owed, and what has it been given?

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::backoff::DESTINATION;

use super::{
    Batch, Delivered, Destination, Failed, Health, Heard, MAX_EDUS, MAX_PDUS, NextBatch, Owe,
    OweEdu, Result,
};
use crate::objects::Stop;

/// The most rooms asked for one transaction: with one event each they fill it.
const ROOMS: usize = MAX_PDUS;

/// Notes a range of a room; ranges of the same room are merged.
pub fn owe(destination: &mut Destination<'_>, message: Owe) -> Result<()> {
    destination.create()?;
    destination.sql.run(
        "INSERT INTO owed (room, since, upto) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET since = min(since, excluded.since), upto = max(upto, excluded.upto)",
        values![message.room_id.as_str(), message.from, message.to],
    )?;
    destination.wake()
}

/// Notes an EDU; one with the same key is replaced.
pub fn owe_edu(destination: &mut Destination<'_>, message: OweEdu) -> Result<()> {
    destination.create()?;
    destination.sql.run("DELETE FROM edus WHERE key = ?", values![&message.key])?;
    let insert = "INSERT INTO edus (key, until, edu) VALUES (?, ?, ?)";
    destination.sql.run(insert, values![&message.key, message.until, message.edu.get()])?;
    destination.wake()
}

/// The server is up: what waits for the end of its back-off goes now.
pub fn heard(destination: &mut Destination<'_>, _: Heard) -> Result<()> {
    if destination.exists()? && destination.health()?.failures > 0 {
        destination.set_health(Health::default())?;
        destination.wake()?;
    }
    Ok(())
}

/// What to send next.
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
    destination.sql.run("DELETE FROM edus WHERE until <= ?", values![destination.moment.now])?;
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
    let query = "SELECT id, edu FROM edus ORDER BY id LIMIT ?";
    for (id, edu) in
        destination.sql.rows(query, values![MAX_EDUS], |row| Ok((row.int(0)?, row.text(1)?)))?
    {
        batch.edus.push((id, RawValue::from_string(edu)?));
    }
    if !batch.rooms.is_empty() || !batch.edus.is_empty() {
        let broken = |_| Stop::broken("a destination is no server");
        batch.server = Some(destination.name.try_into().map_err(broken)?);
    }
    Ok(batch)
}

/// Settles what was taken; answers when to go on, if there is more.
pub fn delivered(destination: &mut Destination<'_>, message: Delivered) -> Result<Option<u64>> {
    for (room, upto) in message.rooms {
        destination
            .sql
            .run("DELETE FROM owed WHERE room = ? AND upto <= ?", values![room.as_str(), upto])?;
        let update = "UPDATE owed SET since = max(since, ?) WHERE room = ?";
        destination.sql.run(update, values![upto, room.as_str()])?;
    }
    for id in message.edus {
        destination.sql.run("DELETE FROM edus WHERE id = ?", values![id])?;
    }
    if destination.health()?.failures > 0 {
        destination.set_health(Health::default())?;
    }
    let query = "SELECT 1 FROM owed UNION ALL SELECT 1 FROM edus LIMIT 1";
    let more = destination.sql.row(query, values![], |row| row.int(0))?.is_some();
    Ok(more.then_some(destination.moment.now))
}

/// Notes a failure; answers when to try again.
pub fn failed(destination: &mut Destination<'_>, _: Failed) -> Result<u64> {
    let failures = destination.health()?.failures.saturating_add(1);
    let now = i64::try_from(destination.moment.now).unwrap_or(i64::MAX);
    let retry_at = u64::try_from(DESTINATION.next_attempt(now, failures)).unwrap_or_default();
    destination.set_health(Health { failures, retry_at })?;
    Ok(retry_at)
}
