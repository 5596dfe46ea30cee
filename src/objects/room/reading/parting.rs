//! What does a user learn of a room that they are out of?

use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room,
    messages::{Position, Window, WindowReply},
    reading::view::Viewer,
};

impl Room<'_> {
    /// What a user who was not in the room in the whole range learns of it: how an invite ended, a ban, its end.
    pub fn parting(&mut self, viewer: &Viewer, message: &Window) -> Result<WindowReply> {
        let [timeline, state] = self.fate(viewer, message, message.from, true)?;
        Ok(WindowReply { timeline, state, prev_batch: message.to, ..WindowReply::default() })
    }

    /// The event that says what the user is now, if they came to be so after `since`: in the timeline if it happened
    /// then and the filter lets it through, else in the state. One that did not happen then, since it came with the
    /// state of a join or back by a resolution, counts only where `moved` is.
    pub fn fate(
        &mut self,
        viewer: &Viewer,
        message: &Window,
        since: Position,
        moved: bool,
    ) -> Result<[Vec<Box<RawValue>>; 2]> {
        let member = self.mainline(message.to, "m.room.member", viewer.user.as_str())?;
        let Some(event) = member.map(|sn| self.event(sn)).transpose()? else {
            return Ok(Default::default());
        };
        let happened =
            event.pos.is_some_and(|pos| since < pos && pos <= message.to) && !event.is_history();
        let moved = moved && viewer.memberships.since(message.to) > Some(since);
        let view = vec![self.client_view(viewer, &event, false)?];
        Ok(if happened && message.timeline.lets_through(&event) {
            [view, Vec::new()]
        } else if (happened || moved) && message.state.lets_through(&event) {
            [Vec::new(), view]
        } else {
            Default::default()
        })
    }

    /// Where the user's view of the room ends: at their leave, or at `to`.
    pub fn visible_end(&self, viewer: &Viewer, to: Position) -> Position {
        if viewer.memberships.at(to) == Some(Membership::Join) {
            return to;
        }
        let stays =
            viewer.memberships.0.iter().filter(|period| period.membership == Membership::Join);
        stays.filter_map(|period| period.until).filter(|until| *until <= to).max().unwrap_or(to)
    }
}
