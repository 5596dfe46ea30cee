//! From whom are the messages of a user hidden who asked for that when they gave up their account?
//! ([account deactivation](https://spec.matrix.org/v1.19/client-server-api/#deactivating-an-account))
//!
//! From users and servers that came into the room later: they get the messages redacted. State stays: the room rests on it.

use std::collections::BTreeMap;

use ruma::ServerName;
use tombolo_platform::values;

use crate::objects::room::{
    Result, Room,
    graph::events::Stored,
    messages::{Erase, Position},
    reading::entitlement::Memberships,
};

/// Notes since when a user's messages are hidden.
pub fn erase(room: &mut Room<'_>, message: Erase) -> Result<()> {
    let pos = room.row()?.pos;
    let insert = "INSERT INTO erased (user, pos) VALUES (?, ?) ON CONFLICT DO NOTHING";
    room.sql.run(insert, values![message.user.as_str(), pos])?;
    room.cache.erased = None;
    Ok(())
}

impl Room<'_> {
    /// Whether an event is hidden from a user with these memberships.
    pub fn is_erased_for_user(
        &mut self,
        memberships: &Memberships,
        event: &Stored,
    ) -> Result<bool> {
        let erased = self.erased_at(event)?;
        Ok(erased.is_some_and(|pos| !memberships.joined_until(pos)))
    }

    /// Whether an event is hidden from a server.
    pub fn is_erased_for_server(&mut self, server: &ServerName, event: &Stored) -> Result<bool> {
        let Some(pos) = self.erased_at(event)? else { return Ok(false) };
        let query = "SELECT 1 FROM servers WHERE server = ? AND members >= 0 AND since <= ?";
        let was_in = self.sql.row(query, values![server.as_str(), pos], |row| row.int(0))?;
        Ok(was_in.is_none())
    }

    /// Since when an event is hidden from who comes later, if it is.
    fn erased_at(&mut self, event: &Stored) -> Result<Option<Position>> {
        if event.pdu.state_key.is_some() || !self.is_ours(&event.pdu.sender) {
            return Ok(None);
        }
        if self.cache.erased.is_none() {
            let query = "SELECT user, pos FROM erased";
            let rows = self.sql.rows(query, values![], |row| Ok((row.text(0)?, row.int(1)?)))?;
            self.cache.erased = Some(rows.into_iter().collect());
        }
        let erased: Option<&BTreeMap<String, Position>> = self.cache.erased.as_ref();
        Ok(erased.and_then(|erased| erased.get(event.pdu.sender.as_str()).copied()))
    }
}
