//! What does this text say, if it is an object that canonical JSON can express?
//! ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json))
//!
//! The parser keeps its own stack, so the depth of the input costs no stack of ours.

use std::mem;

use ruma::Int;

use super::{
    JsonFault, MAX_DEPTH,
    scan::{not_json, too_deep, unicode_escape},
};
use crate::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

/// Reads `text`, which must be one object and nothing else.
pub(super) fn parse(text: &str) -> Result<CanonicalJsonObject, JsonFault> {
    let mut parser = Parser { text, at: 0, open: Vec::new() };
    parser.skip_space();
    let value = parser.value()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(not_json("something follows the value"));
    }
    match value {
        CanonicalJsonValue::Object(object) => Ok(object),
        _ => Err(JsonFault::BadJson("it is not an object".to_owned())),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// The containers that have begun and not ended, outermost first.
    open: Vec<Container>,
}

enum Container {
    Array(Vec<CanonicalJsonValue>),
    /// The members so far, and the key whose value comes next.
    Object(CanonicalJsonObject, String),
}

impl Parser<'_> {
    fn value(&mut self) -> Result<CanonicalJsonValue, JsonFault> {
        loop {
            let Some(value) = self.begin()? else { continue };
            if let Some(whole) = self.end(value)? {
                return Ok(whole);
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container and returns nothing.
    fn begin(&mut self) -> Result<Option<CanonicalJsonValue>, JsonFault> {
        let value = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.skip_space();
                if !self.take(b'}') {
                    let key = self.key()?;
                    self.push(Container::Object(CanonicalJsonObject::new(), key))?;
                    return Ok(None);
                }
                CanonicalJsonValue::Object(CanonicalJsonObject::new())
            }
            Some(b'[') => {
                self.at += 1;
                self.skip_space();
                if !self.take(b']') {
                    self.push(Container::Array(Vec::new()))?;
                    return Ok(None);
                }
                CanonicalJsonValue::Array(Vec::new())
            }
            Some(b'"') => CanonicalJsonValue::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => CanonicalJsonValue::Integer(self.integer()?),
            _ => self.word()?,
        };
        Ok(Some(value))
    }

    /// Puts a value into the container it belongs to, and ends each container that ends here.
    /// Returns the value once it belongs to none.
    fn end(
        &mut self,
        mut value: CanonicalJsonValue,
    ) -> Result<Option<CanonicalJsonValue>, JsonFault> {
        loop {
            let Some(mut container) = self.open.pop() else { return Ok(Some(value)) };
            self.skip_space();
            match &mut container {
                Container::Array(items) => items.push(value),
                Container::Object(members, key) => {
                    members.insert(mem::take(key), value);
                }
            }
            if self.take(b',') {
                self.next_member(container)?;
                return Ok(None);
            }
            value = match container {
                Container::Array(items) if self.take(b']') => CanonicalJsonValue::Array(items),
                Container::Object(members, _) if self.take(b'}') => {
                    CanonicalJsonValue::Object(members)
                }
                _ => return Err(not_json("a list or object is malformed")),
            };
        }
    }

    /// Goes on in a container after a comma.
    fn next_member(&mut self, mut container: Container) -> Result<(), JsonFault> {
        self.skip_space();
        if let Container::Object(_, key) = &mut container {
            *key = self.key()?;
        }
        self.open.push(container);
        Ok(())
    }

    fn push(&mut self, container: Container) -> Result<(), JsonFault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(MAX_DEPTH));
        }
        self.open.push(container);
        Ok(())
    }

    /// A key, its colon, and the space after it.
    fn key(&mut self) -> Result<String, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(not_json("a key is missing"));
        }
        let key = self.string()?;
        self.skip_space();
        if !self.take(b':') {
            return Err(not_json("a colon is missing"));
        }
        self.skip_space();
        Ok(key)
    }

    fn string(&mut self) -> Result<String, JsonFault> {
        let text = self.text;
        let mut string = String::new();
        self.at += 1;
        loop {
            let rest = text.as_bytes().get(self.at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
                .ok_or_else(|| not_json("a string does not end"))?;
            string.push_str(text.get(self.at..self.at + plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                _ => return Err(not_json("a control character is not escaped")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        let character = match self.text.as_bytes().get(self.at + 1) {
            Some(b'u') => {
                let (character, after) = unicode_escape(self.text.as_bytes(), self.at)?;
                self.at = after;
                return Ok(character);
            }
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(*plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(not_json("an escape is malformed")),
        };
        self.at += 2;
        Ok(character)
    }

    fn integer(&mut self) -> Result<Int, JsonFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let number = rest.get(..length).unwrap_or_default();
        self.at += length;
        let digits = number.strip_prefix('-').unwrap_or(number);
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') && !is_float(digits) {
            return Err(not_json("a number is malformed"));
        }
        if is_float(digits) || number == "-0" {
            return Err(JsonFault::BadJson(format!("{number:.40} is not a canonical integer")));
        }
        let integer = number.parse::<i64>().ok().and_then(|number| Int::try_from(number).ok());
        integer.ok_or_else(|| JsonFault::BadJson(format!("{number:.40} is out of range")))
    }

    fn word(&mut self) -> Result<CanonicalJsonValue, JsonFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (word, value) = if rest.starts_with("true") {
            ("true", CanonicalJsonValue::Bool(true))
        } else if rest.starts_with("false") {
            ("false", CanonicalJsonValue::Bool(false))
        } else if rest.starts_with("null") {
            ("null", CanonicalJsonValue::Null)
        } else {
            return Err(not_json("a value is missing"));
        };
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

fn is_float(digits: &str) -> bool {
    digits.contains(['.', 'e', 'E'])
}
