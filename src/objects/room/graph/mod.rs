//! What has happened in the room, in which order, and what is its state?
//!
//! The graph of events, the state that follows from it, and who is in the room by that state. An event is judged by
//! [`judgement`], written by [`insertion`], and where forks meet, [`resolution`] says what the state is.

pub mod blocks;
pub mod events;
pub mod extremities;
pub mod farewells;
pub mod gaps;
pub mod indexes;
pub mod insertion;
pub mod judgement;
pub mod many;
pub mod members;
pub mod moves;
pub mod power;
pub mod redaction;
pub mod relations;
pub mod resolution;
pub mod rules;
pub mod sieve;
pub mod state;
pub mod summary;
pub mod threads;
pub mod times;
pub mod traits;
pub mod unverified;
pub mod words;
