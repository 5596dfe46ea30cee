//! Which events wait for others, and when is another attempt due?
//!
//! A parked event is unknown to the graph: no parent, no tip, not answered to others. The request that brought it tries
//! to fetch what it lacks; after that the room's alarm does, ever more seldom, and then forgets it: it may come again.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedServerName};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::admission::Checked;

use super::{Lack, Life, Received, Reconsider, Reconsidered, Result, Room, judge::Judgement};
use crate::objects::Stop;

/// How long a parked event is left to the request that brought it (ms); doubled with each attempt after.
const FIRST_RETRY: u64 = 10_000;
/// How often a parked event is tried before it is forgotten; it may come again.
const MAX_ATTEMPTS: i64 = 8;
/// The most events a room parks; beyond, new ones are dropped and may come again.
const MAX_PARKED: i64 = 1000;

/// Looks at what is parked again: what it lacks, by the server that sent it, where another attempt is due.
pub fn reconsider(room: &mut Room<'_>, _: Reconsider) -> Result<Reconsidered> {
    let head = room.head()?;
    let now = room.moment.now;
    let mut due: BTreeMap<OwnedServerName, Vec<Lack>> = BTreeMap::new();
    if head.life == Life::Live {
        room.sql.run("DELETE FROM parked WHERE attempts >= ?", values![MAX_ATTEMPTS])?;
        let query = "SELECT origin, id FROM parked WHERE retry_at <= ? ORDER BY origin, id";
        for (origin, id) in
            room.sql.rows(query, values![now], |row| Ok((row.text(0)?, row.text(1)?)))?
        {
            let origin = OwnedServerName::try_from(origin)
                .map_err(|_| Stop::broken("a parked event's origin has no form"))?;
            let id = OwnedEventId::try_from(id)
                .map_err(|_| Stop::broken("a parked event's ID has no form"))?;
            let Some((_, event)) = room.parked(&id)? else { continue };
            let pdu = event.pdu(head.version).map_err(|fault| Stop::broken(fault.to_string()))?;
            // What lacks nothing any more comes in with the next question.
            let (prev_events, auth_events) = match room.judge(&pdu)? {
                Judgement::Lacking { prev_events, auth_events } => (prev_events, auth_events),
                _ => (Vec::new(), Vec::new()),
            };
            let lack = Lack { event_id: id, prev_events, auth_events };
            due.entry(origin).or_default().push(lack);
        }
        let update = "UPDATE parked SET attempts = attempts + 1, retry_at = CAST(? AS INTEGER) + (CAST(? AS INTEGER) << (attempts + 1)) WHERE retry_at <= ?";
        room.sql.run(update, values![now, FIRST_RETRY, now])?;
    }
    let next = room
        .sql
        .row("SELECT min(retry_at) AS next FROM parked", values![], |row| row.int_or_null(0))?
        .flatten();
    let next = next.filter(|_| head.life == Life::Live).and_then(|next| u64::try_from(next).ok());
    let (tips, min_depth) = (room.tip_ids()?, head.floor);
    let received =
        |lacking| Received { outcomes: Vec::new(), lacking, tips: tips.clone(), min_depth };
    Ok(Reconsidered {
        due: due.into_iter().map(|(origin, lacking)| (origin, received(lacking))).collect(),
        next,
    })
}

impl Room<'_> {
    /// Parks an event.
    pub fn store_parked(
        &mut self,
        id: &OwnedEventId,
        origin: &OwnedServerName,
        json: &str,
    ) -> Result<()> {
        let retry_at = self.moment.now + FIRST_RETRY;
        let insert =
            "INSERT INTO parked (id, origin, attempts, retry_at, json) VALUES (?, ?, 0, ?, ?)
                      ON CONFLICT DO NOTHING";
        self.sql.run(insert, values![id.as_str(), origin.as_str(), retry_at, json])?;
        self.wake_at(retry_at);
        Ok(())
    }

    /// Whether there is room for another.
    pub fn may_park(&mut self) -> Result<bool> {
        let count =
            self.sql.row("SELECT count(*) FROM parked", values![], |row| row.int(0))?.unwrap_or(0);
        Ok(count < MAX_PARKED)
    }

    /// Every parked event, with the server it came from.
    pub fn all_parked(&mut self) -> Result<Vec<(OwnedServerName, Checked)>> {
        let rows = self.sql.rows("SELECT origin, id, json FROM parked", values![], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        rows.into_iter().map(|(origin, id, json)| parked_event(origin, id, json)).collect()
    }

    pub fn parked(&mut self, id: &OwnedEventId) -> Result<Option<(OwnedServerName, Checked)>> {
        let query = "SELECT origin, id, json FROM parked WHERE id = ?";
        let row = self.sql.row(query, values![id.as_str()], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        row.map(|(origin, id, json)| parked_event(origin, id, json)).transpose()
    }

    pub fn forget_parked(&mut self, id: &OwnedEventId) -> Result<()> {
        self.sql.run("DELETE FROM parked WHERE id = ?", values![id.as_str()])?;
        Ok(())
    }
}

fn parked_event(origin: String, id: String, json: String) -> Result<(OwnedServerName, Checked)> {
    let broken = || Stop::broken("a parked event cannot be read");
    let event_id = id.try_into().map_err(|_| broken())?;
    Ok((
        origin.try_into().map_err(|_| broken())?,
        Checked { event_id, json: RawValue::from_string(json)? },
    ))
}
