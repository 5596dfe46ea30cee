//! What does `/sync` show of a room to a user who is not in it?

use std::rc::Rc;

use serde_json::value::RawValue;

use crate::objects::room::{
    Result, Room,
    graph::{events::Stored, sieve::Sieve},
    messages::{Position, Window, WindowReply},
    reading::{view::Viewer, window::Slice},
};

impl Room<'_> {
    /// What a user is shown who was joined at no time of the range: how an invite ended, a ban, the end of a ban.
    pub fn parting(&mut self, viewer: &Viewer, message: &Window) -> Result<WindowReply> {
        let [timeline, state] = self.fate(viewer, message, message.from, false)?;
        Ok(WindowReply { timeline, state, prev_batch: message.to, ..WindowReply::default() })
    }

    /// What a stay that ended in the range adds to its window: how it ended.
    pub fn end_of_stay(
        &mut self,
        viewer: &Viewer,
        message: &Window,
        end: Position,
        slice: &Slice,
    ) -> Result<[Vec<Box<RawValue>>; 2]> {
        if end >= message.to || message.stay_only {
            return Ok(Default::default());
        }
        let is_own = |event: &Rc<Stored>| event.pdu.is("m.room.member", viewer.user.as_str());
        let contradicted = slice.events.iter().any(is_own);
        self.fate(viewer, message, end.max(message.from), contradicted)
    }

    /// The user's own member event, if it is new since `since`: in the timeline if it happened in the range and the
    /// filter lets it through, else in the state. An event that did not happen in the range but became state in it, by
    /// a join's state or a resolution, is in the state, or in the timeline where that says otherwise (`contradicted`):
    /// a client applies the state first. With `state_after` it is in the state in any case.
    fn fate(
        &mut self,
        viewer: &Viewer,
        message: &Window,
        since: Position,
        contradicted: bool,
    ) -> Result<[Vec<Box<RawValue>>; 2]> {
        let member = self.mainline(message.to, "m.room.member", viewer.user.as_str())?;
        let Some(event) = member.map(|sn| self.event(sn)).transpose()? else {
            return Ok(Default::default());
        };
        let happened =
            event.pos.is_some_and(|pos| since < pos && pos <= message.to) && !event.is_history();
        let moved = viewer.memberships.since(message.to) > Some(since);
        let last = happened || moved && contradicted && !message.state_after;
        let end = viewer.memberships.visible_end(message.to);
        let [timeline, state] = [&message.timeline, &message.state];
        let in_timeline = last && self.passes(&Sieve::new(timeline, end)?, &event)?;
        let in_state = (message.state_after || !in_timeline)
            && (happened || moved)
            && self.passes(&Sieve::new(state, end)?, &event)?;
        let mut fate: [Vec<_>; 2] = Default::default();
        for (part, is_in) in fate.iter_mut().zip([in_timeline, in_state]) {
            if is_in {
                part.push(self.client_view(viewer, &event, false)?);
            }
        }
        Ok(fate)
    }
}
