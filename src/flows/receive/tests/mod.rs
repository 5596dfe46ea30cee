//! What becomes of what other servers send, and of what it builds on?

mod backfill;
mod edus;
mod fetch;
mod gap;
mod receive;
mod verify;
