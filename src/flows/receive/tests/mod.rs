//! What happens to events and EDUs of other servers, and to what they build on?

mod backfill;
mod edus;
mod fetch;
mod gap;
mod incoming_state;
mod receive;
mod texts;
mod verify;
