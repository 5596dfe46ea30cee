//! What do all object classes share? How a message is decoded and answered, and how an object's schema is kept.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use tombolo_platform::{Answer, Class, Fault, Message, Object, Row, Sql, SqlError, json, values};
use tombolo_protocol::membership::Membership;

/// Why an object's function ends early. Either way nothing it wrote is kept.
#[derive(Debug)]
pub enum Stop<R> {
    /// The object declines; the caller learns why.
    Refused(R),
    /// Something is broken; the caller may try again.
    Fault(Fault),
}

impl<R> Stop<R> {
    /// A fault: an invariant of our own data is broken.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Fault(Fault(what.into()))
    }
}

impl<R> From<SqlError> for Stop<R> {
    fn from(error: SqlError) -> Self {
        Self::Fault(error.into())
    }
}

impl<R> From<Fault> for Stop<R> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<R> From<serde_json::Error> for Stop<R> {
    fn from(error: serde_json::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// The effects of an answer beside the reply.
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

/// How the objects of a class answer messages.
pub trait ObjectClass: Class {
    /// What an object remembers between messages.
    type Cache: Default + 'static;
    /// An object while it answers one message.
    type Object<'a>;
    /// Why an object declines.
    type Refusal: Serialize + DeserializeOwned + Debug;

    /// Opens the object for one message.
    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Self::Cache,
        effects: &'a mut Effects,
    ) -> Result<Self::Object<'a>, Fault>;

    /// Does what the message left to be done, once its function has returned and in the same transaction.
    fn finish(_: &mut Self::Object<'_>) -> Result<(), Stop<Self::Refusal>> {
        Ok(())
    }
}

/// Decodes a message, has it answered by `work`, and encodes the reply or refusal with its effects.
pub fn reply<C: ObjectClass, M: Message<Class = C, Refusal = C::Refusal>>(
    question: &Question<'_>,
    work: impl FnOnce(&mut C::Object<'_>, M) -> Result<M::Reply, Stop<M::Refusal>>,
) -> Result<Answer, Fault> {
    let message: M = json::read(question.body).map_err(|error| unread(M::NAME, &error))?;
    let mut once = Some((message, work));
    within::<C>(question, &mut |object| {
        let taken = once.take();
        let (message, work) = taken.ok_or_else(|| Stop::broken("a message is answered twice"))?;
        let reply = work(object, message)?;
        Ok(Answer::reply(M::NAME, &reply)?)
    })
}

fn unread(message: &str, error: &serde_json::Error) -> Fault {
    Fault(format!("{message} cannot be read: {error}"))
}

/// What answers one message to an open object.
type Work<'w, C> = dyn FnMut(&mut <C as ObjectClass>::Object<'_>) -> Result<Answer, Stop<<C as ObjectClass>::Refusal>>
    + 'w;

/// Opens the object, has one message answered, and does what that left to be done. It is compiled once a class and not
/// once a message, which makes the script a good deal smaller.
fn within<C: ObjectClass>(
    question: &Question<'_>,
    work: &mut Work<'_, C>,
) -> Result<Answer, Fault> {
    question.object.memory.with(|cache: &mut C::Cache| {
        let mut effects = Effects::default();
        let mut object = C::open(question, cache, &mut effects)?;
        let done = work(&mut object).and_then(|answer| C::finish(&mut object).map(|()| answer));
        drop(object);
        let answer = match done {
            Ok(answer) => answer,
            Err(Stop::Refused(refusal)) => Answer::refused(&refusal)?,
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        let Effects { alarm, wake, hold } = effects;
        Ok(Answer { alarm, wake, hold, ..answer })
    })
}

/// How a message and its reply are read and written again.
#[cfg(test)]
pub struct Wire {
    pub name: &'static str,
    pub message: fn(&str) -> serde_json::Result<String>,
    pub reply: fn(&str) -> serde_json::Result<String>,
}

#[cfg(test)]
impl Wire {
    pub const fn of<M: Message>() -> Self {
        Self { name: M::NAME, message: again::<M>, reply: again::<Result<M::Reply, M::Refusal>> }
    }
}

#[cfg(test)]
fn again<T: Serialize + DeserializeOwned>(text: &str) -> serde_json::Result<String> {
    serde_json::to_string(&json::read::<T>(text)?)
}

/// Declares a class of objects: its name, and which function answers which message.
macro_rules! class {
    ($class:ident = $name:literal { $($message:ident => $function:path),* $(,)? }) => {
        impl tombolo_platform::Class for $class {
            const NAME: &'static str = $name;
        }

        #[cfg(test)]
        pub const WIRES: &[$crate::shell::Wire] = &[$($crate::shell::Wire::of::<$message>()),*];

        /// Answers one message to an object of this class.
        pub fn answer(
            question: &$crate::shell::Question<'_>,
        ) -> std::result::Result<tombolo_platform::Answer, tombolo_platform::Fault> {
            use tombolo_platform::Message;

            match question.message {
                $($message::NAME => $crate::shell::reply::<$class, $message>(question, $function),)*
                // A newer deployment asked an older one: a retry may succeed.
                unknown => Err(tombolo_platform::unknown(unknown)),
            }
        }
    };
}
pub(crate) use class;

/// The version of an object's schema, read once per stay in memory.
#[derive(Debug, Default)]
pub struct Schema {
    version: Option<usize>,
    raised: bool,
}

impl Schema {
    /// Whether the object has tables. Brings old tables up to date, but creates none.
    pub fn exists(&mut self, sql: &Sql, steps: &[&str]) -> Result<bool, SqlError> {
        let version = self.read(sql)?;
        if version == 0 {
            return Ok(false);
        }
        self.create(sql, steps)?;
        Ok(true)
    }

    /// Creates the tables or brings them up to date: runs the steps that this database has not seen.
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
        self.raised = version > 0;
        Ok(())
    }

    /// Whether old tables were brought up to date since this was asked last.
    pub fn was_raised(&mut self) -> bool {
        std::mem::take(&mut self.raised)
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

/// Reads a membership from a column.
pub fn membership(row: &Row<'_>, column: usize) -> Result<Membership, SqlError> {
    let name = row.text(column)?;
    Membership::of(&name).ok_or_else(|| SqlError::Database(format!("{name} is no membership")))
}

/// One message to an object, as the platform hands it over.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub object: &'a Object<'a>,
    pub moment: &'a tombolo_platform::Moment,
    pub message: &'a str,
    pub body: &'a str,
}
