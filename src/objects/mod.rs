//! Which facts exist, and which object owns each of them?
//!
//! One Durable Object per thing: a room, a user, a remote server, an application service. Inside, an object is a set of
//! synchronous functions over its own SQLite database. Each message is decided and written in one transaction, so
//! nothing comes between read and write. Objects do no I/O: work elsewhere is part of their answer, or stays behind as
//! due.

pub mod appservice;
pub mod destination;
pub mod message;
pub mod room;
#[cfg(test)]
mod tests;
pub mod user_keys;
pub mod user_sync;

use ruma::{RoomId, ServerName, UserId};
use tombolo_platform::{Address, Answer, Class, Fault};

use self::{
    appservice::AppserviceClass, destination::DestinationClass, room::RoomClass,
    user_keys::UserKeysClass, user_sync::UserSyncClass,
};
use crate::shell::Question;

/// Hands every class of objects to a macro: its module, its type, and the name of its Durable Object.
macro_rules! classes {
    ($to:ident) => {
        $to! {
            room::RoomClass, RoomObject;
            user_sync::UserSyncClass, UserSyncObject;
            user_keys::UserKeysClass, UserKeysObject;
            destination::DestinationClass, DestinationObject;
            appservice::AppserviceClass, AppserviceObject;
        }
    };
}
#[cfg(any(target_arch = "wasm32", test))]
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

macro_rules! schemas {
    ($($module:ident::$class:ident, $object:ident;)*) => {
        /// The classes' folders, and the steps of their schemas.
        pub const SCHEMAS: &[(&str, &[&str])] = &[$((stringify!($module), $module::STEPS)),*];
    };
}
classes!(schemas);

/// The object of a room.
pub fn room_object(room_id: &RoomId) -> Address<RoomClass> {
    Address::new(room_id.as_str())
}

/// The object of a local user: their sessions and their stream.
pub fn user_object(user: &UserId) -> Address<UserSyncClass> {
    Address::new(user.as_str())
}

/// The object of a user's keys, local or remote.
pub fn keys_object(user: &UserId) -> Address<UserKeysClass> {
    Address::new(user.as_str())
}

/// The object of a remote server.
pub fn destination_object(server: &ServerName) -> Address<DestinationClass> {
    Address::new(server.as_str())
}

/// The object of an application service.
pub fn appservice_object(id: &str) -> Address<AppserviceClass> {
    Address::new(id)
}
