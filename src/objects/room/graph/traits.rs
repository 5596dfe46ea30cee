//! What is the room, as far as lists of rooms ask?

use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{Result, Room, messages::Traits};

impl Room<'_> {
    /// What the room is, whoever asks.
    pub fn traits(&mut self) -> Result<Traits> {
        let encrypted = self.now("m.room.encryption", "")?.is_some();
        let create = self.now_event("m.room.create", "")?;
        let room_type = create.and_then(|create| create.pdu.content_str("type"));
        let room_type = room_type.filter(|text| text.len() <= Traits::MAX_TYPE);
        Ok(Traits { encrypted, room_type, removed: false })
    }

    /// Whether somebody else ended a stay of a user.
    pub fn was_removed(&mut self, user: &str) -> Result<bool> {
        let Some(member) = self.now_event("m.room.member", user)? else { return Ok(false) };
        let is_out = member.pdu.membership().is_some_and(Membership::is_out);
        if !is_out || member.pdu.sender == *user {
            return Ok(false);
        }
        let query = "SELECT sn FROM past WHERE type = 'm.room.member' AND key = ?";
        for sn in self.sql.rows(query, values![user], |row| row.int(0))? {
            if self.event(sn)?.pdu.membership() == Some(Membership::Join) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
