//! Does an operator keep our users out of the room?
//!
//! A blocked room is one into which nobody comes through this server: no user of ours joins, knocks or is invited, and no
//! other server's user comes in through us. Who is in it stays. While the room is deleted it is closed likewise: what is
//! left of it would otherwise come back half.

use ruma::{OwnedUserId, UserId};
use tombolo_platform::values;

use crate::{
    objects::room::{Result, Room, STEPS, messages::Refusal},
    shell::Stop,
};

impl Room<'_> {
    /// The operator who blocked the room, if it is blocked.
    pub fn blocked_by(&mut self) -> Result<Option<OwnedUserId>> {
        if !self.cache.schema.exists(self.sql, STEPS)? {
            return Ok(None);
        }
        let by = self.sql.row("SELECT user FROM blocked", values![], |row| row.text(0))?;
        let parse = |user: String| {
            UserId::parse(user).map_err(|_| Stop::broken("an operator's user ID is none"))
        };
        by.map(parse).transpose()
    }

    /// Blocks the room, or does so no more. A room of which nothing is known can be blocked, too.
    pub fn set_blocked(&mut self, by: Option<&UserId>) -> Result<()> {
        self.cache.schema.create(self.sql, STEPS)?;
        match by {
            Some(user) => {
                let insert = "INSERT INTO blocked (one, user) VALUES (1, ?) ON CONFLICT DO NOTHING";
                self.sql.run(insert, values![user.as_str()])?;
            }
            None => {
                self.sql.run("DELETE FROM blocked", values![])?;
            }
        }
        Ok(())
    }

    /// Refuses where nobody is to come in through this server.
    pub fn must_be_open(&mut self) -> Result<()> {
        if self.is_closed()? { Err(Stop::Refused(Refusal::blocked())) } else { Ok(()) }
    }

    /// Refuses while the room is being deleted.
    pub fn must_go_on(&mut self) -> Result<()> {
        let is_deleted = match self.cache.is_deleted {
            Some(known) => known,
            None => {
                let query = "SELECT 1 FROM deletions WHERE active LIMIT 1";
                self.sql.row(query, values![], |row| row.int(0))?.is_some()
            }
        };
        self.cache.is_deleted = Some(is_deleted);
        if is_deleted { Err(Stop::Refused(Refusal::blocked())) } else { Ok(()) }
    }

    /// Whether nobody is to come in through this server.
    pub fn is_closed(&mut self) -> Result<bool> {
        if !self.cache.schema.exists(self.sql, STEPS)? {
            return Ok(false);
        }
        let query = "SELECT 1 FROM blocked UNION ALL SELECT 1 FROM deletions WHERE active LIMIT 1";
        Ok(self.sql.row(query, values![], |row| row.int(0))?.is_some())
    }
}
