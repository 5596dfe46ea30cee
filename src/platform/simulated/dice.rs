//! What falls by chance in a simulation? (xoshiro256++, filled by splitmix64.)

use std::cell::Cell;

/// Random values that one seed determines.
pub(super) struct Dice {
    state: Cell<[u64; 4]>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state: Cell::new(state) }
    }

    fn next(&self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.state.get();
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        self.state.set([a, b, c, d.rotate_left(45)]);
        result
    }

    /// A number under `end`; 0 if there is none. The bias is far below what a test could see.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// Whether something with this many chances in a thousand happens. Nothing is drawn for none.
    pub(super) fn per_mille(&self, chances: u32) -> bool {
        chances > 0 && self.below(1000) < u64::from(chances)
    }

    /// Whether something with this many chances in a million happens. Nothing is drawn for none.
    pub(super) fn per_million(&self, chances: u32) -> bool {
        chances > 0 && self.below(1_000_000) < u64::from(chances)
    }

    pub(super) fn bytes(&self) -> [u8; 32] {
        let words: [[u8; 8]; 4] = std::array::from_fn(|_| self.next().to_be_bytes());
        std::array::from_fn(|i| words[i / 8][i % 8])
    }
}
