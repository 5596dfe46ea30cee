//! Which rooms has the user forgotten?
//! ([leaving rooms](https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms))

use std::collections::BTreeSet;

use ruma::RoomId;
use tombolo_platform::values;

use super::{Forget, Forgotten, Refusal, Result, User};
use crate::shell::Stop;

/// Forgets a room that the user is not in. A room the user never knew counts as forgotten.
pub fn forget(user: &mut User<'_>, message: Forget) -> Result<()> {
    user.exists()?;
    let room = message.room_id.as_str();
    match user.loaded()?.rooms.get(&message.room_id) {
        None => Ok(()),
        Some(last) if last.membership.is_out() => {
            user.sql.run(
                "INSERT INTO forgotten (room) VALUES (?) ON CONFLICT DO NOTHING",
                values![room],
            )?;
            user.drop_subscriptions_in(&message.room_id)
        }
        Some(_) => Err(Stop::Refused(Refusal::Invalid("you are still in this room".to_owned()))),
    }
}

/// Whether a room is forgotten.
pub fn forgotten(user: &mut User<'_>, message: Forgotten) -> Result<bool> {
    user.exists()?;
    user.has_forgotten(&message.room_id)
}

impl User<'_> {
    pub fn has_forgotten(&mut self, room: &RoomId) -> Result<bool> {
        let query = "SELECT 1 FROM forgotten WHERE room = ?";
        Ok(self.sql.row(query, values![room.as_str()], |row| row.int(0))?.is_some())
    }

    pub fn forgotten_rooms(&mut self) -> Result<BTreeSet<String>> {
        let query = "SELECT room FROM forgotten";
        Ok(self.sql.rows(query, values![], |row| row.text(0))?.into_iter().collect())
    }

    /// Ends the forgetting of a room: the user is in it again, or invited to it.
    pub fn remember(&mut self, room: &RoomId) -> Result<()> {
        self.sql.run("DELETE FROM forgotten WHERE room = ?", values![room.as_str()])?;
        Ok(())
    }
}
