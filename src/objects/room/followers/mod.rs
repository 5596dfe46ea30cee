//! Who is told of what is new, and when?
//!
//! Followers are local users and the servers in the room.

pub mod departures;
pub mod listing;
pub mod news;
pub mod notifying;
pub mod telling;
pub mod waking;
