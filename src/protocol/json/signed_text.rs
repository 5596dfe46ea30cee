//! What is the text that the sender of any JSON has signed, however deep it is nested?
//! ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json))
//!
//! The text is read into a tape and written from it, both without recursion: an event in a request that is nested too
//! deep to be read costs only itself, and yet the signature of the request covers it.

use super::{
    JsonFault, MAX_SIGNED_DEPTH, MAX_SIGNED_VALUES,
    scan::{not_json, too_deep},
    tokens::{Scalar, Tokens},
};
use crate::canonical_json::write_string;

/// The canonical text of a value: sorted and compact, floats as they are.
pub(super) fn write(text: &str) -> Result<String, JsonFault> {
    let mut tape = Tape::default();
    tape.read(text)?;
    Ok(tape.written())
}

/// Values in the order of the text; a container comes before what it holds.
#[derive(Default)]
struct Tape {
    items: Vec<Item>,
    /// What strings say, and how other scalars are written.
    texts: String,
}

#[derive(Clone, Copy)]
enum Item {
    String(Span),
    Scalar(Span),
    /// What it holds ends before this item.
    Array(u32),
    /// The same; keys and values take turns.
    Object(u32),
}

/// Where in the texts.
#[derive(Clone, Copy)]
struct Span(u32, u32);

/// A container that is being written.
enum Open {
    /// The next item, and where it ends.
    Array(usize, usize),
    /// The members that are left, the last first: key and value.
    Object(Vec<(usize, usize)>),
}

impl Tape {
    fn read(&mut self, text: &str) -> Result<(), JsonFault> {
        let mut tokens = Tokens::of(text);
        let mut open: Vec<usize> = Vec::new();
        tokens.skip_space();
        loop {
            let opens = self.value(&mut tokens)?;
            if opens {
                if open.len() >= MAX_SIGNED_DEPTH {
                    return Err(too_deep(MAX_SIGNED_DEPTH));
                }
                let container = self.items.len() - 1;
                open.push(container);
                self.key(container, &mut tokens)?;
                continue;
            }
            loop {
                let Some(container) = open.last().copied() else { return tokens.end() };
                tokens.skip_space();
                if tokens.take(b',') {
                    tokens.skip_space();
                    self.key(container, &mut tokens)?;
                    break;
                }
                let end = u32::try_from(self.items.len()).map_err(|_| too_much())?;
                match self.items.get_mut(container) {
                    Some(Item::Array(at)) if tokens.take(b']') => *at = end,
                    Some(Item::Object(at)) if tokens.take(b'}') => *at = end,
                    _ => return Err(not_json("a list or object is malformed")),
                }
                open.pop();
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container and answers so.
    fn value(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, JsonFault> {
        let end = u32::try_from(self.items.len() + 1).map_err(|_| too_much())?;
        let (item, closing) = if tokens.take(b'{') {
            (Item::Object(end), b'}')
        } else if tokens.take(b'[') {
            (Item::Array(end), b']')
        } else {
            let scalar = self.scalar(tokens)?;
            self.hold(scalar)?;
            return Ok(false);
        };
        self.hold(item)?;
        tokens.skip_space();
        Ok(!tokens.take(closing))
    }

    fn scalar(&mut self, tokens: &mut Tokens<'_>) -> Result<Item, JsonFault> {
        if tokens.peek() == Some(b'"') {
            let string = tokens.string()?;
            return Ok(Item::String(self.note(&string)?));
        }
        Ok(Item::Scalar(match tokens.scalar()? {
            Scalar::Word(word) => self.note(word)?,
            Scalar::Number(number) => self.note(&written(number)?)?,
        }))
    }

    /// Reads the key of the next member, if the container has keys.
    fn key(&mut self, container: usize, tokens: &mut Tokens<'_>) -> Result<(), JsonFault> {
        if let Some(Item::Object(_)) = self.items.get(container) {
            let key = tokens.key()?;
            let span = self.note(&key)?;
            self.hold(Item::String(span))?;
        }
        Ok(())
    }

    fn hold(&mut self, item: Item) -> Result<(), JsonFault> {
        if self.items.len() >= MAX_SIGNED_VALUES {
            return Err(too_much());
        }
        self.items.push(item);
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<Span, JsonFault> {
        let begin = self.texts.len();
        self.texts.push_str(text);
        let number = |at: usize| u32::try_from(at).map_err(|_| too_much());
        Ok(Span(number(begin)?, number(self.texts.len())?))
    }

    fn text(&self, Span(begin, end): Span) -> &str {
        self.texts.get(begin as usize..end as usize).unwrap_or_default()
    }

    fn written(&self) -> String {
        let mut text = String::with_capacity(self.texts.len() + 4 * self.items.len());
        let mut open: Vec<Open> = Vec::new();
        self.begin(0, &mut text, &mut open);
        while let Some(container) = open.last_mut() {
            let next = match container {
                Open::Array(at, end) if *at < *end => {
                    let item = *at;
                    *at = self.after(item);
                    separate(&mut text, '[');
                    item
                }
                Open::Object(members) if !members.is_empty() => {
                    let (key, value) = members.pop().unwrap_or_default();
                    separate(&mut text, '{');
                    write_string(&mut text, self.string(key));
                    text.push(':');
                    value
                }
                Open::Array(..) | Open::Object(_) => {
                    text.push(if matches!(container, Open::Array(..)) { ']' } else { '}' });
                    open.pop();
                    continue;
                }
            };
            self.begin(next, &mut text, &mut open);
        }
        text
    }

    /// Writes a scalar, or opens a container.
    fn begin(&self, item: usize, text: &mut String, open: &mut Vec<Open>) {
        match self.items.get(item) {
            Some(Item::String(span)) => write_string(text, self.text(*span)),
            Some(Item::Scalar(span)) => text.push_str(self.text(*span)),
            Some(Item::Array(end)) => {
                text.push('[');
                open.push(Open::Array(item + 1, *end as usize));
            }
            Some(Item::Object(end)) => {
                text.push('{');
                open.push(Open::Object(self.members(item + 1, *end as usize)));
            }
            None => {}
        }
    }

    /// The members of an object, sorted by their keys, the last first. Of two of one key the later one counts.
    fn members(&self, mut at: usize, end: usize) -> Vec<(usize, usize)> {
        let mut members = Vec::new();
        while at < end {
            members.push((at, at + 1));
            at = self.after(at + 1);
        }
        members.reverse();
        members.sort_by(|(one, _), (other, _)| self.string(*other).cmp(self.string(*one)));
        members.dedup_by(|(later, _), (first, _)| self.string(*later) == self.string(*first));
        members
    }

    fn string(&self, item: usize) -> &str {
        match self.items.get(item) {
            Some(Item::String(span)) => self.text(*span),
            _ => "",
        }
    }

    /// The item after this one and what it holds.
    fn after(&self, item: usize) -> usize {
        match self.items.get(item) {
            Some(Item::Array(end) | Item::Object(end)) => *end as usize,
            _ => item + 1,
        }
    }
}

fn separate(text: &mut String, opening: char) {
    if !text.ends_with(opening) {
        text.push(',');
    }
}

/// How a number is written by those who sign it.
fn written(number: &str) -> Result<String, JsonFault> {
    let number = serde_json::from_str::<serde_json::Number>(number);
    number.map(|number| number.to_string()).map_err(|error| not_json(&error.to_string()))
}

fn too_much() -> JsonFault {
    JsonFault::BadJson("it is too large".to_owned())
}
