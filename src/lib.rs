//! Tombolo: a Matrix homeserver and bridge gateway.
//!
//! Read ARCHITECTURE.md first. Imports point one way: `worker` (the entry on Workers) and [`app`] → [`http`] → [`flows`] →
//! [`objects`] (their messages), [`remote`], [`stores`] → [`config`], [`error`].

pub mod app;
pub mod config;
pub mod error;
pub mod flows;
pub mod http;
pub mod objects;
pub mod remote;
pub mod shell;
pub mod stores;
#[cfg(target_arch = "wasm32")]
mod worker;
