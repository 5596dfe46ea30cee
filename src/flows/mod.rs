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
