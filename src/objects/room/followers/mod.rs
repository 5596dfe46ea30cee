//! Who is told of what is new, and when?
//!
//! Followers are local users, the servers in the room, and application services.

pub mod departures;
pub mod listing;
pub mod news;
pub mod notifying;
pub mod services;
pub mod telling;
pub mod waking;
