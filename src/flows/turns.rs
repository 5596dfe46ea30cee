//! Who does what several requests want at once? One of them; the others look now and then whether it is done.
//!
//! They share the isolate's memory and nothing else: on Workers no request can wake another, and one that has its turn may
//! be ended at any time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// What requests of this isolate do or have done, by what it is about.
pub struct Turns<K, V> {
    known: RefCell<BTreeMap<K, State<V>>>,
    next: Cell<u64>,
}

enum State<V> {
    /// Whose turn it is, and until when it is waited for (ms).
    Begun(u64, u64),
    /// Until when that holds (ms).
    Ended(u64, V),
}

/// How it stands with something.
pub enum Standing<V> {
    /// Nobody does it.
    Free,
    /// Somebody does it.
    Begun,
    /// Somebody did it, and this came of it.
    Ended(V),
}

impl<K, V> Default for Turns<K, V> {
    fn default() -> Self {
        Self { known: RefCell::default(), next: Cell::default() }
    }
}

impl<K: Ord + Clone, V: Clone> Turns<K, V> {
    pub fn standing(&self, key: &K, now: u64) -> Standing<V> {
        match self.known.borrow().get(key) {
            Some(State::Begun(_, until)) if *until > now => Standing::Begun,
            Some(State::Ended(until, value)) if *until > now => Standing::Ended(value.clone()),
            _ => Standing::Free,
        }
    }

    /// Takes a turn, for which others wait until then (ms). So many are remembered at most.
    pub fn begin(self: Rc<Self>, key: K, until: u64, most: usize) -> Turn<K, V> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut known = self.known.borrow_mut();
        if known.len() >= most {
            known.clear();
        }
        known.insert(key.clone(), State::Begun(number, until));
        drop(known);
        Turn { turns: self, key, number }
    }
}

/// That a request does something, until it ends the turn or drops it.
pub struct Turn<K: Ord + Clone, V: Clone> {
    turns: Rc<Turns<K, V>>,
    key: K,
    number: u64,
}

impl<K: Ord + Clone, V: Clone> Turn<K, V> {
    /// Has others wait until then (ms).
    pub fn prolong(&self, until: u64) {
        self.replace(Some(State::Begun(self.number, until)));
    }

    /// Notes what came of it, which holds until then (ms).
    pub fn end(&self, until: u64, value: V) {
        self.replace(Some(State::Ended(until, value)));
    }

    /// Replaces what is known of this turn, unless somebody else has taken one by now.
    fn replace(&self, by: Option<State<V>>) {
        let mut known = self.turns.known.borrow_mut();
        if !matches!(known.get(&self.key), Some(State::Begun(number, _)) if *number == self.number)
        {
            return;
        }
        match by {
            Some(state) => known.insert(self.key.clone(), state),
            None => known.remove(&self.key),
        };
    }
}

impl<K: Ord + Clone, V: Clone> Drop for Turn<K, V> {
    fn drop(&mut self) {
        self.replace(None);
    }
}
