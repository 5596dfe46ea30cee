//! What is the service owed that no transaction has yet?
//!
//! A row holds a range, whatever number of events is in it. While a service does not answer, what comes of one room in a
//! row is one row; with very many rows, all that comes of a room is: then only the order among rooms is lost.

use ruma::OwnedRoomId;
use serde_json::value::RawValue;
use tombolo_platform::values;

use super::{Appservice, IsOwed, MAX_BYTES, MAX_EDUS, MAX_EVENTS, Owe, OweEdu, Range, Result, Row};
use crate::{objects::room::messages::Position, shell::Stop};

/// From so many rows on, rooms are no more told in the order in which things happened.
const CROWDED: i64 = 100_000;
/// The most EDUs that wait: the oldest give way, for the service may never come back.
const MAX_WAITING: i64 = 10_000;

/// Notes what the service is owed of a room.
pub fn owe(service: &mut Appservice<'_>, message: Owe) -> Result<()> {
    service.create()?;
    let (room, to) = (message.room_id.as_str(), message.to);
    let query = "SELECT upto, noted, seq FROM rooms WHERE room = ?";
    let read = |row: &tombolo_platform::Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int(2)?));
    let (mut upto, noted, mut newest) =
        service.sql.row(query, values![room], read)?.unwrap_or_default();
    let before = upto;
    for Range { from, to, whole } in message.ranges {
        let from = from.max(upto);
        if from < to {
            newest = service.append(room, newest, &Range { from, to, whole })?;
            upto = to;
        }
    }
    for body in message.bodies.into_iter().filter(|body| body.pos > noted) {
        match &body.key {
            Some(key) => service.write_edu(key, &body.json, None)?,
            None => newest = service.append_event(room, &body.json)?,
        }
    }
    if to <= noted && upto == before {
        return Ok(());
    }
    service.sql.run(
        "INSERT INTO rooms (room, upto, noted, seq) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET upto = excluded.upto, noted = max(noted, excluded.noted), seq = excluded.seq",
        values![room, upto, to, newest],
    )?;
    service.wake()
}

/// Whether the service is owed what has to be asked of a room, from before a position.
pub fn is_owed(service: &mut Appservice<'_>, message: IsOwed) -> Result<bool> {
    if !service.exists()? {
        return Ok(false);
    }
    let query = "SELECT 1 FROM owed WHERE room = ? AND since < ? AND event IS NULL";
    let values = values![message.room_id.as_str(), message.before];
    Ok(service.sql.row(query, values, |row| row.int(0))?.is_some())
}

/// Notes an EDU, in place of one with the same key.
pub fn owe_edu(service: &mut Appservice<'_>, message: OweEdu) -> Result<()> {
    service.create()?;
    service.write_edu(&message.key, &message.edu, Some(message.until))?;
    service.wake()
}

impl Appservice<'_> {
    /// The oldest rows, as many as a transaction can have, without those of some rooms.
    pub fn rows(&mut self, without: &[OwnedRoomId]) -> Result<Vec<Row>> {
        let without = serde_json::to_string(without)?;
        let query = "SELECT seq, room, since, upto, whole, event FROM owed
                     WHERE room NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?";
        let rows = self.sql.rows(query, values![&without, MAX_EVENTS], |row| {
            let range = Range { from: row.int(2)?, to: row.int(3)?, whole: row.int(4)? != 0 };
            Ok((row.int(0)?, row.text(1)?, range, row.text_or_null(5)?))
        })?;
        let (mut fitting, mut bytes) = (Vec::new(), 0);
        for (seq, room, range, event) in rows {
            bytes += event.as_ref().map_or(0, String::len);
            if bytes > MAX_BYTES && !fitting.is_empty() {
                break;
            }
            let broken = |_| Stop::broken("a room that is owed has no ID");
            let room_id = room.try_into().map_err(broken)?;
            let event = event.map(RawValue::from_string).transpose()?;
            fitting.push(Row { seq, room_id, range, event });
        }
        Ok(fitting)
    }

    /// The oldest EDUs that are not stale, as many as a transaction can have.
    pub fn edus(&mut self) -> Result<Vec<(i64, Box<RawValue>)>> {
        self.sql.run("DELETE FROM edus WHERE until <= ?", values![self.moment.now])?;
        let query = "SELECT seq, edu FROM edus ORDER BY seq LIMIT ?";
        let rows =
            self.sql.rows(query, values![MAX_EDUS], |row| Ok((row.int(0)?, row.text(1)?)))?;
        rows.into_iter().map(|(seq, edu)| Ok((seq, RawValue::from_string(edu)?))).collect()
    }

    /// Removes what a transaction has: of each row what is up to a position.
    pub fn settle(&mut self, rows: &[(i64, Position)], edus: &[i64]) -> Result<()> {
        for (seq, upto) in rows {
            let delete = "DELETE FROM owed WHERE seq = ? AND upto <= ?";
            if self.sql.run(delete, values![*seq, *upto])? == 0 {
                let update = "UPDATE owed SET since = max(since, ?) WHERE seq = ?";
                self.sql.run(update, values![*upto, *seq])?;
            }
        }
        for seq in edus {
            self.sql.run("DELETE FROM edus WHERE seq = ?", values![*seq])?;
        }
        Ok(())
    }

    /// Removes all. Up to where rooms were owed is kept: it is not owed again.
    pub fn clear(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM owed", values![])?;
        self.sql.run("DELETE FROM edus", values![])?;
        Ok(())
    }

    /// How many rows and EDUs there are, and since when the oldest row.
    pub fn count(&mut self) -> Result<(u64, u64, Option<u64>)> {
        let query = "SELECT (SELECT count(*) FROM owed) AS rows, (SELECT count(*) FROM edus) AS edus, (SELECT min(at) FROM owed) AS since";
        let read =
            |row: &tombolo_platform::Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int_or_null(2)?));
        let (rows, edus, since) = self.sql.row(query, values![], read)?.unwrap_or_default();
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok((count(rows), count(edus), since.map(count)))
    }

    /// Whether anything waits for a transaction.
    pub fn waits(&mut self) -> Result<bool> {
        let query = "SELECT 1 FROM owed UNION ALL SELECT 1 FROM edus LIMIT 1";
        Ok(self.sql.row(query, values![], |row| row.int(0))?.is_some())
    }

    /// Appends a range of a room to its newest row, if nothing lies between, else as a row of its own; answers the row.
    fn append(&mut self, room: &str, newest: i64, range: &Range) -> Result<i64> {
        let query =
            "SELECT (SELECT min(seq) FROM owed) AS first, (SELECT max(seq) FROM owed) AS last";
        let ends = |row: &tombolo_platform::Row<'_>| Ok((row.int_or_null(0)?, row.int_or_null(1)?));
        let (first, last) = self.sql.row(query, values![], ends)?.unwrap_or_default();
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        if newest == last || last - first >= CROWDED {
            let update = "UPDATE owed SET upto = ? WHERE seq = ? AND room = ? AND upto = ? AND whole = ? AND event IS NULL";
            let values = values![range.to, newest, room, range.from, range.whole];
            if self.sql.run(update, values)? > 0 {
                return Ok(newest);
            }
        }
        let insert =
            "INSERT INTO owed (seq, room, since, upto, whole, at) VALUES (?, ?, ?, ?, ?, ?)";
        let (seq, now) = (last + 1, self.moment.now);
        self.sql.run(insert, values![seq, room, range.from, range.to, range.whole, now])?;
        Ok(seq)
    }

    /// Appends an event that has no place in a room; answers the row.
    fn append_event(&mut self, room: &str, event: &RawValue) -> Result<i64> {
        let insert = "INSERT INTO owed (seq, room, since, upto, whole, event, at)
                      VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM owed), ?, 0, 0, 1, ?, ?) RETURNING seq";
        let values = values![room, event.get(), self.moment.now];
        let seq = self.sql.row(insert, values, |row| row.int(0))?;
        seq.ok_or_else(|| Stop::broken("an event was not appended"))
    }

    fn write_edu(&mut self, key: &str, edu: &RawValue, until: Option<u64>) -> Result<()> {
        // It gets a new number: the one before may be in the transaction that is being made, and that alone is settled
        // then.
        let insert = "INSERT INTO edus (seq, key, until, edu) VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM edus), ?, ?, ?)
                      ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, until = excluded.until, edu = excluded.edu
                      RETURNING seq";
        let seq = self.sql.row(insert, values![key, until, edu.get()], |row| row.int(0))?;
        let oldest = seq.unwrap_or_default() - MAX_WAITING;
        self.sql.run("DELETE FROM edus WHERE seq <= ?", values![oldest])?;
        Ok(())
    }
}
