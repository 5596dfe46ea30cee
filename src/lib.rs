//! What is Tombolo? A Matrix homeserver. Bridges are planned; none is built yet.
//!
//! Read ARCHITECTURE.md first. Imports point one way: `worker` (the entry on Workers) and [`app`] → [`http`] →
//! [`flows`] → [`objects`] (their messages), [`remote`], [`stores`] → [`config`], `bucket`. Only [`http`] names [`error`].

pub mod app;
mod bucket;
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
