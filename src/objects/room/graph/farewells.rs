//! What have others yet to hear of a room that was purged?
//!
//! Our events since its deletion began are kept: how our users left. Servers, application services and clients that were
//! out of reach come for them by their positions, as they come for any news of a room.

use ruma::UserId;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::{
    admission::Checked,
    event::{self, client_event},
    json::parse_object,
    room_version::RoomVersion,
};

use crate::{
    objects::room::{Result, Room, STEPS, messages::Position},
    shell::Stop,
};

impl Room<'_> {
    /// Keeps our events after a position, before the room is purged.
    pub fn keep_farewells(&mut self, since: Position) -> Result<()> {
        let query = "SELECT sn FROM events WHERE pos > ? AND ours ORDER BY pos";
        for sn in self.sql.rows(query, values![since], |row| row.int(0))? {
            let event = self.event(sn)?;
            let Some(pos) = event.pos else { continue };
            let text: Box<RawValue> = event.for_servers()?;
            let insert = "INSERT INTO farewells (pos, json) VALUES (?, ?) ON CONFLICT DO NOTHING";
            self.sql.run(insert, values![pos, text.get()])?;
        }
        Ok(())
    }

    /// Those in a range, as servers see them, the older first.
    pub fn farewells(
        &mut self,
        from: Position,
        to: Position,
        limit: u32,
    ) -> Result<Vec<(Position, String)>> {
        self.row()?;
        let query =
            "SELECT pos, json FROM farewells WHERE pos > ? AND pos <= ? ORDER BY pos LIMIT ?";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
        Ok(self.sql.rows(query, values![from, to, limit], read)?)
    }

    /// How a user left, if that is in a range.
    pub fn farewell_to(
        &mut self,
        user: &UserId,
        (from, to): (Position, Position),
    ) -> Result<Option<Box<RawValue>>> {
        if !self.cache.schema.exists(self.sql, STEPS)? {
            return Ok(None);
        }
        let query = "SELECT json FROM farewells
                     WHERE pos > ? AND pos <= ? AND json_extract(json, '$.type') = 'm.room.member'
                       AND json_extract(json, '$.state_key') = ? ORDER BY pos DESC LIMIT 1";
        let values = values![from, to, user.as_str()];
        let text = self.sql.row(query, values, |row| row.text(0))?;
        let version = self.row()?.version;
        text.map(|text| farewell(version, text, false)).transpose()
    }
}

/// A farewell as clients see it.
pub fn farewell(version: &RoomVersion, text: String, with_room: bool) -> Result<Box<RawValue>> {
    let broken = || Stop::broken("what others have yet to hear of a purged room cannot be read");
    let event = parse_object(text.as_bytes()).map_err(|_| broken())?;
    let (event_id, json) = (event::event_id(&event, version), RawValue::from_string(text)?);
    let pdu = Checked { event_id, json }.pdu(version).map_err(|_| broken())?;
    Ok(RawValue::from_string(client_event(&pdu, with_room))?)
}
