//! Is this body JSON that every server reads the same way, and what does it say?
//! ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json))
//!
//! [`parse_object`] is for events and whatever else is signed: only what canonical JSON can hold.
//! [`parse_value`] is for all other bodies. Of duplicate keys the last one wins, in both.

mod canonical;
mod scan;
mod signed_text;
mod split;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeMap;

use serde::{
    Deserialize,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;

pub use self::{
    scan::{scan, text},
    split::{Piece, Split},
};
use crate::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

/// How deep objects and lists may be nested in what is signed, such as an event.
///
/// Reading it is iterative, but writing and dropping are not: at this depth they fit into the 1 MB
/// stack of wasm even where no code is optimised.
pub const MAX_DEPTH: usize = 500;

/// How deep they may be nested in a body, which wraps events in a few levels of its own.
pub const MAX_BODY_DEPTH: usize = MAX_DEPTH + 20;

/// How deep they may be nested in a request whose signature covers them, though nobody reads them so deep.
pub const MAX_SIGNED_DEPTH: usize = 5_000;

/// How many values and keys such a request may hold: 2 MB of digits in a list have a million. Each takes 12 bytes of
/// memory, whatever it says.
pub const MAX_SIGNED_VALUES: usize = 1 << 20;

/// How deep an event may be nested that our users send: others read no deeper than about 126 levels.
pub const MAX_DEPTH_SENT: usize = 120;

/// How deep an object may be nested that is passed on inside of something else, such as a message to a device.
pub const MAX_DEPTH_PASSED: usize = 100;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// The text is no JSON at all (`M_NOT_JSON`).
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but says what Matrix does not allow (`M_BAD_JSON`).
    #[error("bad JSON: {0}")]
    BadJson(String),
}

/// Reads a value of any type. It is read as text, as messages between objects are: for each way of reading, a type is
/// compiled once more.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_str(str::from_utf8(bytes).map_err(serde_json::Error::custom)?)
}

/// Reads an object that canonical JSON can express: integers within ±(2^53 − 1) and no `-0`.
pub fn parse_object(bytes: &[u8]) -> Result<CanonicalJsonObject, JsonFault> {
    canonical::parse(scan::text(bytes)?)
}

/// Makes an object of a value read by [`parse_value`], if canonical JSON can express it, so that one bad event in a
/// body costs only itself.
pub fn canonical_object(value: serde_json::Value) -> Result<CanonicalJsonObject, JsonFault> {
    if depth(&value) > MAX_DEPTH {
        return Err(scan::too_deep(MAX_DEPTH));
    }
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(JsonFault::BadJson("it is not an object".to_owned())),
        Err(error) => Err(JsonFault::BadJson(error.to_string())),
    }
}

/// Reads any JSON value, floats included.
pub fn parse_value(bytes: &[u8]) -> Result<serde_json::Value, JsonFault> {
    let text = scan(bytes)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    // The scan has bounded the depth already, at a higher level than serde_json's own limit.
    reader.disable_recursion_limit();
    let not_json = |error: serde_json::Error| JsonFault::NotJson(error.to_string());
    let value = serde_json::Value::deserialize(&mut reader).map_err(not_json)?;
    reader.end().map_err(not_json)?;
    Ok(value)
}

/// Reads a JSON object that can be passed on as it is: every reader takes its depth, its numbers and its texts.
pub fn plain_object(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let object: serde_json::Map<_, _> = serde_json::from_str(text).ok()?;
    let is_plain = object.values().map(depth).max() < Some(MAX_DEPTH_PASSED);
    is_plain.then_some(object)
}

/// An object whose values are parsed one by one, so that one that cannot be read does not spoil the others.
pub type ByKey = BTreeMap<String, Box<RawValue>>;

/// The members of an object; anything else has none.
#[must_use]
pub fn members(value: Option<&RawValue>) -> ByKey {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

/// The text that the sender of any JSON value has signed: sorted and compact, floats as they are. Of a value that
/// [`parse_value`] reads it is what [`crate::canonical_json::loose_to_string`] writes.
pub fn signed_text(bytes: &[u8]) -> Result<String, JsonFault> {
    signed_text::write(scan::text(bytes)?)
}

fn depth(value: &serde_json::Value) -> usize {
    let inner = match value {
        serde_json::Value::Array(items) => items.iter().map(depth).max(),
        serde_json::Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    inner.unwrap_or(0) + 1
}
