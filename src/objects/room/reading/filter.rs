//! Which events does a client's filter let through?
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use serde_json::value::RawValue;
use tombolo_protocol::{
    event::{Relation, field},
    glob::matches_type,
};

use crate::objects::room::{graph::events::Stored, messages::EventFilter};

impl EventFilter {
    /// Whether an event passes.
    pub fn lets_through(&self, event: &Stored) -> bool {
        let pdu = &event.pdu;
        self.passes(pdu.kind(), &pdu.content)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(&pdu.sender))
            && !self.not_senders.contains(&pdu.sender)
            && self.passes_relation(&pdu.content)
            && (pdu.is_state() || !self.ignored.contains(&pdu.sender))
    }

    /// Whether anything of this type may pass.
    pub fn passes_type(&self, kind: &str) -> bool {
        let matches = |pattern: &String| matches_type(pattern, kind);
        self.types.as_ref().is_none_or(|types| types.iter().any(matches))
            && !self.not_types.iter().any(matches)
    }

    /// Whether something of this content passes, by how it relates to another event.
    fn passes_relation(&self, content: &RawValue) -> bool {
        if self.rel_types.is_none() && self.not_rel_types.is_empty() {
            return true;
        }
        let rel_type = Relation::of(content).map(|relation| relation.rel_type);
        let is_in = |types: &Vec<String>| rel_type.as_ref().is_some_and(|own| types.contains(own));
        self.rel_types.as_ref().is_none_or(is_in) && !is_in(&self.not_rel_types)
    }

    /// Whether something of this type and content passes, whoever it is from.
    pub fn passes(&self, kind: &str, content: &RawValue) -> bool {
        let has_url = || field(content, "url").is_some_and(|url| url.get().starts_with('"'));
        self.passes_type(kind) && self.contains_url.is_none_or(|wanted| wanted == has_url())
    }
}
