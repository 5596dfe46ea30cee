//! What stands in a large object, taken apart while it arrives?

use super::JsonFault;

/// One part of an object: a member, or an element of a member that is a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The name of the member.
    pub member: String,
    /// Whether the member is a list of which this is one element.
    pub is_element: bool,
    /// The value. Whether it is JSON is for its reader to find out; of one that is too long, this is the beginning.
    pub text: Vec<u8>,
}

/// Takes an object apart whose text comes in chunks, and holds no more of it than one piece.
pub struct Split {
    most: usize,
    at: At,
    /// The member whose value is read.
    member: String,
    in_list: bool,
    /// What has come of the name or value that is read.
    text: Vec<u8>,
    /// How many lists and objects are open in it.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// What comes next, white space apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Object,
    FirstNameOrEnd,
    Name,
    InName,
    Colon,
    Value,
    FirstElementOrEnd,
    Element,
    InValue,
    CommaOrListEnd,
    CommaOrEnd,
    Nothing,
}

/// What a byte is to the name or value that is read.
enum Byte {
    Within,
    Last,
    After,
}

impl Split {
    /// Names and values of more bytes than this are cut.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            at: At::Object,
            member: String::new(),
            in_list: false,
            text: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// Takes the next chunk; `take` gets the pieces that end in it.
    pub fn push(&mut self, chunk: &[u8], mut take: impl FnMut(Piece)) -> Result<(), JsonFault> {
        for byte in chunk.iter().copied() {
            if matches!(self.at, At::InName | At::InValue) {
                match self.read(byte) {
                    Byte::Within => continue,
                    Byte::Last => {
                        self.end_text(&mut take)?;
                        continue;
                    }
                    Byte::After => self.end_text(&mut take)?,
                }
            }
            self.step(byte)?;
        }
        Ok(())
    }

    /// Whether the object has come to its end.
    pub fn end(self) -> Result<(), JsonFault> {
        if self.at == At::Nothing { Ok(()) } else { Err(unexpected("end")) }
    }

    /// A byte of a name or value.
    fn read(&mut self, byte: u8) -> Byte {
        if !self.in_string && self.depth == 0 && ends_scalar(byte) {
            return Byte::After;
        }
        if self.text.len() < self.most {
            self.text.push(byte);
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth -= 1,
            _ => {}
        }
        let closes = matches!(byte, b'"' | b']' | b'}') && self.depth == 0;
        if closes && !self.in_string { Byte::Last } else { Byte::Within }
    }

    fn end_text(&mut self, take: &mut impl FnMut(Piece)) -> Result<(), JsonFault> {
        let text = std::mem::take(&mut self.text);
        if self.at == At::InName {
            self.member = serde_json::from_slice(&text)
                .map_err(|error| JsonFault::NotJson(error.to_string()))?;
            self.at = At::Colon;
        } else {
            self.at = if self.in_list { At::CommaOrListEnd } else { At::CommaOrEnd };
            take(Piece { member: self.member.clone(), is_element: self.in_list, text });
        }
        Ok(())
    }

    /// A byte between names and values.
    fn step(&mut self, byte: u8) -> Result<(), JsonFault> {
        self.at = match (self.at, byte) {
            (at, b' ' | b'\t' | b'\n' | b'\r') => at,
            (At::Object, b'{') => At::FirstNameOrEnd,
            (At::FirstNameOrEnd | At::CommaOrEnd, b'}') => At::Nothing,
            (At::FirstNameOrEnd | At::Name, b'"') => self.begin(At::InName, byte),
            (At::Colon, b':') => At::Value,
            (At::Value, b'[') => {
                self.in_list = true;
                At::FirstElementOrEnd
            }
            (At::FirstElementOrEnd | At::CommaOrListEnd, b']') => {
                self.in_list = false;
                At::CommaOrEnd
            }
            (At::Value | At::FirstElementOrEnd | At::Element, byte) if !ends_scalar(byte) => {
                self.begin(At::InValue, byte)
            }
            (At::CommaOrListEnd, b',') => At::Element,
            (At::CommaOrEnd, b',') => At::Name,
            (_, byte) => return Err(unexpected(&char::from(byte).escape_default().to_string())),
        };
        Ok(())
    }

    fn begin(&mut self, at: At, byte: u8) -> At {
        self.read(byte);
        at
    }
}

/// Whether a byte stands after a number or a name such as `true`.
fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b']' | b'}')
}

fn unexpected(what: &str) -> JsonFault {
    JsonFault::NotJson(format!("unexpected {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// The pieces of a text that comes in chunks of so many bytes.
    fn split(text: &str, chunk: usize) -> Result<Vec<(String, bool, String)>, JsonFault> {
        let (mut split, mut pieces) = (Split::new(1000), Vec::new());
        for chunk in text.as_bytes().chunks(chunk) {
            split.push(chunk, |piece| {
                let text = String::from_utf8(piece.text).unwrap();
                pieces.push((piece.member, piece.is_element, text));
            })?;
        }
        split.end().map(|()| pieces)
    }

    #[test]
    fn members_and_elements_come_as_serde_json_reads_them() {
        let text = r#" { "a" : [ {"x":[1,"]"]} , "b\"}" ,-1.5e3, [ ] ,true ] , "é\u00e9":{"y":{}},
            "empty" :[], "n": 12 , "s":"\\", "z":null}"#;
        let whole: indexed::Members<'_> = serde_json::from_str(text).unwrap();
        let mut expected = Vec::new();
        for (name, value) in whole.0 {
            match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                Ok(elements) => expected.extend(
                    elements.into_iter().map(|value| (name.clone(), true, value.get().to_owned())),
                ),
                Err(_) => expected.push((name, false, value.get().to_owned())),
            }
        }
        for chunk in 1..=text.len() {
            assert_eq!(split(text, chunk).as_ref(), Ok(&expected), "{chunk}");
        }
    }

    #[test]
    fn what_is_no_whole_object_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":[1,]}",
            "{\"a\":[1",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":\"b\"c}",
            "{\"a\" 1}",
            "{1:1}",
            "{\"a\":]}",
        ] {
            for chunk in [1, 3, 100] {
                assert!(split(text, chunk).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut split = Split::new(4);
        let mut pieces = Vec::new();
        split.push(br#"{"a":["1234567",1]}"#, |piece| pieces.push(piece.text)).unwrap();
        assert_eq!(pieces, [b"\"123".to_vec(), b"1".to_vec()]);
    }

    /// The members of an object in their order.
    mod indexed {
        use serde::{Deserialize, Deserializer, de};

        use super::RawValue;

        pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

        impl<'de> Deserialize<'de> for Members<'de> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_map(Visitor)
            }
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
    }
}
