//! What do two of our servers make of each other's extremes: what is deep, long, large or much?
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod deep;
mod encryption;
mod invites;
mod memberships;
mod outages;
mod places;
mod quantities;
mod servers;
