//! What is one remote server still owed, and when is it tried (again)? The DestinationObject.
//!
//! It holds ranges of room positions, and EDUs, but no events: the flow [`crate::flows::telling::deliver`] asks the rooms
//! for the events when it sends. EDUs that may be lost are in memory until a transaction fails, and others are written
//! down at once. One transaction is in flight at a time, since only this object's alarm sends.

mod debts;
pub mod messages;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tombolo_platform::{Fault, Moment, Sql, values};

use self::messages::*;
pub use self::schema::STEPS;
use crate::{
    objects::message::Never,
    shell::{Effects, ObjectClass, Question, Schema, Stop, class},
};

/// What a destination's function may answer.
pub type Result<T> = std::result::Result<T, Stop<Never>>;

/// What a destination remembers between messages.
#[derive(Default)]
pub struct Cache {
    schema: Schema,
    /// EDUs that are not sent yet, by key: the server's next transaction carries them, and no row is written.
    edus: BTreeMap<String, PendingEdu>,
    /// How many EDUs were ever put into memory: the source of their IDs.
    remembered: i64,
}

/// An EDU that is only in memory.
struct PendingEdu {
    /// Negative: rows have positive IDs.
    id: i64,
    until: Option<u64>,
    /// For how long it was worth sending when it came (ms).
    lasts: Option<u64>,
    edu: Box<RawValue>,
}

impl PendingEdu {
    /// What is worth sending for longest goes last: first what always is, such as a receipt; typing before presence.
    fn rank(&self) -> (Option<u64>, i64) {
        (self.lasts, -self.id)
    }
}

/// The class of destinations.
pub struct DestinationClass;

impl ObjectClass for DestinationClass {
    type Cache = Cache;
    type Object<'a> = Destination<'a>;
    type Refusal = Never;

    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Cache,
        effects: &'a mut Effects,
    ) -> std::result::Result<Destination<'a>, Fault> {
        let Question { object, moment, .. } = *question;
        Ok(Destination { name: &object.address.name, sql: object.sql, moment, cache, effects })
    }
}

/// A destination while it answers one message.
pub struct Destination<'a> {
    name: &'a str,
    sql: &'a Sql,
    moment: &'a Moment,
    cache: &'a mut Cache,
    effects: &'a mut Effects,
}

/// Since when the server has been failing, and when it may be tried again (ms); `retry_at` is 0 while it is not
/// failing.
#[derive(Clone, Copy, Default)]
struct Health {
    since: Option<u64>,
    retry_at: u64,
}

impl Health {
    fn is_failing(self) -> bool {
        self.retry_at > 0
    }
}

impl Destination<'_> {
    fn exists(&mut self) -> Result<bool> {
        Ok(self.cache.schema.exists(self.sql, STEPS)?)
    }

    fn create(&mut self) -> Result<()> {
        Ok(self.cache.schema.create(self.sql, STEPS)?)
    }

    fn health(&mut self) -> Result<Health> {
        let query = "SELECT since, retry_at FROM server";
        let row = self.sql.row(query, values![], |row| Ok((row.int_or_null(0)?, row.int(1)?)))?;
        let Some((since, retry_at)) = row else { return Ok(Health::default()) };
        let broken = |_| Stop::broken("a time before 1970");
        Ok(Health {
            since: since.map(u64::try_from).transpose().map_err(broken)?,
            retry_at: u64::try_from(retry_at).map_err(broken)?,
        })
    }

    fn set_health(&mut self, health: Health) -> Result<()> {
        let upsert = "INSERT INTO server (one, failures, since, retry_at) VALUES (1, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET failures = excluded.failures, since = excluded.since,
                          retry_at = excluded.retry_at";
        let failures = i64::from(health.is_failing());
        self.sql.run(upsert, values![failures, health.since, health.retry_at])?;
        Ok(())
    }

    /// Arms the alarm: at once, or at the end of the back-off.
    fn wake(&mut self) -> Result<()> {
        self.wake_in(0)
    }

    /// Arms the alarm: after a while (ms), or at the end of the back-off.
    fn wake_in(&mut self, pause: u64) -> Result<()> {
        let retry_at = self.health()?.retry_at;
        self.effects.alarm_at(retry_at.max(self.moment.now + pause));
        Ok(())
    }
}

class!(DestinationClass = "destination" {
    Owe => debts::owe,
    IsOwed => debts::is_owed,
    OweEdu => debts::owe_edu,
    Heard => debts::heard,
    NextBatch => debts::next_batch,
    Delivered => debts::delivered,
    Failed => debts::failed,
    State => debts::state,
    Reset => debts::reset,
});
