//! What do tests stand on? Simulated servers and their users, peers that follow a script, signed events, dice.
//!
//! It knows no server of ours: a test hands in the application. So the server's own unit tests can use it too.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod bridge;
mod client;
mod dice;
mod event;
mod hosted;
mod object;
mod pair;
mod peer;
mod scene;
mod seeds;
mod server;
mod service;
mod trouble;

pub use self::{
    bridge::{Bridge, Manner, Pushed},
    client::{Answer, PASSWORD, User, ask, encode, register, registration, request, text},
    dice::Dice,
    event::{Place, canonical, checked, cited, draft, hash, hashed, id_of},
    hosted::Hosted,
    object::LoneObject,
    pair::Pair,
    peer::{Asked, Peer, Reply, ok, refusal},
    scene::Scene,
    seeds::{number, run_seeds},
    server::{Secrets, migrations, server},
    service::{Service, registration_of},
    trouble::{faults, trouble},
};
