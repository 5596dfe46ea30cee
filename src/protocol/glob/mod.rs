//! Does a pattern match a name, in time linear in the pattern?
//! ([glob-style matching](https://spec.matrix.org/v1.19/appendices/#glob-style-matching))
//!
//! Patterns come from strangers, so no pattern may be slow. The set of positions at which the
//! pattern read so far could end in the name is one bit each in four words; each character of the
//! pattern is a few operations on them.
//!
//! Filters have patterns of their own, in which only `*` is special and case counts: [`matches_type`]. Push rules look
//! for theirs in longer texts: [`Pattern`].

mod pattern;
#[cfg(test)]
mod tests;

pub use self::pattern::{Pattern, folded};

/// The longest name that can be matched, in bytes.
pub const MAX_NAME: usize = 255;

/// A name, prepared to be matched with many patterns, without regard to case.
#[derive(Debug, Clone)]
pub struct Subject {
    /// For each ASCII character, the positions at which it stands.
    positions: Box<[Bits; 128]>,
    length: usize,
}

impl Subject {
    /// Prepares a name of ASCII; there is none where it is longer than [`MAX_NAME`].
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.len() > MAX_NAME || !name.is_ascii() {
            return None;
        }
        let mut positions = Box::new([Bits::default(); 128]);
        for (at, byte) in name.bytes().enumerate() {
            if let Some(bits) = positions.get_mut(usize::from(byte.to_ascii_lowercase())) {
                bits.set(at);
            }
        }
        Some(Self { positions, length: name.len() })
    }

    /// Whether the pattern matches the whole name.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        let mut ends = Bits::default();
        ends.set(0);
        for character in pattern.chars() {
            ends = match character {
                '*' => ends.filled_up(),
                '?' => ends.shifted(),
                _ => ends.and(self.positions_of(character)).shifted(),
            };
            if ends.is_empty() {
                return false;
            }
        }
        ends.has(self.length)
    }

    fn positions_of(&self, character: char) -> Bits {
        let code = u8::try_from(character.to_ascii_lowercase()).unwrap_or(u8::MAX);
        self.positions.get(usize::from(code)).copied().unwrap_or_default()
    }
}

/// Whether a filter's pattern, in which `*` stands for any characters, matches the whole type of an event
/// ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering)).
#[must_use]
pub fn matches_type(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = kind.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// The positions 0 to 255. What is shifted out of them lies behind the longest name.
#[derive(Debug, Clone, Copy, Default)]
struct Bits([u64; 4]);

impl Bits {
    fn set(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn has(self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    fn and(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a & e, b & f, c & g, d & h])
    }

    /// Every position one further.
    fn shifted(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([a << 1, b << 1 | a >> 63, c << 1 | b >> 63, d << 1 | c >> 63])
    }

    /// Every position from the first on.
    fn filled_up(self) -> Self {
        let mut found = false;
        Self(self.0.map(|word| {
            let filled = match (found, word) {
                (true, _) => u64::MAX,
                (false, 0) => 0,
                (false, word) => u64::MAX << word.trailing_zeros(),
            };
            found |= word != 0;
            filled
        }))
    }
}
