//! Which servers failed when this isolate last tried to deliver to them?
//!
//! A hint, not a fact: the destination's object knows its back-off, and another isolate may have delivered. A request
//! from a server that is noted here ends its back-off within a minute; a request from another is passed on to the
//! destination only once an hour.

use std::{cell::RefCell, collections::BTreeSet};

use ruma::{OwnedServerName, ServerName};
use tombolo_platform::World;

#[derive(Default)]
struct Failing(RefCell<BTreeSet<OwnedServerName>>);

/// Notes that a server failed.
pub fn note(world: &World, server: &ServerName) {
    world.isolate(|_| Failing::default()).0.borrow_mut().insert(server.to_owned());
}

/// Whether a server failed.
pub fn is_noted(world: &World, server: &ServerName) -> bool {
    world.isolate(|_| Failing::default()).0.borrow().contains(server)
}

/// Forgets that a server failed.
pub fn forget(world: &World, server: &ServerName) {
    world.isolate(|_| Failing::default()).0.borrow_mut().remove(server);
}

/// The first so many of these servers, those that failed last.
pub fn last<S: AsRef<ServerName>>(world: &World, mut servers: Vec<S>, most: usize) -> Vec<S> {
    servers.sort_by_key(|server| is_noted(world, server.as_ref()));
    servers.truncate(most);
    servers
}
