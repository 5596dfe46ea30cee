//! Which events does a client's filter let through, also by what relates to them?
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::event::Relation;

use crate::objects::room::{
    Result, Room,
    graph::events::Stored,
    messages::{EventFilter, Position},
};

/// A filter, made ready for many events.
pub struct Sieve<'a> {
    filter: &'a EventFilter,
    related: Option<RelatedBy>,
}

/// What has to relate to an event. The lists are JSON; `None` asks for nothing.
struct RelatedBy {
    senders: Option<String>,
    rel_types: Option<String>,
    ignored: String,
    /// What comes after this place relates to nothing: the client may not see it, or not yet.
    end: Position,
}

impl<'a> Sieve<'a> {
    /// A filter for somebody who reads the room up to `end`. An empty list asks for nothing, as Synapse reads it.
    pub fn new(filter: &'a EventFilter, end: Position) -> Result<Self> {
        let senders = filter.related_by_senders.as_ref().filter(|senders| !senders.is_empty());
        let rel_types = filter.related_by_rel_types.as_ref().filter(|types| !types.is_empty());
        let related = match (senders, rel_types) {
            (None, None) => None,
            _ => Some(RelatedBy {
                senders: senders.map(serde_json::to_string).transpose()?,
                rel_types: rel_types.map(serde_json::to_string).transpose()?,
                ignored: serde_json::to_string(&filter.ignored)?,
                end,
            }),
        };
        Ok(Self { filter, related })
    }
}

impl Room<'_> {
    /// Whether an event passes a filter.
    pub fn passes(&mut self, sieve: &Sieve<'_>, event: &Stored) -> Result<bool> {
        if !sieve.filter.lets_through(event) {
            return Ok(false);
        }
        match &sieve.related {
            None => Ok(true),
            Some(wanted) => self.is_related_by(wanted, event),
        }
    }

    fn is_related_by(&mut self, wanted: &RelatedBy, event: &Stored) -> Result<bool> {
        if !self.has_relations()? {
            return Ok(false);
        }
        let query = "SELECT 1 FROM relations WHERE target = ?1 AND pos <= ?5
                     AND (?2 IS NULL OR sender IN (SELECT value FROM json_each(?2)))
                     AND (?3 IS NULL OR rel_type IN (SELECT value FROM json_each(?3)))
                     AND sender NOT IN (SELECT value FROM json_each(?4)) LIMIT 1";
        let RelatedBy { senders, rel_types, ignored, end } = wanted;
        let (senders, rel_types) = (senders.as_deref(), rel_types.as_deref());
        let values = values![event.pdu.event_id.as_str(), senders, rel_types, ignored, *end];
        Ok(self.sql.row(query, values, |row| row.int(0))?.is_some())
    }
}

impl EventFilter {
    /// Whether an event passes by what it is itself.
    fn lets_through(&self, event: &Stored) -> bool {
        let pdu = &event.pdu;
        self.passes_content(pdu.kind(), &pdu.content)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(&pdu.sender))
            && !self.not_senders.contains(&pdu.sender)
            && self.passes_relation(&pdu.content)
            && (pdu.is_state() || !self.ignored.contains(&pdu.sender))
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
}
