//! Which fields of an event does a client want to see?
//! ([`event_fields`](https://spec.matrix.org/v1.19/client-server-api/#filtering),
//! [property paths](https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths))

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// How many properties a path may name; a longer one means all that is there. A server may show more than was asked.
const MAX_STEPS: usize = 20;

/// Some fields of events.
#[derive(Debug, Clone, Default)]
pub struct Projection(BTreeMap<String, Self>);

impl Projection {
    /// The fields at these paths.
    #[must_use]
    pub fn of(paths: &[String]) -> Self {
        let mut whole = Self::default();
        for path in paths {
            whole.add(&steps(path));
        }
        whole
    }

    /// The event with these fields alone.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn shown(&self, event: &RawValue) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(&self.project(event).unwrap_or_default())
    }

    /// A path that goes no further asks for everything below it.
    fn add(&mut self, path: &[String]) {
        let Some((step, rest)) = path.split_first() else { return self.0.clear() };
        let is_new = !self.0.contains_key(step);
        let below = self.0.entry(step.clone()).or_default();
        if is_new || !below.0.is_empty() {
            below.add(rest);
        }
    }

    /// What is left of a value; `None` where it has none of the fields.
    fn project<'a>(&'a self, value: &'a RawValue) -> Option<BTreeMap<&'a str, Shown<'a>>> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
        let shown = |(name, below): (&'a String, &'a Self)| {
            let member = *members.get(name)?;
            let member = match below.0.is_empty() {
                true => Shown::Whole(member),
                false => Shown::Part(below.project(member)?),
            };
            Some((name.as_str(), member))
        };
        let members: BTreeMap<_, _> = self.0.iter().filter_map(shown).collect();
        Some(members).filter(|members| !members.is_empty())
    }
}

/// What is left of a member.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Whole(&'a RawValue),
    Part(BTreeMap<&'a str, Self>),
}

/// The properties a path names, one below the other. A dot that is part of a name has a backslash before it.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut letters) = (vec![String::new()], path.chars().peekable());
    while let Some(letter) = letters.next() {
        let escaped = letters.next_if(|next| letter == '\\' && matches!(next, '.' | '\\'));
        match (letter, escaped) {
            ('.', None) if steps.len() == MAX_STEPS => break,
            ('.', None) => steps.push(String::new()),
            (letter, escaped) => {
                if let Some(step) = steps.last_mut() {
                    step.push(escaped.unwrap_or(letter));
                }
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Projection;

    #[test]
    fn a_projection_keeps_the_fields_at_its_paths() {
        let event = json!({
            "type": "m.room.message",
            "content": { "body": "x", "msgtype": "m.text", "m.relates_to": { "rel_type": "m.thread" } },
            "sender": "@alice:example.org",
        });
        let shown = |paths: &[&str]| -> Value {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            let event = serde_json::value::to_raw_value(&event).unwrap();
            serde_json::from_str(Projection::of(&paths).shown(&event).unwrap().get()).unwrap()
        };
        assert_eq!(
            shown(&["type", "content.body"]),
            json!({ "type": "m.room.message", "content": { "body": "x" } })
        );
        assert_eq!(
            shown(&["content.m\\.relates_to.rel_type"]),
            json!({ "content": { "m.relates_to": { "rel_type": "m.thread" } } })
        );
        for whole in [["content", "content.body"], ["content.body", "content"]] {
            assert_eq!(shown(&whole), json!({ "content": event["content"] }));
        }
        assert_eq!(shown(&["content.none", "sender.x", "none", ""]), json!({}));
        assert_eq!(shown(&[&"a.".repeat(100_000)]), json!({}));
    }

    #[test]
    fn a_projection_shows_what_it_keeps_as_it_stands() {
        let text = r#"{"content":{"a\"b":[1.50, {"deep":null}],"c":"\u00e9"},"type":"x"}"#;
        let event = serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let paths = ["content.a\"b", "content.c", "none"].map(str::to_owned);
        assert_eq!(
            Projection::of(&paths).shown(&event).unwrap().get(),
            r#"{"content":{"a\"b":[1.50, {"deep":null}],"c":"\u00e9"}}"#
        );
    }
}
