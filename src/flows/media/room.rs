//! How many bytes of media does an isolate hold at once?
//!
//! A Worker has 128 MB, and many requests run in it. Decoding takes most of it, one picture at a time; beside it there is
//! room for a file that is decoded, for a few contents that are written, and for a few pages and fewer images that are
//! fetched for previews. None of these takes the room of another.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tombolo_platform::{PART, World};

use super::picture::MAX_SOURCE;

/// Who was not heard of for longer has been ended (ms).
pub const STALE: u64 = 60_000;
/// How often it is looked whether there is room, how long that is done, and when to try again after that (ms).
const LOOK: u64 = 50;
const PATIENCE: u64 = 30_000;
pub const LATER: u64 = 10_000;

/// What the bytes are held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file that a thumbnail is made of.
    Thumbnail,
    /// A content that is written to R2.
    Writing,
    /// A page that is fetched for a preview.
    Page,
    /// An image that is.
    Image,
}

impl Purpose {
    /// How many bytes are held for it at once.
    const fn most(self) -> usize {
        match self {
            Self::Thumbnail => MAX_SOURCE,
            // Three whole parts, and small contents beside them.
            Self::Writing => 4 * PART - 1,
            Self::Page => 8 << 20,
            Self::Image => 6 << 20,
        }
    }
}

/// What this isolate holds.
#[derive(Default)]
struct Held {
    places: RefCell<Vec<Place>>,
    next: Cell<u64>,
}

struct Place {
    number: u64,
    purpose: Purpose,
    bytes: usize,
    /// When it was last heard of (ms).
    at: u64,
}

/// Room in the isolate's memory, until dropped.
pub struct Room(Rc<Held>, u64);

impl Room {
    /// Waits for room for so many bytes; `None` if that takes too long.
    pub async fn of(world: &World, purpose: Purpose, bytes: usize) -> Option<Self> {
        let held = world.isolate(|_| Held::default());
        let until = world.now().saturating_add(PATIENCE);
        loop {
            let now = world.now();
            // A request that was ended drops nothing.
            held.places.borrow_mut().retain(|place| place.at.saturating_add(STALE) > now);
            let taken = held.taken(purpose);
            if taken == 0 || taken.saturating_add(bytes) <= purpose.most() {
                let number = held.next.get();
                held.next.set(number + 1);
                held.places.borrow_mut().push(Place { number, purpose, bytes, at: now });
                return Some(Self(held, number));
            }
            if now >= until {
                return None;
            }
            world.sleep(Duration::from_millis(LOOK)).await;
        }
    }

    /// Notes that it is still needed.
    pub fn touch(&self, now: u64) {
        let mut places = self.0.places.borrow_mut();
        if let Some(place) = places.iter_mut().find(|place| place.number == self.1) {
            place.at = now;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.places.borrow_mut().retain(|place| place.number != self.1);
    }
}

impl Held {
    fn taken(&self, purpose: Purpose) -> usize {
        let places = self.places.borrow();
        places.iter().filter(|place| place.purpose == purpose).map(|place| place.bytes).sum()
    }
}
