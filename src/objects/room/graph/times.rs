//! Which events were sent about a time?
//!
//! By the clocks of their senders, which may be wrong; of one time, in the order of the timeline. Made on demand.

use tombolo_platform::values;

use crate::objects::room::{Result, Room, messages::Position};

impl Room<'_> {
    /// Notes when an event was sent.
    pub fn note_time(&mut self, ts: i64, pos: Position) -> Result<()> {
        let insert = "INSERT INTO times (ts, pos) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.sql.run(insert, values![ts, pos])?;
        Ok(())
    }

    /// The times and places of events beyond one, nearest first.
    pub fn sent_beyond(
        &mut self,
        (ts, pos): (i64, Position),
        backwards: bool,
        limit: u32,
    ) -> Result<Vec<(i64, Position)>> {
        let query = match backwards {
            true => {
                "SELECT ts, pos FROM times WHERE (ts, pos) < (?, ?) ORDER BY ts DESC, pos DESC LIMIT ?"
            }
            false => "SELECT ts, pos FROM times WHERE (ts, pos) > (?, ?) ORDER BY ts, pos LIMIT ?",
        };
        Ok(self.sql.rows(query, values![ts, pos, limit], |row| Ok((row.int(0)?, row.int(1)?)))?)
    }
}
