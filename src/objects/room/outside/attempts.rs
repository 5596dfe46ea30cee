//! Which joins were begun, and how do they stand?
//!
//! The signed join is stored before the other server is asked to take it, so that servers can be asked later how it
//! ended.

use ruma::{EventId, OwnedServerName};
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::{admission::Checked, event::Pdu, room_version::RoomVersion};

use crate::{
    objects::room::{
        Result, Room, invalid,
        messages::{AbandonJoin, BeginJoin, DueJoin, DueJoinReply, Receive},
    },
    shell::Stop,
};

/// How long after a failure a server is asked again that may have taken our join (ms); twice as long each time,
const PAUSE: u64 = 150_000;
/// up to a day (ms),
const LONGEST_PAUSE: u64 = 24 * 3600 * 1000;
/// and so often: for a week.
const MOST_TIMES: i64 = 16;
/// How many attempts are remembered, of all users.
const MAX_ATTEMPTS: u32 = 10;
/// How many servers are asked in turn how an attempt ended.
const MAX_VIA: usize = 5;

/// The attempt that is to be taken up again, and the server whose turn it is; and the leave that is to be told again.
pub fn due(room: &mut Room<'_>, _: DueJoin) -> Result<DueJoinReply> {
    room.row()?;
    let (leave, next) = room.due_leave()?;
    let (deletion, later) = room.due_deletion()?;
    let next = next.into_iter().chain(later).min();
    let none = DueJoinReply { attempt: None, unproven: false, leave, deletion, next };
    let query =
        "SELECT id, until, json, user, version, via, attempts FROM joining ORDER BY until LIMIT 1";
    let row = room.sql.row(query, values![], |row| {
        let (id, until, json, user) = (row.text(0)?, row.int(1)?, row.text(2)?, row.text(3)?);
        Ok(((id, until, json, user), (row.text(4)?, row.text(5)?, row.int(6)?)))
    })?;
    let Some(((id, until, json, user), (version, via, attempts))) = row else { return Ok(none) };
    let until = u64::try_from(until).unwrap_or_default();
    if until > room.moment.now {
        let next = next.into_iter().chain([until]).min();
        return Ok(DueJoinReply { next, ..none });
    }
    let broken = || Stop::broken("a stored attempt to join has no form");
    let servers: Vec<&str> = via.split(' ').collect();
    let turn = usize::try_from(attempts).unwrap_or_default() % servers.len();
    let event_id = id.try_into().map_err(|_| broken())?;
    let user = user.try_into().map_err(|_| broken())?;
    let via = servers[turn].try_into().map_err(|_| broken())?;
    let event = Checked { event_id, json: RawValue::from_string(json)? };
    let attempt = BeginJoin { version, user, event, via, until };
    Ok(DueJoinReply { attempt: Some(attempt), unproven: turn > 0, ..none })
}

/// Forgets an attempt, or puts it off.
pub fn abandon(room: &mut Room<'_>, message: AbandonJoin) -> Result<()> {
    room.row()?;
    let id = message.event_id.as_str();
    let query = "SELECT attempts FROM joining WHERE id = ?";
    let Some(attempts) = room.sql.row(query, values![id], |row| row.int(0))? else { return Ok(()) };
    if !message.again || attempts >= MOST_TIMES {
        room.sql.run("DELETE FROM joining WHERE id = ?", values![id])?;
        return Ok(());
    }
    let doubled = PAUSE << u32::try_from(attempts).unwrap_or_default();
    let until = room.moment.now + doubled.min(LONGEST_PAUSE);
    let update = "UPDATE joining SET active = 0, attempts = attempts + 1, until = ? WHERE id = ?";
    room.sql.run(update, values![until, id])?;
    room.wake_at(until);
    Ok(())
}

impl Room<'_> {
    /// Whether a deletion of the room is to go on now; else, when one is.
    fn due_deletion(&mut self) -> Result<(bool, Option<u64>)> {
        let query = "SELECT retry_at FROM deletions WHERE active";
        let at = self.sql.row(query, values![], |row| row.int(0))?;
        let broken = |_| Stop::broken("a time before 1970");
        Ok(match at.map(u64::try_from).transpose().map_err(broken)? {
            Some(at) if at <= self.moment.now => (true, None),
            later => (false, later),
        })
    }

    /// Whether an attempt to join is under way now.
    pub fn is_being_joined(&mut self) -> Result<bool> {
        let query = "SELECT 1 FROM joining WHERE active AND until > ? LIMIT 1";
        Ok(self.sql.row(query, values![self.moment.now], |row| row.int(0))?.is_some())
    }

    /// Adds a server that sends us events of the room to those that are asked how our join ended. It must know the
    /// room: one of its events cites our join, or, as our join does, the power levels or the join rules. When its turn
    /// comes, it must first show that it has the join, which a server that never got the join cannot.
    pub fn ask_to_be_let_in(&mut self, message: &Receive) -> Result<()> {
        let query = "SELECT id, version, json, via, active FROM joining";
        let read = |row: &Row<'_>| {
            Ok(((row.text(0)?, row.text(1)?, row.text(2)?), (row.text(3)?, row.int(4)? != 0)))
        };
        let joins = self.sql.rows(query, values![], read)?;
        let origin = message.origin.as_str();
        for ((id, version, json), (via, active)) in joins {
            let known = via.split(' ').any(|server| server == origin);
            if known || via.split(' ').count() == MAX_VIA {
                continue;
            }
            let broken = || Stop::broken("a stored attempt to join has no form");
            let version = RoomVersion::of(&version).ok_or_else(broken)?;
            let event_id = id.as_str().try_into().map_err(|_| broken())?;
            let join = Checked { event_id, json: RawValue::from_string(json)? };
            let join = join.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
            // An event that cannot be read is dropped where the events are taken in.
            let pdus: Vec<Pdu> =
                message.events.iter().filter_map(|event| event.pdu(version).ok()).collect();
            let mut cited =
                pdus.iter().flat_map(|pdu| pdu.prev_events.iter().chain(&pdu.auth_events));
            let knows =
                cited.any(|cited| *cited == join.event_id || join.auth_events.contains(cited));
            if !knows {
                continue;
            }
            let next = format!("{via} {origin}");
            self.sql.run("UPDATE joining SET via = ? WHERE id = ?", values![&next, &id])?;
            if !active {
                let now = self.moment.now;
                self.sql.run("UPDATE joining SET until = ? WHERE id = ?", values![now, &id])?;
                self.wake_at(now);
            }
        }
        Ok(())
    }

    /// Whether an attempt to join is under way, or may turn out to have succeeded.
    pub fn may_be_joined(&mut self) -> Result<bool> {
        Ok(self.sql.row("SELECT 1 FROM joining LIMIT 1", values![], |row| row.int(0))?.is_some())
    }

    /// When the lease of another attempt ends that is under way (ms).
    pub fn joined_by_another(&mut self, event_id: &EventId) -> Result<Option<u64>> {
        let query = "SELECT until FROM joining WHERE active AND until > ? AND id <> ? LIMIT 1";
        let values = values![self.moment.now, event_id.as_str()];
        let until = self.sql.row(query, values, |row| row.int(0))?;
        Ok(until.map(|until| u64::try_from(until).unwrap_or_default()))
    }

    pub fn under_way(&mut self, event_id: &EventId) -> Result<()> {
        let query = "SELECT 1 FROM joining WHERE id = ?";
        let found = self.sql.row(query, values![event_id.as_str()], |row| row.int(0))?;
        found.map(|_| ()).ok_or_else(|| invalid("no such join is under way"))
    }

    /// Stores an attempt as under way until its lease is over.
    pub fn note_attempt(&mut self, begun: &BeginJoin, version: &RoomVersion) -> Result<()> {
        self.sql.run(
            "INSERT INTO joining (id, version, user, via, json, active, attempts, until) VALUES (?, ?, ?, ?, ?, 1, 0, ?)
             ON CONFLICT DO UPDATE SET active = 1, until = excluded.until",
            values![
                begun.event.event_id.as_str(),
                version.id.as_str(),
                begun.user.as_str(),
                begun.via.as_str(),
                begun.event.json.get(),
                begun.until
            ],
        )?;
        let delete = "DELETE FROM joining WHERE id NOT IN (SELECT id FROM joining ORDER BY active DESC, until DESC LIMIT ?)";
        self.sql.run(delete, values![MAX_ATTEMPTS])?;
        Ok(())
    }

    /// Forgets all attempts, since one succeeded; answers the server that was chosen to take it.
    pub fn end_attempts(&mut self, event_id: &EventId) -> Result<Option<OwnedServerName>> {
        let query = "SELECT via FROM joining WHERE id = ?";
        let via = self.sql.row(query, values![event_id.as_str()], |row| row.text(0))?;
        self.sql.run("DELETE FROM joining", values![])?;
        Ok(via.and_then(|via| via.split(' ').next()?.try_into().ok()))
    }
}
