//! May this event of ours relate to that one?
//! ([relationships](https://spec.matrix.org/v1.19/client-server-api/#relationships-between-events))
//!
//! Only events of local users are refused. Events that other servers let in are shown as they are.

use ruma::EventId;
use tombolo_platform::values;
use tombolo_protocol::event::{ANNOTATION, Pdu, Relation, THREAD};

use crate::{
    objects::room::{Result, Room, Sn, graph::threads::begins_thread, messages::Refusal},
    shell::Stop,
};

/// The longest key of an annotation, in characters.
const MAX_KEY: usize = 500;

impl Room<'_> {
    /// Refuses an event that relates to one that is not here, annotates twice, or begins a thread within another
    /// relation.
    pub fn check_relation(&mut self, pdu: &Pdu) -> Result<()> {
        let Some(relation) = Relation::of(&pdu.content) else { return Ok(()) };
        let target = match EventId::parse(relation.event_id.as_str()) {
            Ok(target) => self.find(&target)?,
            Err(_) => return Err(unrelatable("The event relates to something that is no event")),
        };
        if target.is_none() && self.holds_all_history()? {
            return Err(unrelatable("The event relates to one that is not in this room"));
        }
        if relation.rel_type == THREAD && target.is_some_and(|target| !begins_thread(&target)) {
            return Err(unrelatable("No thread begins with an event that relates to another"));
        }
        if relation.rel_type == ANNOTATION {
            self.check_annotation(pdu, &relation)?;
        }
        Ok(())
    }

    /// Notes an annotation of a local user, so that it is not sent twice.
    pub fn note_annotation(&mut self, pdu: &Pdu, sn: Sn) -> Result<()> {
        let relation = Relation::of(&pdu.content);
        let Some(relation) = relation.filter(|relation| relation.rel_type == ANNOTATION) else {
            return Ok(());
        };
        let key = relation.key.unwrap_or_default();
        self.sql.run(
            "INSERT INTO annotations (target, user, type, key, sn) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET sn = excluded.sn",
            values![&relation.event_id, pdu.sender.as_str(), pdu.kind(), &key, sn],
        )?;
        Ok(())
    }

    fn check_annotation(&mut self, pdu: &Pdu, relation: &Relation) -> Result<()> {
        let fits = |key: &&str| key.chars().count() <= MAX_KEY;
        let Some(key) = relation.key.as_deref().filter(fits) else {
            return Err(unrelatable("An annotation has a key, and not too long a one"));
        };
        let query =
            "SELECT sn FROM annotations WHERE target = ? AND user = ? AND type = ? AND key = ?";
        let values = values![&relation.event_id, pdu.sender.as_str(), pdu.kind(), key];
        match self.sql.row(query, values, |row| row.int(0))? {
            Some(sn) if self.event(sn)?.redacted_by.is_none() => {
                Err(Stop::Refused(Refusal::DuplicateAnnotation))
            }
            _ => Ok(()),
        }
    }

    /// Whether every event of the room that a client can know of is held: the room began here, and nothing is missing.
    fn holds_all_history(&mut self) -> Result<bool> {
        Ok(self.row()?.floor == 0 && !self.has_gaps()?)
    }
}

fn unrelatable(reason: &str) -> Stop<Refusal> {
    Stop::Refused(Refusal::Unrelatable(reason.to_owned()))
}
