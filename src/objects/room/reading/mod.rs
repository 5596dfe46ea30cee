//! What do clients and other servers see of the room?

pub mod context;
pub mod describe;
pub mod entitlement;
pub mod erasure;
pub mod federation;
pub mod look;
pub mod moves;
pub mod page;
pub mod parting;
pub mod view;
pub mod window;
