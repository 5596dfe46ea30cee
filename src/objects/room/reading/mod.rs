//! What do clients and other servers see of the room?

pub mod bundle;
pub mod bundles;
pub mod by_time;
pub mod context;
pub mod describe;
pub mod entitlement;
pub mod erasure;
pub mod federation;
pub mod filter;
pub mod look;
pub mod moves;
pub mod page;
pub mod parting;
pub mod push_details;
pub mod relations;
pub mod search;
pub mod service;
pub mod sliding;
pub mod threads;
pub mod transferable;
pub mod view;
pub mod window;
