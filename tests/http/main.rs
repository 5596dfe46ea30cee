//! Does the Worker keep its promises over HTTP, on workerd, when it is killed and when others speak to it?
//!
//! Run by `make test-http`: every test starts servers through `local/serve`, so they are ignored elsewhere.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests of a real server measure real time")]

mod appservices;
mod client;
mod crash;
mod hostile;
mod keys;
mod media;
mod rooms;
mod server;
mod sync;
mod two_servers;
