//! How much is fetched for one user? Few pages at once, and so many bytes of images in an hour.
//!
//! So nobody takes the room of all others, or fills the server with images that count against no quota. It lies in the
//! isolate's memory: a fresh isolate forgives.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// How many fetches of a user go on at once.
const MOST: usize = 2;
/// How many bytes of images are kept for a user in an hour, and so in a millisecond.
const BYTES: u64 = 100 << 20;
const RATE: u64 = BYTES / 3_600_000;
/// How many users are remembered at most.
const MOST_KNOWN: usize = 1_000;

#[derive(Default)]
pub struct Askers(RefCell<BTreeMap<String, Asker>>);

#[derive(Default)]
struct Asker {
    /// Until when each of the user's fetches counts (ms): it may have been ended.
    fetches: Vec<u64>,
    /// How many bytes were kept, less what time has forgiven, and when that was (ms).
    bytes: u64,
    at: u64,
}

/// That something is fetched for a user, until dropped.
pub struct Place {
    askers: Rc<Askers>,
    asker: String,
    until: u64,
}

impl Askers {
    /// Begins a fetch, which counts until then (ms); `None` if too many go on.
    pub fn begin(self: &Rc<Self>, asker: &str, now: u64, until: u64) -> Option<Place> {
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST_KNOWN && !known.contains_key(asker) {
            known.retain(|_, asker| !asker.fetches.is_empty() || asker.bytes(now) > 0);
        }
        if known.len() >= MOST_KNOWN && !known.contains_key(asker) {
            known.clear();
        }
        let fetches = &mut known.entry(asker.to_owned()).or_default().fetches;
        fetches.retain(|until| *until > now);
        if fetches.len() >= MOST {
            return None;
        }
        fetches.push(until);
        Some(Place { askers: Rc::clone(self), asker: asker.to_owned(), until })
    }

    /// How long a user has to wait until images are kept again (ms); none if they are.
    pub fn spent(&self, asker: &str, now: u64) -> Option<u64> {
        let known = self.0.borrow();
        let over = known.get(asker)?.bytes(now).checked_sub(BYTES)?;
        Some(over.saturating_add(1).div_ceil(RATE))
    }

    /// Counts an image that was kept for a user.
    pub fn spend(&self, asker: &str, bytes: u64, now: u64) {
        let mut known = self.0.borrow_mut();
        let asker = known.entry(asker.to_owned()).or_default();
        (asker.bytes, asker.at) = (asker.bytes(now).saturating_add(bytes), now);
    }
}

impl Asker {
    fn bytes(&self, now: u64) -> u64 {
        let forgiven = now.saturating_sub(self.at).saturating_mul(RATE);
        self.bytes.saturating_sub(forgiven)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.askers.0.borrow_mut();
        let Some(asker) = known.get_mut(&self.asker) else { return };
        if let Some(place) = asker.fetches.iter().position(|until| *until == self.until) {
            asker.fetches.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fetches_of_a_user_go_on_at_once() {
        let askers = Rc::new(Askers::default());
        let first = askers.begin("alice", 0, 10);
        let second = askers.begin("alice", 0, 20);
        assert!(first.is_some() && second.is_some());
        assert!(askers.begin("alice", 5, 25).is_none());
        assert!(askers.begin("bob", 5, 25).is_some());
        drop(second);
        assert!(askers.begin("alice", 5, 25).is_some());
        // One that was ended without a word does not count for ever.
        std::mem::forget(first);
        std::mem::forget(askers.begin("alice", 5, 25));
        assert!(askers.begin("alice", 5, 25).is_none());
        assert!(askers.begin("alice", 10, 25).is_some());
    }

    #[test]
    fn what_a_user_has_kept_is_forgiven_with_time() {
        let askers = Rc::new(Askers::default());
        askers.spend("alice", BYTES - 1, 0);
        assert_eq!(askers.spent("alice", 0), None);
        askers.spend("alice", 10 << 20, 0);
        let wait = askers.spent("alice", 0).unwrap();
        assert!((300_000..400_000).contains(&wait), "{wait}");
        assert!(askers.spent("alice", wait / 2).is_some());
        assert_eq!((askers.spent("alice", wait), askers.spent("bob", 0)), (None, None));
    }

    #[test]
    fn users_are_forgotten_who_have_nothing_going_on() {
        let askers = Rc::new(Askers::default());
        askers.spend("alice", BYTES, 0);
        for place in 0..2 * MOST_KNOWN {
            drop(askers.begin(&place.to_string(), 0, 10));
        }
        assert!(askers.0.borrow().len() <= MOST_KNOWN);
        assert!(askers.spent("alice", 0).is_some());
    }
}
