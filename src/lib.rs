//! Tombolo: a Matrix homeserver and bridge gateway.
pub mod config;
pub mod error;
pub mod http;
pub mod objects;
pub mod flows;
pub mod remote;
pub mod shell;
pub mod stores;
