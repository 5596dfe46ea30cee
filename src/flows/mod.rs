//! What takes several steps, objects or servers? One folder per subject, one file per flow.
//!
//! Gather (from other servers and objects), let one object decide and write, then tell. A flow may be repeated from the
//! start: the objects it asks are idempotent, and the one that holds the intention is asked first and last.

pub mod due;
pub mod membership;
pub mod ours;
pub mod receive;
pub mod sending;
pub mod sync;
pub mod telling;
#[cfg(test)]
mod tests;

use ruma::{RoomId, ServerName, UserId};
use tombolo_platform::Address;

use crate::objects::{destination::DestinationClass, room::RoomClass, user_sync::UserSyncClass};

/// The object of a room.
pub fn room(room_id: &RoomId) -> Address<RoomClass> {
    Address::new(room_id.as_str())
}

/// The object of a remote server.
pub fn destination(server: &ServerName) -> Address<DestinationClass> {
    Address::new(server.as_str())
}

/// The object of a local user: their sessions and their stream.
pub fn user_object(user: &UserId) -> Address<UserSyncClass> {
    Address::new(user.as_str())
}
