//! What happened in a scenario, as its devices know it?

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

use crate::client::Client;

/// One stay of a device from a login to a logout. A device ID may have several, one after the other.
pub struct Life {
    /// The number of the device.
    pub device: usize,
    /// When the login was asked for first, and when it was answered (ms).
    pub asked: u64,
    pub began: u64,
    /// When the logout was asked for (ms), and whether the server has confirmed it.
    pub ended: Option<u64>,
    pub is_gone: bool,
    /// When its keys were first known to have arrived (ms).
    pub uploaded: Option<u64>,
    pub client: Client,
}

/// A message to devices.
#[derive(Clone)]
pub struct Send {
    /// The life that sends it.
    pub life: usize,
    pub path: String,
    /// By user and by device ID or `*`: its content.
    pub messages: Value,
    pub began: u64,
    /// When it was first answered with success (ms).
    pub answered: Option<u64>,
    /// When it was sent for the last time, and the answer came or did not (ms).
    pub done: u64,
}

/// A key that was handed out.
pub struct Claim {
    pub user: String,
    pub device: String,
    pub name: String,
    pub key: Value,
    /// When it was asked for (ms).
    pub began: u64,
}

/// Everything that was said.
#[derive(Default)]
pub struct Story {
    pub lives: RefCell<Vec<Life>>,
    pub sends: RefCell<Vec<Send>>,
    pub claims: RefCell<Vec<Claim>>,
    /// The one-time and fallback keys that were published, by name: the life and the key.
    pub published: RefCell<BTreeMap<String, (usize, Value)>>,
    /// By room: who may ever have been in it, or invited.
    pub insiders: RefCell<BTreeMap<String, BTreeSet<String>>>,
    /// What was asked and how it ended, to read when a seed fails.
    pub lines: RefCell<Vec<String>>,
    numbers: Cell<usize>,
}

/// How much happened.
#[derive(Debug, Default)]
pub struct Counts {
    logins: usize,
    sends: usize,
    received: usize,
    claims: usize,
    lists: usize,
}

impl Story {
    /// A number never given before.
    pub fn number(&self) -> usize {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub fn note(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    /// Reads or changes what the client of a life knows.
    pub fn client<T>(&self, life: usize, with: impl FnOnce(&mut Client) -> T) -> T {
        with(&mut self.lives.borrow_mut()[life].client)
    }

    /// Notes that a user may come into a room, or be invited to it.
    pub fn enters(&self, room: &str, user: &str) {
        self.insiders.borrow_mut().entry(room.to_owned()).or_default().insert(user.to_owned());
    }

    pub fn counts(&self) -> Counts {
        let lives = self.lives.borrow();
        Counts {
            logins: lives.len(),
            sends: self.sends.borrow().len(),
            received: lives.iter().map(|life| life.client.received.len()).sum(),
            claims: self.claims.borrow().len(),
            lists: lives.iter().map(|life| life.client.answered).sum(),
        }
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.logins += other.logins;
        self.sends += other.sends;
        self.received += other.received;
        self.claims += other.claims;
        self.lists += other.lists;
    }
}
