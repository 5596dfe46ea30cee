//! What does a client's filter say of a type and a content, whoever these are from?
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use serde_json::value::RawValue;
use tombolo_protocol::{event::field, glob::matches_type};

use crate::objects::room::messages::EventFilter;

impl EventFilter {
    /// Whether anything of this type may pass.
    pub fn passes_type(&self, kind: &str) -> bool {
        let matches = |pattern: &String| matches_type(pattern, kind);
        self.types.as_ref().is_none_or(|types| types.iter().any(matches))
            && !self.not_types.iter().any(matches)
    }

    /// Whether something of this type and content passes, whoever it is from.
    pub fn passes_content(&self, kind: &str, content: &RawValue) -> bool {
        let has_url = || field(content, "url").is_some_and(|url| url.get().starts_with('"'));
        self.passes_type(kind) && self.contains_url.is_none_or(|wanted| wanted == has_url())
    }
}
