//! Which operations take several steps, objects or servers? One folder per subject, one file per flow.
//!
//! A flow gathers from other servers and objects, has one object decide and write, and then tells the followers. A flow
//! may be repeated from the start: its objects are idempotent, and the object that holds the intention is asked first
//! and last.

pub mod appservices;
pub mod by_time;
pub mod deletion;
pub mod directory;
pub mod due;
pub mod keys;
pub mod media;
pub mod membership;
pub mod ours;
pub mod presence;
pub mod push;
pub mod receive;
pub mod search;
pub mod sending;
pub mod sync;
pub mod telling;
#[cfg(test)]
mod tests;
mod turns;
