//! What does the room do with what other servers send?

pub mod backfill;
pub mod kept;
pub mod parked;
pub mod receive;
pub mod received_state;
