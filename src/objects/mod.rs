//! Which facts exist, and which object owns each of them?
//!
//! One Durable Object per thing: a room, a user, a remote server. Inside, an object is a set of synchronous functions
//! over its own SQLite database; each message is decided and written in one transaction, so nothing comes between read
//! and write. Objects do no I/O: what they want done elsewhere they answer with, or leave behind as something due.

pub mod destination;
pub mod message;
pub mod room;
pub mod user_sync;

use tombolo_platform::{Answer, Class, Fault, SqlError};

use crate::shell::Question;

/// Hands every class of objects to a macro: its module, its type, and the name of its Durable Object.
macro_rules! classes {
    ($to:ident) => {
        $to! {
            room::RoomClass, RoomObject;
            user_sync::UserSyncClass, UserSyncObject;
            destination::DestinationClass, DestinationObject;
        }
    };
}
#[cfg(target_arch = "wasm32")]
pub(crate) use classes;

macro_rules! answer_by_class {
    ($($module:ident::$class:ident, $object:ident;)*) => {
        /// Answers one message to an object.
        pub fn answer(question: &Question<'_>) -> Result<Answer, Fault> {
            match question.object.address.class {
                $($module::$class::NAME => $module::answer(question),)*
                class => Err(Fault(format!("no object is of class {class}"))),
            }
        }
    };
}
classes!(answer_by_class);

/// Why an object's function ends early. Either way nothing it wrote is kept.
#[derive(Debug)]
pub enum Stop<R> {
    /// The object declines; the caller learns why.
    Refused(R),
    /// Something is broken; the caller may try again.
    Fault(Fault),
}

impl<R> Stop<R> {
    /// A broken invariant of our own data.
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
