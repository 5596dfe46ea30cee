//! Which servers failed when this isolate last tried to deliver to them?
//!
//! A hint, not a fact: the destination's object knows its back-off. It lets the first sign of life end the back-off at
//! once, where else one is passed on only every minute.

use std::{cell::RefCell, collections::BTreeSet};

use ruma::{OwnedServerName, ServerName};
use tombolo_platform::World;

#[derive(Default)]
struct Failing(RefCell<BTreeSet<OwnedServerName>>);

/// Notes that a server failed.
pub fn note(world: &World, server: &ServerName) {
    world.isolate(|_| Failing::default()).0.borrow_mut().insert(server.to_owned());
}

/// Takes the mark: true once after a failure.
pub fn take(world: &World, server: &ServerName) -> bool {
    world.isolate(|_| Failing::default()).0.borrow_mut().remove(server)
}
