//! What does `/sync` show of a room to a user who is not in it?

use serde_json::value::RawValue;

use crate::objects::room::{
    Result, Room,
    messages::{Position, Window, WindowReply},
    reading::view::Viewer,
};

impl Room<'_> {
    /// What a user is shown who was joined at no time of the range: how an invite ended, a ban, the end of a ban.
    pub fn parting(&mut self, viewer: &Viewer, message: &Window) -> Result<WindowReply> {
        let [timeline, state] = self.fate(viewer, message, message.from, false)?;
        Ok(WindowReply { timeline, state, prev_batch: message.to, ..WindowReply::default() })
    }

    /// The user's own member event, if it is new since `since`: in the timeline if it happened in the range and the
    /// filter lets it through, else in the state. An event that did not happen in the range but became state in it, by
    /// a join's state or a resolution, is in the state, or in the timeline where that says otherwise (`contradicted`):
    /// a client applies the state first.
    pub fn fate(
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
        let last = happened || moved && contradicted;
        let place = if last && message.timeline.lets_through(&event) {
            0
        } else if (happened || moved) && message.state.lets_through(&event) {
            1
        } else {
            return Ok(Default::default());
        };
        let mut fate: [Vec<_>; 2] = Default::default();
        fate[place].push(self.client_view(viewer, &event, false)?);
        Ok(fate)
    }
}
