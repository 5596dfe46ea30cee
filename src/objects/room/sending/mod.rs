//! How does what a user does become part of the room?

pub mod create;
pub mod invite;
pub mod merge;
pub mod receipts;
pub mod relations;
pub mod send;
pub mod typing;
