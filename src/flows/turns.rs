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

    /// Takes a turn, now and until then (ms), for which others wait. So many are remembered at most, beside those that go
    /// on: were one of these forgotten, the same would be done twice at once.
    pub fn begin(self: Rc<Self>, key: K, (now, until): (u64, u64), most: usize) -> Turn<K, V> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut known = self.known.borrow_mut();
        if known.len() >= most {
            make_room(&mut known, most, now);
        }
        known.insert(key.clone(), State::Begun(number, until));
        drop(known);
        Turn { turns: self, key, number }
    }
}

/// Forgets what holds no longer, and then what holds for the shortest time.
fn make_room<K: Ord + Clone, V>(known: &mut BTreeMap<K, State<V>>, most: usize, now: u64) {
    known.retain(|_, state| match state {
        State::Begun(_, until) | State::Ended(until, _) => *until > now,
    });
    while known.len() >= most {
        let ended = known.iter().filter_map(|(key, state)| match state {
            State::Ended(until, _) => Some((until, key)),
            State::Begun(..) => None,
        });
        let Some((_, key)) = ended.min() else { return };
        let key = key.clone();
        known.remove(&key);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Rc<Turns<u64, &'static str>> {
        Rc::default()
    }

    #[test]
    fn what_goes_on_is_not_forgotten_for_what_is_begun() {
        let turns = turns();
        let going_on: Vec<_> = (0..3).map(|key| Rc::clone(&turns).begin(key, (0, 10), 4)).collect();
        for key in 3..9 {
            Rc::clone(&turns).begin(key, (0, 10), 4).end(20, "done");
        }
        assert!((0..3).all(|key| matches!(turns.standing(&key, 0), Standing::Begun)));
        assert!(matches!(turns.standing(&7, 0), Standing::Free));
        assert!(matches!(turns.standing(&8, 0), Standing::Ended("done")));
        drop(going_on);
    }

    #[test]
    fn what_holds_for_the_shortest_time_is_forgotten_first() {
        let turns = turns();
        for (key, until) in [(0, 30), (1, 20), (2, 40)] {
            Rc::clone(&turns).begin(key, (0, 10), 3).end(until, "done");
        }
        let _turn = Rc::clone(&turns).begin(3, (0, 10), 3);
        assert!(matches!(turns.standing(&1, 0), Standing::Free));
        assert!([0, 2].iter().all(|key| matches!(turns.standing(key, 0), Standing::Ended(_))));
    }

    #[test]
    fn who_was_ended_without_a_word_is_forgotten_when_nobody_waits_any_more() {
        let turns = turns();
        for key in 0..5 {
            std::mem::forget(Rc::clone(&turns).begin(key, (0, 10), 3));
        }
        assert_eq!(turns.known.borrow().len(), 5);
        assert!(matches!(turns.standing(&0, 10), Standing::Free));
        let _turn = Rc::clone(&turns).begin(9, (10, 20), 3);
        assert_eq!(turns.known.borrow().len(), 1);
    }
}
