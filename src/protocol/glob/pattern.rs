//! Does a text match a pattern of a push rule, as a whole or in some of its words?
//! ([push conditions](https://spec.matrix.org/v1.19/client-server-api/#conditions-1))
//!
//! Users give the patterns and strangers the texts, so each character of the text is compared once with each of the
//! pattern, however many `*` there are.

/// A pattern, read once. Case does not count.
#[derive(Debug, Clone)]
pub struct Pattern {
    parts: Vec<Part>,
    /// The text that it stands for, where it has no wildcards: most texts do not have it, which is soon seen.
    literal: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    This(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Pattern {
    /// Reads a pattern, in which `*` stands for any characters and `?` for one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let part = |character| match character {
            '*' => Part::Any,
            '?' => Part::One,
            _ => Part::This(character),
        };
        let pattern = folded(pattern);
        if !pattern.contains(['*', '?']) {
            return Self::literal(&pattern);
        }
        Self { parts: pattern.chars().map(part).collect(), literal: None }
    }

    /// A pattern that stands for a text, and nothing else.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let text = folded(text);
        Self { parts: text.chars().map(Part::This).collect(), literal: Some(text) }
    }

    /// Whether it stands for the whole text, which is [`folded`].
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.literal {
            Some(literal) => literal == text,
            None => self.is_found(text, false),
        }
    }

    /// Whether it stands for some words of the text, which is [`folded`]: where it begins and ends, no letters, digits or
    /// `_` of ASCII stand on both sides.
    #[must_use]
    pub fn matches_words(&self, text: &str) -> bool {
        if self.literal.as_ref().is_some_and(|literal| !text.contains(literal)) {
            return false;
        }
        if self.parts.is_empty() { text.is_empty() } else { self.is_found(text, true) }
    }

    fn is_found(&self, text: &str, by_words: bool) -> bool {
        let end = self.parts.len();
        // How much of the pattern may stand for what was read last.
        let (mut reached, mut next) = (vec![false; end + 1], vec![false; end + 1]);
        let mut before: Option<char> = None;
        for character in text.chars().map(Some).chain([None]) {
            let is_edge = if by_words {
                !(before.is_some_and(is_of_word) && character.is_some_and(is_of_word))
            } else {
                before.is_none()
            };
            reach(&mut reached, 0, is_edge);
            for (at, part) in self.parts.iter().enumerate() {
                let skips = *part == Part::Any && is_reached(&reached, at);
                reach(&mut reached, at + 1, skips);
            }
            let may_end = if by_words { is_edge } else { character.is_none() };
            if may_end && is_reached(&reached, end) {
                return true;
            }
            let Some(character) = character else { break };
            next.fill(false);
            for (at, part) in self.parts.iter().enumerate() {
                let here = is_reached(&reached, at);
                match part {
                    Part::This(this) => reach(&mut next, at + 1, here && *this == character),
                    Part::One => reach(&mut next, at + 1, here),
                    Part::Any => reach(&mut next, at, here),
                }
            }
            (reached, next) = (next, reached);
            before = Some(character);
        }
        false
    }
}

/// A text in which case does not count any more. Each character is still one, so `?` stands for it, and depends on nothing
/// beside it, so a text has what its beginning has: in lower case, İ is two characters, and Σ at the end of a word another.
/// What is not of ASCII does not come to be: it would end words elsewhere.
#[must_use]
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let fold = |character: char| match character.to_lowercase().next() {
        Some('ς') => 'σ',
        Some(lower) if character.is_ascii() || !lower.is_ascii() => lower,
        _ => character,
    };
    text.chars().map(fold).collect()
}

fn is_reached(reached: &[bool], at: usize) -> bool {
    reached.get(at).copied().unwrap_or_default()
}

fn reach(reached: &mut [bool], at: usize, is_so: bool) {
    if let Some(place) = reached.get_mut(at) {
        *place |= is_so;
    }
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
