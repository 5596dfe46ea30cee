//! What does the room do with what other servers send?

pub mod backfill;
pub mod given;
pub mod kept;
pub mod parked;
pub mod receive;
