//! Does a real server withstand what a hostile server does to it?
//!
//! One Tombolo in the simulator, and peers that are nothing but a key and a script: they answer as a test wants and
//! send what it wants. The rows of `tests/hostile/README.md` are named where they are tested. After each
//! attack the room must be what it was, and a good event of the same peer must still come in.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod auth;
mod backfill;
mod edges;
mod edus;
mod format;
mod gaps;
mod hosted;
mod invites;
mod joins;
mod json;
mod keys;
mod large;
mod notary;
mod outcome;
mod reading;
mod requests;
mod residents;
mod scene;
mod signatures;
mod tables;
mod templates;
mod transactions;
