//! In which thread is an event?
//! ([marking notifications as read](https://spec.matrix.org/v1.19/client-server-api/#marking-notifications-as-read))

use std::rc::Rc;

use ruma::{EventId, OwnedEventId};
use tombolo_protocol::event::{MAIN_THREAD, Relation, THREAD};

use crate::objects::room::{Result, Room, graph::events::Stored};

/// How many relations are followed from an event to its thread.
const MAX_STEPS: usize = 3;

impl Room<'_> {
    /// The root of the thread that an event is in, by its own relation or those of the events it relates to; `None`: the
    /// main thread.
    pub fn thread_of(&mut self, event: &Rc<Stored>) -> Result<Option<OwnedEventId>> {
        let last = self.led_to(event)?.pop();
        let relation = last.and_then(|last| Relation::of(&last.pdu.content));
        let root = relation.filter(|relation| relation.rel_type == THREAD);
        Ok(root.and_then(|relation| EventId::parse(relation.event_id).ok()))
    }

    /// Whether an event is in a thread: the one to which its relations lead, else the main one. A thread's root, and
    /// events that relate to the root, count as in the thread too, though the specification has them in the main one:
    /// clients read a thread up to them, and Synapse takes such receipts.
    pub fn is_in_thread(&mut self, event_id: &EventId, thread: &str) -> Result<bool> {
        let Some(event) = self.find(event_id)? else { return Ok(thread == MAIN_THREAD) };
        for event in self.led_to(&event)? {
            // A redacted event has lost its relation: it may have been in this thread.
            if event.pdu.event_id == thread || event.redacted_by.is_some() {
                return Ok(true);
            }
            let Some(relation) = Relation::of(&event.pdu.content) else { break };
            if relation.rel_type == THREAD || relation.event_id == thread {
                return Ok(relation.event_id == thread);
            }
        }
        Ok(thread == MAIN_THREAD)
    }

    /// An event, and those to which relations lead from it: up to one in a thread, to the last that is held, or for so
    /// many steps.
    fn led_to(&mut self, event: &Rc<Stored>) -> Result<Vec<Rc<Stored>>> {
        let mut chain = vec![Rc::clone(event)];
        let mut next = Relation::of(&event.pdu.content);
        while let Some(relation) = next.take().filter(|_| chain.len() <= MAX_STEPS) {
            if relation.rel_type == THREAD {
                break;
            }
            let Ok(target) = EventId::parse(relation.event_id) else { break };
            let Some(target) = self.find(&target)? else { break };
            next = Relation::of(&target.pdu.content);
            chain.push(target);
        }
        Ok(chain)
    }
}

/// Whether an event may begin a thread: none begins with what relates to another event.
pub fn begins_thread(event: &Stored) -> bool {
    Relation::of(&event.pdu.content).is_none()
}
