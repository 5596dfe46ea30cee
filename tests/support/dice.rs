//! What falls by chance in a test? (splitmix64)
//!
//! Not the simulation's own dice: every actor has dice of their own, so that what they do depends on the seed and on
//! what they saw, not on how often others threw meanwhile.

use std::cell::Cell;

/// Random values that a seed and a name determine.
pub struct Dice(Cell<u64>);

impl Dice {
    /// The dice of one actor.
    pub fn new(seed: u64, actor: u64) -> Self {
        let dice = Self(Cell::new(seed ^ actor.wrapping_mul(0xd6e8_feb8_6659_fd93)));
        dice.next();
        dice
    }

    /// Any number.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `end`.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64)).unwrap()
    }

    /// A number of this range, both ends included.
    pub fn between(&self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// Whether something with this many chances in a hundred happens.
    pub fn percent(&self, chances: usize) -> bool {
        self.below(100) < chances
    }

    /// One of several.
    pub fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of several, by weight.
    pub fn weighted<T: Copy>(&self, of: &[(usize, T)]) -> T {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in of {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        of[0].1
    }
}
