//! Which events relate to an event?
//! ([relationships API](https://spec.matrix.org/v1.19/client-server-api/#relationships-api))

use std::rc::Rc;

use tombolo_protocol::event::{REPLACEMENT, Relation};

use crate::{
    objects::room::{
        FOREVER, Result, Room,
        graph::events::Stored,
        messages::{Position, Refusal, Related, RelatedReply},
        reading::view::Viewer,
    },
    shell::Stop,
};

/// The most events of one page.
const MAX_LIMIT: usize = 1000;
/// How many events are read together, and how many for one page, whatever the viewer may not see.
const PAGE: u32 = 200;
const MAX_SCANNED: usize = 2000;

/// One page of the events that relate to an event. A position stands between events: the event at a position lies
/// before it.
pub fn related(room: &mut Room<'_>, message: Related) -> Result<RelatedReply> {
    room.graph()?;
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    let newest = room.visible_state(&viewer.memberships)?.at;
    let not_found = || Stop::Refused(Refusal::NotFound);
    let event = room.find(&message.event_id)?.ok_or_else(not_found)?;
    let viewer = Viewer { ignored: message.ignored.clone(), ..viewer };
    if !room.sees(&viewer, &event)? || !viewer.hears(&event) {
        return Err(not_found());
    }
    let (found, next) = room.page_of_related(&viewer, &message, &event, newest)?;
    let events = room.bundled_views(&viewer, &found, true)?;
    let event = message.with_event.then(|| room.client_view(&viewer, &event, true)).transpose()?;
    Ok(RelatedReply { events, next, event })
}

impl Room<'_> {
    /// The events of a page, and where the next one begins.
    fn page_of_related(
        &mut self,
        viewer: &Viewer,
        message: &Related,
        event: &Stored,
        newest: Position,
    ) -> Result<(Vec<Rc<Stored>>, Option<Position>)> {
        let limit = (message.limit as usize).min(MAX_LIMIT);
        let (from, to) = (message.from, message.to);
        let (mut low, mut high) = match message.backwards {
            true => (to.unwrap_or(0), from.unwrap_or(FOREVER).min(newest)),
            false => (from.unwrap_or(0), to.unwrap_or(FOREVER).min(newest)),
        };
        let (mut found, mut scanned) = (Vec::new(), 0);
        loop {
            let page = self.related(message, (low, high), PAGE)?;
            let more = page.len() == PAGE as usize;
            for (sn, pos) in page {
                let next = if message.backwards { high } else { low };
                if found.len() >= limit || scanned >= MAX_SCANNED {
                    return Ok((found, Some(next)));
                }
                scanned += 1;
                match message.backwards {
                    true => high = pos - 1,
                    false => low = pos,
                }
                let related = self.event(sn)?;
                // What replaces a redacted event would say what it said.
                let hidden = event.redacted_by.is_some() && replaces(&related);
                if !hidden
                    && viewer.hears(&related)
                    && self.user_sees(&viewer.user, &viewer.memberships, &related)?
                {
                    found.push(related);
                }
            }
            if !more {
                return Ok((found, None));
            }
        }
    }
}

fn replaces(event: &Stored) -> bool {
    Relation::of(&event.pdu.content).is_some_and(|relation| relation.rel_type == REPLACEMENT)
}
