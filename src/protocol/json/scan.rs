//! Can this text be given to a recursive parser without harm?
//! ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json))

use super::{JsonFault, MAX_BODY_DEPTH};

/// Checks, in one pass without recursion, what a parser would miss or not survive: the encoding, a
/// byte order mark, the depth, lone surrogates. The structure is left to the parser.
pub fn scan(bytes: &[u8]) -> Result<&str, JsonFault> {
    let text = text(bytes)?;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_BODY_DEPTH {
                    return Err(too_deep(MAX_BODY_DEPTH));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(text)
}

/// The text of these bytes: UTF-8, not empty, without a byte order mark.
pub fn text(bytes: &[u8]) -> Result<&str, JsonFault> {
    let text = str::from_utf8(bytes).map_err(|error| not_json(&error.to_string()))?;
    if text.starts_with('\u{feff}') {
        return Err(not_json("it begins with a byte order mark"));
    }
    if text.is_empty() {
        return Err(not_json("it is empty"));
    }
    Ok(text)
}

/// The position after the string that begins before `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Result<usize, JsonFault> {
    loop {
        match bytes.get(at) {
            None => return Err(not_json("a string does not end")),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') if bytes.get(at + 1) == Some(&b'u') => at = unicode_escape(bytes, at)?.1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The character of the `\uXXXX` (or pair of them) at `at`, and the position after it.
pub(super) fn unicode_escape(bytes: &[u8], at: usize) -> Result<(char, usize), JsonFault> {
    let first = code_unit(bytes, at)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, at + 6));
    }
    let second = if first < 0xDC00 { code_unit(bytes, at + 6).unwrap_or(0) } else { 0 };
    if !(0xDC00..0xE000).contains(&second) {
        return Err(JsonFault::BadJson("a lone surrogate is no character".to_owned()));
    }
    let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    match char::from_u32(code) {
        Some(character) => Ok((character, at + 12)),
        None => Err(not_json("an escape is no character")),
    }
}

fn code_unit(bytes: &[u8], at: usize) -> Result<u32, JsonFault> {
    let escape = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"));
    let digits = escape.and_then(|escape| str::from_utf8(escape.get(2..)?).ok());
    digits
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| not_json("an escape is malformed"))
}

pub(super) fn too_deep(bound: usize) -> JsonFault {
    JsonFault::BadJson(format!("it is nested deeper than {bound} levels"))
}

pub(super) fn not_json(reason: &str) -> JsonFault {
    JsonFault::NotJson(reason.to_owned())
}
