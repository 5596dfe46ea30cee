//! Which fields of an event does a client want to see?
//! ([`event_fields`](https://spec.matrix.org/v1.19/client-server-api/#filtering),
//! [property paths](https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths))

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::canonical_json::write_string;

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
    #[must_use]
    pub fn shown(&self, event: &RawValue) -> String {
        self.project(event).unwrap_or_else(|| "{}".to_owned())
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
    fn project(&self, value: &RawValue) -> Option<String> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
        let mut text = String::from("{");
        for (name, below) in &self.0 {
            let Some(member) = members.get(name) else { continue };
            let member = match below.0.is_empty() {
                true => Some(member.get().to_owned()),
                false => below.project(member),
            };
            let Some(member) = member else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            write_string(&mut text, name);
            text.push(':');
            text.push_str(&member);
        }
        text.push('}');
        (text.len() > 2).then_some(text)
    }
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
