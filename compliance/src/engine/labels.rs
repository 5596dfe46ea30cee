//! Which containers, images and networks are asked for? Complement knows its own by their labels.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What something is labelled with.
pub type Labels = BTreeMap<String, String>;

/// The `filters` of a list.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    /// `key` or `key=value`; the value of each entry says nothing.
    #[serde(default)]
    label: BTreeMap<String, bool>,
}

impl Filter {
    /// Reads `{"label": {"key=value": true}}`; no text admits everything.
    pub fn parse(text: Option<&str>) -> serde_json::Result<Self> {
        text.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// Whether every label that is asked for is there.
    pub fn admits(&self, labels: &Labels) -> bool {
        self.label.keys().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        })
    }
}

/// The label that a change to an image sets: `LABEL "key"="value"`, with `\"` and `\\` for the characters themselves.
/// Any other backslash stands for itself: registrations of appservices carry `\n` and are put right by Complement.
pub fn set_by(change: &str) -> Option<(String, String)> {
    let (key, rest) = quoted(change.trim().strip_prefix("LABEL")?.trim_start())?;
    let (value, rest) = quoted(rest.strip_prefix('=')?)?;
    rest.trim().is_empty().then_some((key, value))
}

/// A quoted text and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut content = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((content, &text[place + 1..])),
            '\\' => {
                let escaped = letters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                content.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            other => content.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let pairs = [("complement_context", "fed.hs1"), ("complement_pkg", "fed")];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn admits(filter: &str) -> bool {
        Filter::parse(Some(filter)).unwrap().admits(&labels())
    }

    #[test]
    fn all_labels_must_match() {
        assert!(admits(r#"{"label": {"complement_pkg=fed": true, "complement_context": true}}"#));
        assert!(!admits(r#"{"label": {"complement_pkg=fed": true, "other": true}}"#));
        assert!(!admits(r#"{"label": {"complement_pkg=csapi": true}}"#));
    }

    #[test]
    fn no_filter_admits_everything() {
        assert!(Filter::parse(None).unwrap().admits(&labels()));
        assert!(admits("{}"));
    }

    #[test]
    fn a_change_sets_one_label() {
        let set = |change| set_by(change).unwrap();
        assert_eq!(
            set(r#"LABEL "access_token_@a:hs1"="x=y""#),
            ("access_token_@a:hs1".to_owned(), "x=y".to_owned())
        );
        assert_eq!(set(r#"LABEL "as"="id: a\nurl: 'u'""#).1, r"id: a\nurl: 'u'");
        assert_eq!(set(r#"LABEL "k"="a \"b\" \\ c""#).1, r#"a "b" \ c"#);
    }

    #[test]
    fn what_sets_no_label_is_none() {
        assert_eq!(set_by(r#"ENV "a"="b""#), None);
        assert_eq!(set_by(r#"LABEL "a""#), None);
        assert_eq!(set_by(r#"LABEL "a"="b"#), None);
    }
}
