//! What happened in a scenario, as its users know it?

use std::cell::{Cell, RefCell};

use serde_json::Value;

/// A room that its creator was told of.
#[derive(Clone, Debug)]
pub struct Place {
    pub id: String,
    pub version: &'static str,
    /// The user who made it.
    pub creator: usize,
}

/// An event that a server said it has.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub room: usize,
    pub server: usize,
    pub event_id: String,
}

/// One answer to `/sync`, or to a sliding sync.
#[derive(Clone, Debug)]
pub struct Synced {
    pub since: Option<String>,
    pub next: String,
    /// Whether the state after the timeline was asked for.
    pub after: bool,
    pub body: Value,
}

/// Everything that was said.
#[derive(Default)]
pub struct Story {
    pub rooms: RefCell<Vec<Place>>,
    secrets: Cell<usize>,
    pub acknowledged: RefCell<Vec<Acknowledged>>,
    /// By user: the chain of their syncs.
    pub syncs: RefCell<Vec<Vec<Synced>>>,
    /// The same of each user's second client, which asks with a filter.
    pub filtered: RefCell<Vec<Vec<Synced>>>,
    /// And of the third one, over a sliding sync.
    pub slid: RefCell<Vec<Vec<Synced>>>,
    /// What was asked and how it ended, to read when a seed fails.
    pub lines: RefCell<Vec<String>>,
    pub transactions: Cell<usize>,
    pub refused: Cell<usize>,
    pub failed: Cell<usize>,
    /// Servers of which one counts the other in and not the other way round, and why.
    pub estranged: RefCell<Vec<String>>,
}

impl Story {
    pub fn room(&self, room: usize) -> Place {
        self.rooms.borrow()[room].clone()
    }

    /// A transaction ID never used before.
    pub fn transaction(&self) -> usize {
        self.transactions.set(self.transactions.get() + 1);
        self.transactions.get()
    }

    /// The number of a secret never planted before.
    pub fn secret(&self) -> usize {
        let number = self.secrets.get();
        self.secrets.set(number + 1);
        number
    }

    pub fn acknowledge(&self, event: Acknowledged) {
        self.acknowledged.borrow_mut().push(event);
    }

    pub fn note(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    /// The token of a user's last sync.
    pub fn token(&self, user: usize) -> Option<String> {
        self.syncs.borrow()[user].last().map(|synced| synced.next.clone())
    }
}
