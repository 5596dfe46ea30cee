//! What do operators see of the room, and what do they do with it?

pub mod blocking;
pub mod deletion;
pub mod media;
pub mod overview;
pub mod purge;
