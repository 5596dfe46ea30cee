//! Which events stand around an event?
//! ([`/context`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid))

use std::{collections::BTreeSet, rc::Rc};

use serde_json::value::RawValue;

use super::{page::limit, view::Viewer};
use crate::{
    objects::room::{
        Result, Room,
        graph::{
            events::{Before, Stored},
            sieve::Sieve,
            state::After,
        },
        messages::{Context, ContextReply, EventFilter, Page, Refusal},
    },
    shell::Stop,
};

/// The type of member events.
const MEMBER: &str = "m.room.member";

/// The event, half of the events that are asked for before it, the others after it, and the state at the last of them.
pub fn context(room: &mut Room<'_>, message: Context) -> Result<ContextReply> {
    let Context { event_id, user, device, not_given, filter } = message;
    room.graph()?;
    let viewer = room.viewer(user.clone(), device.clone())?;
    let not_found = || Stop::Refused(Refusal::NotFound);
    let event = room.find(&event_id)?.ok_or_else(not_found)?;
    let pos = event.pos.ok_or_else(not_found)?;
    // The filter is for the events around it; whom the user ignores is not heard even here.
    let viewer = Viewer { ignored: filter.ignored.clone(), ..viewer };
    if !room.user_sees(&viewer.user, &viewer.memberships, &event)? || !viewer.hears(&event) {
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
        event: room.bundled_view(&viewer, &event, true)?,
        start: before.end.unwrap_or(lowest - 1),
        end: after.end.unwrap_or(newest),
        state: room.state_at_last(&viewer, &filter, &all)?,
        before: room.bundled_views(&viewer, &before.events, true)?,
        after: room.bundled_views(&viewer, &after.events, true)?,
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
        let Some(last) = events.last() else { return Ok(Vec::new()) };
        let After { before, plus } = self.seen_at(viewer, last)?;
        let mut state = if filter.lazy_load_members {
            let mut state = self.without_members(before)?;
            let senders: BTreeSet<_> = events.iter().map(|event| &event.pdu.sender).collect();
            for sender in senders {
                let member = self.value(before, MEMBER, sender.as_str())?;
                state.extend(member.map(|sn| ((MEMBER.to_owned(), sender.to_string()), sn)));
            }
            state
        } else {
            self.whole(before)?
        };
        state.extend(plus);
        let sieve = Sieve::new(filter, self.visible_state(&viewer.memberships)?.at)?;
        let mut shown = Vec::new();
        for ((kind, _), sn) in state {
            if filter.passes_type(&kind) {
                let event = self.event(sn)?;
                shown.extend(self.passes(&sieve, &event)?.then_some(event));
            }
        }
        self.views(viewer, &shown, true)
    }

    /// The state after an event, if the viewer may see the room there; else that nearest to it which they may see: a
    /// user sees what became of their own membership, even where they see nothing else.
    fn seen_at(&mut self, viewer: &Viewer, event: &Stored) -> Result<After> {
        let pos = event.pos.unwrap_or_default();
        let nearest = self.seen_from(&viewer.memberships, pos)?;
        if nearest == Some(pos)
            && let Some(after) = event.after()
        {
            return Ok(after);
        }
        let end = self.visible_state(&viewer.memberships)?.at;
        let at = nearest.map_or(end, |nearest| nearest.min(end));
        Ok(After { before: Before { at, fork: None }, plus: None })
    }
}
