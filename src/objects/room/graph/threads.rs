//! In which thread is an event?
//! ([marking notifications as read](https://spec.matrix.org/v1.19/client-server-api/#marking-notifications-as-read))

use ruma::{EventId, OwnedEventId};
use tombolo_protocol::event::{Relation, THREAD};

use crate::objects::room::{Result, Room, graph::events::Stored};

/// How many relations are followed from an event to its thread.
const MAX_STEPS: usize = 3;

impl Room<'_> {
    /// The root of the thread that an event is in, by its own relation or those of the events it relates to; `None`: the
    /// main thread.
    pub fn thread_of(&mut self, event: &Stored) -> Result<Option<OwnedEventId>> {
        let mut next = Relation::of(&event.pdu.content);
        for _ in 0..MAX_STEPS {
            let Some(relation) = next else { break };
            let Ok(target) = EventId::parse(relation.event_id) else { break };
            if relation.rel_type == THREAD {
                return Ok(Some(target));
            }
            let target = self.find(&target)?;
            next = target.and_then(|target| Relation::of(&target.pdu.content));
        }
        Ok(None)
    }
}
