//! What do all object classes share: how is a message decoded, answered in one transaction, and its effect noted?

use tombolo_platform::{Answer, Fault, Message, Object, Sql, SqlError, values};

use crate::objects::Stop;

/// What an answer does besides answering.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effects {
    /// Be woken at this time (ms) at the latest.
    pub alarm: Option<u64>,
    /// Wake every wait the object holds.
    pub wake: bool,
    /// Hold this wait.
    pub hold: bool,
}

impl Effects {
    /// Asks for the alarm at this time at the latest.
    pub fn alarm_at(&mut self, at: u64) {
        self.alarm = Some(self.alarm.map_or(at, |armed| armed.min(at)));
    }
}

/// Decodes a message, has it answered, and encodes what came of it.
pub fn reply<M: Message>(
    body: &str,
    effects: &mut Effects,
    work: impl FnOnce(M, &mut Effects) -> Result<M::Reply, Stop<M::Refusal>>,
) -> Result<Answer, Fault> {
    let message: M = serde_json::from_str(body)
        .map_err(|error| Fault(format!("{} cannot be read: {error}", M::NAME)))?;
    let outcome = match work(message, effects) {
        Ok(reply) => Ok(reply),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    let Effects { alarm, wake, hold } = *effects;
    Ok(Answer { alarm, wake, hold, ..Answer::of::<M>(&outcome)? })
}

/// Picks the function that answers a message, by the message's name.
macro_rules! dispatch {
    ($name:expr, $answer:ident, { $($message:ident => $function:path),* $(,)? }) => {
        match $name {
            $(<$message as tombolo_platform::Message>::NAME => $answer!($message, $function),)*
            // A newer deployment asked an older one: worth another try.
            unknown => Err(tombolo_platform::unknown(unknown)),
        }
    };
}
pub(crate) use dispatch;

/// Whether an object's tables exist, known once per stay in memory.
#[derive(Debug, Default)]
pub struct Schema {
    version: Option<usize>,
}

impl Schema {
    /// Whether the object holds anything; brings old tables up to date, creates none.
    pub fn exists(&mut self, sql: &Sql, steps: &[&str]) -> Result<bool, SqlError> {
        let version = self.read(sql)?;
        if version == 0 {
            return Ok(false);
        }
        self.create(sql, steps)?;
        Ok(true)
    }

    /// Runs the steps that this database has not seen.
    pub fn create(&mut self, sql: &Sql, steps: &[&str]) -> Result<(), SqlError> {
        let version = self.read(sql)?;
        if version >= steps.len() {
            return Ok(());
        }
        if version == 0 {
            sql.run("CREATE TABLE schema (version INTEGER NOT NULL)", values![])?;
            sql.run("INSERT INTO schema (version) VALUES (0)", values![])?;
        }
        for step in &steps[version..] {
            sql.script(step)?;
        }
        sql.run("UPDATE schema SET version = ?", values![steps.len()])?;
        self.version = Some(steps.len());
        Ok(())
    }

    fn read(&mut self, sql: &Sql) -> Result<usize, SqlError> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        let version = if sql.exists()? {
            let query = "SELECT version FROM schema";
            let version = sql.row(query, values![], |row| row.int(0))?;
            let version = version.and_then(|version| usize::try_from(version).ok());
            version.ok_or_else(|| SqlError::Database("the schema has no version".to_owned()))?
        } else {
            0
        };
        self.version = Some(version);
        Ok(version)
    }
}

/// One message to an object, as the platform hands it over.
pub struct Question<'a> {
    pub object: &'a Object<'a>,
    pub moment: &'a tombolo_platform::Moment,
    pub message: &'a str,
    pub body: &'a str,
}
