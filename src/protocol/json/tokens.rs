//! Which token of a JSON text comes next?

use super::{
    JsonFault,
    scan::{not_json, unicode_escape},
};

/// A text, and how far it was read.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is no container, as it is written.
pub(super) enum Scalar<'a> {
    /// Digits, and what else a number may be written with; whether it is a number is not checked.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'static str),
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Checks that nothing follows but space.
    pub(super) fn end(&mut self) -> Result<(), JsonFault> {
        self.skip_space();
        if self.at < self.text.len() {
            return Err(not_json("something follows the value"));
        }
        Ok(())
    }

    /// A number or a word.
    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, JsonFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            let belongs = |byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let length = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
            self.at += length;
            return Ok(Scalar::Number(rest.get(..length).unwrap_or_default()));
        }
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
        let word = word.ok_or_else(|| not_json("a value is missing"))?;
        self.at += word.len();
        Ok(Scalar::Word(word))
    }

    /// A key, its colon, and the space after it.
    pub(super) fn key(&mut self) -> Result<String, JsonFault> {
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

    pub(super) fn string(&mut self) -> Result<String, JsonFault> {
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

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}
