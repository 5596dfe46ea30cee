//! How much is fetched for one user? Few pages at once, one image of these, and so many bytes of images in an hour.
//!
//! So nobody takes the room of all others, and nobody fills the server with images that count against no quota. Pages and
//! images have rooms of their own (`media/room.rs`): images that never end keep nobody from what a page says. All this
//! lies in the isolate's memory: a fresh isolate forgives.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// How many fetches of a user go on at once, and how many of them are at an image.
const MOST: usize = 2;
const MOST_IMAGES: usize = 1;
/// How many bytes of images are read for a user in an hour, and so in a millisecond.
const BYTES: u64 = 100 << 20;
const RATE: u64 = BYTES / 3_600_000;
/// How many users are remembered at most.
const MOST_KNOWN: usize = 1_000;

#[derive(Default)]
pub struct Askers(RefCell<BTreeMap<String, Asker>>);

/// What goes on for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Of a page, with its image.
    Visit,
    /// What of that is about the image.
    Image,
}

impl What {
    const fn most(self) -> usize {
        match self {
            Self::Visit => MOST,
            Self::Image => MOST_IMAGES,
        }
    }
}

#[derive(Default)]
struct Asker {
    /// What goes on, and until when each counts (ms): it may have been ended.
    going_on: Vec<(What, u64)>,
    /// How many bytes were read, less what time has forgiven, and when that was (ms).
    bytes: u64,
    at: u64,
}

/// That something is fetched for a user, until dropped.
pub struct Place {
    askers: Rc<Askers>,
    asker: String,
    is: (What, u64),
}

impl Askers {
    /// Begins something, which counts until then (ms); `None` if too much goes on.
    pub fn begin(self: &Rc<Self>, what: What, asker: &str, now: u64, until: u64) -> Option<Place> {
        self.known(asker, now, |known| {
            known.going_on.retain(|(_, until)| *until > now);
            if known.going_on.iter().filter(|(is, _)| *is == what).count() >= what.most() {
                return None;
            }
            let is = (what, until);
            known.going_on.push(is);
            Some(Place { askers: Rc::clone(self), asker: asker.to_owned(), is })
        })
    }

    /// Has something done with what is known of a user. Where too many are, one of whom nothing has to be known is
    /// forgotten, else who has had the least.
    fn known<T>(&self, asker: &str, now: u64, act: impl FnOnce(&mut Asker) -> T) -> T {
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST_KNOWN && !known.contains_key(asker) {
            known.retain(|_, asker| asker.is_busy(now) || asker.bytes(now) > 0);
        }
        while known.len() >= MOST_KNOWN && !known.contains_key(asker) {
            let least =
                known.iter().min_by_key(|(_, asker)| (asker.is_busy(now), asker.bytes(now)));
            let Some(least) = least.map(|(asker, _)| asker.clone()) else { break };
            known.remove(&least);
        }
        act(known.entry(asker.to_owned()).or_default())
    }

    /// How long a user has to wait until images are read again (ms); none if they are.
    pub fn spent(&self, asker: &str, now: u64) -> Option<u64> {
        let known = self.0.borrow();
        let over = known.get(asker)?.bytes(now).checked_sub(BYTES)?;
        Some(over.saturating_add(1).div_ceil(RATE))
    }

    /// Counts what was read of an image for a user, whatever becomes of that.
    pub fn spend(&self, asker: &str, bytes: u64, now: u64) {
        self.known(asker, now, |asker| {
            (asker.bytes, asker.at) = (asker.bytes(now).saturating_add(bytes), now);
        });
    }
}

impl Asker {
    fn is_busy(&self, now: u64) -> bool {
        self.going_on.iter().any(|(_, until)| *until > now)
    }

    fn bytes(&self, now: u64) -> u64 {
        let forgiven = now.saturating_sub(self.at).saturating_mul(RATE);
        self.bytes.saturating_sub(forgiven)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.askers.0.borrow_mut();
        let Some(asker) = known.get_mut(&self.asker) else { return };
        if let Some(place) = asker.going_on.iter().position(|is| *is == self.is) {
            asker.going_on.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fetches_of_a_user_go_on_at_once() {
        let askers = Rc::new(Askers::default());
        let first = askers.begin(What::Visit, "alice", 0, 10);
        let second = askers.begin(What::Visit, "alice", 0, 20);
        assert!(first.is_some() && second.is_some());
        assert!(askers.begin(What::Visit, "alice", 5, 25).is_none());
        assert!(askers.begin(What::Visit, "bob", 5, 25).is_some());
        drop(second);
        assert!(askers.begin(What::Visit, "alice", 5, 25).is_some());
        // One that was ended without a word does not count for ever.
        std::mem::forget(first);
        std::mem::forget(askers.begin(What::Visit, "alice", 5, 25));
        assert!(askers.begin(What::Visit, "alice", 5, 25).is_none());
        assert!(askers.begin(What::Visit, "alice", 10, 25).is_some());
    }

    #[test]
    fn what_was_read_for_a_user_is_forgiven_with_time() {
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
            drop(askers.begin(What::Visit, &place.to_string(), 0, 10));
        }
        assert!(askers.0.borrow().len() <= MOST_KNOWN);
        assert!(askers.spent("alice", 0).is_some());
    }

    #[test]
    fn many_who_had_little_do_not_have_it_forgiven_to_who_had_much() {
        let askers = Rc::new(Askers::default());
        askers.spend("alice", BYTES, 0);
        let bobs = askers.begin(What::Visit, "bob", 0, 10);
        for place in 0..2 * MOST_KNOWN {
            askers.spend(&place.to_string(), 1000, 0);
        }
        assert!(askers.0.borrow().len() <= MOST_KNOWN);
        assert!(askers.spent("alice", 0).is_some());
        assert!(askers.0.borrow().contains_key("bob"));
        drop(bobs);
    }

    #[test]
    fn one_image_of_a_user_is_read_at_once() {
        let askers = Rc::new(Askers::default());
        let begin = |asker| askers.begin(What::Image, asker, 0, 10);
        let first = begin("alice");
        assert!(first.is_some() && begin("alice").is_none() && begin("bob").is_some());
        assert!(askers.begin(What::Visit, "alice", 0, 10).is_some());
        drop(first);
        assert!(begin("alice").is_some());
    }
}
