//! What is known of a room while no local user is in it?
//!
//! Invites and knocks of local users, and joins that were begun.

pub mod attempts;
pub mod invites;
