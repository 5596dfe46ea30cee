//! What time is it, and how did the dice fall, for the one message an object answers?

use std::cell::Cell;

use sha2::{Digest, Sha256};

/// The host's clock and dice, fixed for one message so that answering is a function of its input.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    /// What the random values of this message are derived from.
    pub seed: [u8; 32],
    drawn: Cell<u64>,
}

impl Moment {
    /// The moment at this time with these dice.
    pub fn new(now: u64, seed: [u8; 32]) -> Self {
        Self { now, seed, drawn: Cell::new(0) }
    }

    /// The next 32 random bytes; every call gives others.
    pub fn draw(&self) -> [u8; 32] {
        let count = self.drawn.get();
        self.drawn.set(count + 1);
        Sha256::new().chain_update(self.seed).chain_update(count.to_be_bytes()).finalize().into()
    }
}
