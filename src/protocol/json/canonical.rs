//! What does this text say, if it is an object that canonical JSON can express?
//! ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json))
//!
//! The parser keeps its own stack, so the depth of the input costs no stack of ours.

use std::mem;

use ruma::Int;

use super::{
    JsonFault, MAX_DEPTH,
    scan::{not_json, too_deep},
    tokens::{Scalar, Tokens},
};
use crate::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

/// Reads `text`, which must be one object and nothing else.
pub(super) fn parse(text: &str) -> Result<CanonicalJsonObject, JsonFault> {
    let mut parser = Parser { tokens: Tokens::of(text), open: Vec::new() };
    parser.tokens.skip_space();
    let value = parser.value()?;
    parser.tokens.end()?;
    match value {
        CanonicalJsonValue::Object(object) => Ok(object),
        _ => Err(JsonFault::BadJson("it is not an object".to_owned())),
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
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
        let value = match self.tokens.peek() {
            Some(b'{') => {
                self.tokens.take(b'{');
                self.tokens.skip_space();
                if !self.tokens.take(b'}') {
                    let key = self.tokens.key()?;
                    self.push(Container::Object(CanonicalJsonObject::new(), key))?;
                    return Ok(None);
                }
                CanonicalJsonValue::Object(CanonicalJsonObject::new())
            }
            Some(b'[') => {
                self.tokens.take(b'[');
                self.tokens.skip_space();
                if !self.tokens.take(b']') {
                    self.push(Container::Array(Vec::new()))?;
                    return Ok(None);
                }
                CanonicalJsonValue::Array(Vec::new())
            }
            Some(b'"') => CanonicalJsonValue::String(self.tokens.string()?),
            _ => match self.tokens.scalar()? {
                Scalar::Number(number) => CanonicalJsonValue::Integer(integer(number)?),
                Scalar::Word("null") => CanonicalJsonValue::Null,
                Scalar::Word(word) => CanonicalJsonValue::Bool(word == "true"),
            },
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
            self.tokens.skip_space();
            match &mut container {
                Container::Array(items) => items.push(value),
                Container::Object(members, key) => {
                    members.insert(mem::take(key), value);
                }
            }
            if self.tokens.take(b',') {
                self.next_member(container)?;
                return Ok(None);
            }
            value = match container {
                Container::Array(items) if self.tokens.take(b']') => {
                    CanonicalJsonValue::Array(items)
                }
                Container::Object(members, _) if self.tokens.take(b'}') => {
                    CanonicalJsonValue::Object(members)
                }
                _ => return Err(not_json("a list or object is malformed")),
            };
        }
    }

    /// Goes on in a container after a comma.
    fn next_member(&mut self, mut container: Container) -> Result<(), JsonFault> {
        self.tokens.skip_space();
        if let Container::Object(_, key) = &mut container {
            *key = self.tokens.key()?;
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
}

fn integer(number: &str) -> Result<Int, JsonFault> {
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

fn is_float(digits: &str) -> bool {
    digits.contains(['.', 'e', 'E'])
}
