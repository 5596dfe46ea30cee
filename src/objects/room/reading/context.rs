//! Which events stand around an event?
//! ([`/context`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid))

use std::{collections::BTreeSet, rc::Rc};

use serde_json::value::RawValue;

use super::{page::limit, view::Viewer};
use crate::{
    objects::room::{
        Result, Room,
        graph::events::{Before, Stored},
        messages::{Context, ContextReply, EventFilter, Page, Position, Refusal},
    },
    shell::Stop,
};

/// The event, half of the events that are asked for before it, the others after it, and the state at the last of them.
pub fn context(room: &mut Room<'_>, message: Context) -> Result<ContextReply> {
    let Context { event_id, user, device, not_given, filter } = message;
    room.graph()?;
    let viewer = room.viewer(user.clone(), device.clone())?;
    let not_found = || Stop::Refused(Refusal::NotFound);
    let event = room.find(&event_id)?.ok_or_else(not_found)?;
    let pos = event.pos.ok_or_else(not_found)?;
    // The filter is for the events around it; whom the user ignores is not heard even here.
    let heard = EventFilter { ignored: filter.ignored.clone(), ..EventFilter::default() };
    if !room.user_sees(&viewer.user, &viewer.memberships, &event)? || !heard.lets_through(&event) {
        return Err(not_found());
    }
    let newest = room.visible_state(&viewer.memberships)?.at.max(pos);
    let page = |backwards: bool, limit: u32| Page {
        user: user.clone(),
        device: device.clone(),
        from: None,
        to: None,
        backwards,
        over_gaps: false,
        not_given: not_given.clone(),
        filter: EventFilter { limit: Some(limit), ..filter.clone() },
    };
    let half = limit(&filter) / 2;
    let before = room.scan(&viewer, &page(true, half), pos - 1, newest)?;
    let after = room.scan(&viewer, &page(false, limit(&filter) - half), pos, newest)?;
    let lowest = before.events.last().and_then(|event| event.pos).unwrap_or(pos);
    let all: Vec<_> =
        before.events.iter().rev().chain([&event]).chain(&after.events).cloned().collect();
    Ok(ContextReply {
        event: room.client_view(&viewer, &event, true)?,
        start: before.end.unwrap_or(lowest - 1),
        end: after.end.unwrap_or(newest),
        state: room.state_at_last(&viewer, &filter, &all)?,
        before: room.views(&viewer, &before.events)?,
        after: room.views(&viewer, &after.events)?,
        gap: before.gap,
    })
}

impl Room<'_> {
    /// The state at the last of these events, as far as the filter lets it through; with lazy loading, only the members
    /// who sent one of them.
    fn state_at_last(
        &mut self,
        viewer: &Viewer,
        filter: &EventFilter,
        events: &[Rc<Stored>],
    ) -> Result<Vec<Box<RawValue>>> {
        let at: Position = events.last().and_then(|event| event.pos).unwrap_or_default();
        let senders: BTreeSet<_> = events.iter().map(|event| event.pdu.sender.as_str()).collect();
        let mut shown = Vec::new();
        for ((kind, key), sn) in self.whole(Before { at, fork: None })? {
            let is_idle = kind == "m.room.member" && !senders.contains(&*key);
            if filter.lazy_load_members && is_idle {
                continue;
            }
            let event = self.event(sn)?;
            if filter.lets_through(&event) {
                shown.push(event);
            }
        }
        self.views(viewer, &shown)
    }

    fn views(&mut self, viewer: &Viewer, events: &[Rc<Stored>]) -> Result<Vec<Box<RawValue>>> {
        events.iter().map(|event| self.client_view(viewer, event, true)).collect()
    }
}
