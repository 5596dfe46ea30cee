//! What takes several steps, objects or servers? One file per flow.
//!
//! Gather (from other servers and objects), let one object decide and write, then tell. A flow may be repeated from the
//! start: the objects it asks are idempotent, and the one that holds the intention is asked first and last.

pub mod backfill;
pub mod create_room;
pub mod deliver;
pub mod due;
pub mod given;
pub mod invite;
pub mod join;
pub mod knock;
pub mod leave;
pub mod receive;
pub mod send;
pub mod sync;
pub mod tell;
pub mod template;
pub mod verify;

use ruma::{RoomId, ServerName, UserId};
use tombolo_platform::Address;

/// The object of a room.
pub fn room(room_id: &RoomId) -> Address {
    Address::new("room", room_id.as_str())
}

/// The object of a remote server.
pub fn destination(server: &ServerName) -> Address {
    Address::new("destination", server.as_str())
}

/// The object of a local user: their sessions and their stream.
pub fn user_object(user: &UserId) -> Address {
    Address::new("user_sync", user.as_str())
}
