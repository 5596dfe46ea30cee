//! How does a whole network of servers run in one thread, the same way every time?
//!
//! [`Simulation`] owns an executor, a clock that jumps, and dice that one seed determines; servers
//! run the real [`Application`](crate::Application) on SQLite in memory. A test gives the seed and
//! the [`Faults`], and a failing seed replays.

mod d1;
mod dice;
mod executor;
mod faults;
mod kv;
mod network;
mod object;
mod r2;
mod server;
mod simulation;
mod sql;
mod world;

pub use d1::D1;
pub use faults::Faults;
pub use kv::Kv;
pub use r2::R2;
pub use server::Server;
pub use simulation::Simulation;
pub use sql::{Row, Sql};
pub use world::World;
