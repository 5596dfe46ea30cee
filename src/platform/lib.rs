//! Where does the program end and the platform begin?
//!
//! One set of types with two implementations, chosen by target: on wasm32 they are Cloudflare
//! Workers (`workers`), natively a deterministic simulator (`simulated`) that runs whole networks
//! of servers from one seed. The program implements [`Application`] and is called by the platform;
//! it reaches everything outside itself through [`World`], and inside an object only through
//! [`Object`]. Nothing else names Cloudflare.

mod application;
mod body;
pub mod json;
mod memory;
mod message;
mod moment;
mod outside;
mod units;
mod value;

#[cfg(not(target_arch = "wasm32"))]
pub mod simulated;
#[cfg(target_arch = "wasm32")]
pub mod workers;

#[cfg(not(target_arch = "wasm32"))]
pub use simulated::{D1, Kv, R2, Row, Sql, World};
#[cfg(target_arch = "wasm32")]
pub use workers::{D1, Kv, R2, Row, Sql, World};

pub use application::{Answer, Application, Object};
pub use body::{Body, Unread};
pub use memory::{Isolate, Memory};
pub use message::{
    Address, AnyAddress, AskError, Class, Fault, Message, Unreachable, Waited, unknown,
};
pub use moment::Moment;
pub use outside::{KvError, Limits, MIN_TTL, MOST_KEYS, PART, R2Error, Statement};
pub use units::Units;
pub use value::{MAX_INTEGER, MAX_PARAMETERS, SqlError, Value};
