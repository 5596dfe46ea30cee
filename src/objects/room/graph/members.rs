//! Who follows the room, and from which position to which?
//!
//! Only a change of a current membership opens or closes a follower's interval: of local users in `locals`, of servers
//! in `servers` (from their first member's join until the event that removed the last, inclusive).

use std::cmp::Reverse;

use std::collections::BTreeMap;

use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use tombolo_platform::{Row, values};
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{FOREVER, Result, Room, Sn, graph::state::Key, messages::Position, row::Life},
    shell::{Stop, membership},
};

/// For how many servers a room remembers when they last sent something.
const MAX_HEARD: usize = 1000;

impl Room<'_> {
    /// Sets the current value of a key from `pos` on. For a member, also updates the counts, `moves`, `locals`,
    /// `servers` and the room's life.
    pub fn change(&mut self, key: &Key, value: Option<Sn>, pos: Position) -> Result<()> {
        if key.0 != "m.room.member" {
            return self.write_now(key, value, pos);
        }
        let old = self.membership_of(&key.1)?;
        self.write_now(key, value, pos)?;
        let new = self.membership_of(&key.1)?;
        let Ok(user) = UserId::parse(key.1.as_str()) else { return Ok(()) };
        self.note_move(&user, (old, new), pos)?;
        self.count(old, new)?;
        if self.is_ours(&user) {
            self.note_local(&user, new.unwrap_or(Membership::Leave), pos)?;
            let by_event = match value {
                Some(sn) => self.event(sn)?.pos == Some(pos),
                None => false,
            };
            self.note_life(by_event)?;
        }
        let (was, is) = (old == Some(Membership::Join), new == Some(Membership::Join));
        if was != is { self.note_server(user.server_name(), is, pos) } else { Ok(()) }
    }

    /// A user's current membership.
    pub fn membership_of(&mut self, user: &str) -> Result<Option<Membership>> {
        Ok(self.now_event("m.room.member", user)?.and_then(|event| event.pdu.membership()))
    }

    /// Whether a user is joined now.
    pub fn is_joined(&mut self, user: &UserId) -> Result<bool> {
        Ok(self.membership_of(user.as_str())? == Some(Membership::Join))
    }

    /// Local users and their memberships, with the position at which each began.
    pub fn locals(&mut self) -> Result<Vec<(OwnedUserId, Membership, Position)>> {
        let rows = self.sql.rows("SELECT user, membership, pos FROM locals", values![], |row| {
            Ok((row.text(0)?, membership(row, 1)?, row.int(2)?))
        })?;
        rows.into_iter()
            .map(|(user, membership, pos)| {
                let user =
                    UserId::parse(user).map_err(|_| Stop::broken("a local user's ID is none"))?;
                Ok((user, membership, pos))
            })
            .collect()
    }

    /// Servers with a joined user now.
    pub fn servers(&mut self) -> Result<Vec<OwnedServerName>> {
        self.servers_between(None)
    }

    /// Notes that a server in the room sent something.
    pub fn hear(&mut self, server: &ServerName) {
        if self.cache.heard.len() >= MAX_HEARD {
            self.cache.heard.clear();
        }
        self.cache.heard.insert(server.to_owned(), self.moment.now);
    }

    /// Other servers with a joined user now, the most helpful first: those that sent something lately, the one through
    /// which we joined, those with many members.
    pub fn helpers(&mut self) -> Result<Vec<OwnedServerName>> {
        let query = "SELECT server FROM servers WHERE until IS NULL ORDER BY members DESC, server";
        let names = self.sql.rows(query, values![], |row| row.text(0))?;
        let mut helpers: Vec<OwnedServerName> =
            names.into_iter().filter_map(|name| name.try_into().ok()).collect();
        helpers.retain(|server| !self.is_local(server));
        let resident = self.row()?.resident;
        let heard = &self.cache.heard;
        helpers.sort_by_key(|server| {
            Reverse((heard.get(server).copied(), resident.as_ref() == Some(server)))
        });
        Ok(helpers)
    }

    /// Servers that were in the room at some time after `from`.
    pub fn servers_since(&mut self, from: Position) -> Result<Vec<OwnedServerName>> {
        self.servers_between(Some(from))
    }

    /// Servers that came into the room or left it since a position, and whether they are in it now.
    pub fn servers_moved(&mut self, since: Position) -> Result<Vec<(OwnedServerName, bool)>> {
        let query = "SELECT server, max(until IS NULL) AS present FROM servers GROUP BY server HAVING max(since) > ?1 OR max(until) > ?1";
        let rows =
            self.sql.rows(query, values![since], |row| Ok((row.text(0)?, row.int(1)? != 0)))?;
        Ok(rows
            .into_iter()
            .filter_map(|(name, present)| Some((name.try_into().ok()?, present)))
            .collect())
    }

    fn servers_between(&mut self, from: Option<Position>) -> Result<Vec<OwnedServerName>> {
        let query =
            "SELECT DISTINCT server FROM servers WHERE until IS NULL OR until > ? ORDER BY server";
        let names = self.sql.rows(query, values![from.unwrap_or(FOREVER)], |row| row.text(0))?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    fn count(&mut self, old: Option<Membership>, new: Option<Membership>) -> Result<()> {
        let mut row = self.row()?;
        for (membership, step) in [(old, -1), (new, 1)] {
            match membership {
                Some(Membership::Join) => row.joined += step,
                Some(Membership::Invite) => row.invited += step,
                _ => {}
            }
        }
        self.set_row(row)
    }

    fn note_local(&mut self, user: &UserId, membership: Membership, pos: Position) -> Result<()> {
        self.sql.run(
            "INSERT INTO locals (user, membership, pos) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET membership = excluded.membership, pos = excluded.pos",
            values![user.as_str(), membership.as_str(), pos],
        )?;
        self.pending.moved.push(user.to_owned());
        Ok(())
    }

    /// Marks the room as left when an event removed the last local user. When a resolution did, another resolution may
    /// undo it, and other servers may still count the user in: the room stays live.
    fn note_life(&mut self, by_event: bool) -> Result<()> {
        let query = "SELECT 1 FROM locals WHERE membership = 'join' LIMIT 1";
        let present = self.sql.row(query, values![], |row| row.int(0))?.is_some();
        let mut row = self.row()?;
        match (present, by_event) {
            (true, _) => row.life = Life::Live,
            (false, true) => row.life = Life::Left,
            (false, false) => {}
        }
        self.set_row(row)
    }

    fn note_server(&mut self, server: &ServerName, joined: bool, pos: Position) -> Result<()> {
        let query = "SELECT since, members FROM servers WHERE server = ? AND until IS NULL";
        let open =
            self.sql.row(query, values![server.as_str()], |row| Ok((row.int(0)?, row.int(1)?)))?;
        let (since, members) = match (open, joined) {
            (None, false) => return Ok(()),
            (None, true) => (pos, 1),
            (Some((since, members)), true) => (since, members + 1),
            (Some((since, members)), false) => (since, members - 1),
        };
        let until = (members == 0).then_some(pos);
        self.sql.run(
            "INSERT INTO servers (server, since, until, members) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET until = excluded.until, members = excluded.members",
            values![server.as_str(), since, until, members],
        )?;
        Ok(())
    }

    /// Moves the end of a server's stay.
    pub fn extend_stay(&mut self, server: &str, end: Position, to: Position) -> Result<()> {
        let update = "UPDATE servers SET until = ? WHERE server = ? AND until = ?";
        self.sql.run(update, values![to, server, end])?;
        Ok(())
    }

    /// Notes a server's stay that was not known at its time.
    pub fn note_stay(
        &mut self,
        server: &ServerName,
        since: Position,
        until: Position,
    ) -> Result<()> {
        let insert = "INSERT INTO servers (server, since, until, members) VALUES (?, ?, ?, 0)
             ON CONFLICT DO UPDATE SET until = max(until, excluded.until)";
        self.sql.run(insert, values![server.as_str(), since, until])?;
        Ok(())
    }

    /// Whether a server has a member in the room, or had one.
    pub fn is_or_was_here(&mut self, server: &ServerName) -> Result<bool> {
        let query = "SELECT 1 FROM servers WHERE server = ? AND members >= 0 LIMIT 1";
        Ok(self.sql.row(query, values![server.as_str()], |row| row.int(0))?.is_some())
    }

    /// Where a server's last stay ended: the server is told nothing after it. `FOREVER` for a server in the room,
    /// `None` for one that never was.
    pub fn heard_until(&mut self, server: &ServerName) -> Result<Option<Position>> {
        let query = "SELECT max(coalesce(until, ?)) FROM servers WHERE server = ? AND members >= 0";
        let read = |row: &Row<'_>| row.int_or_null(0);
        Ok(self.sql.row(query, values![FOREVER, server.as_str()], read)?.flatten())
    }

    /// [`Room::heard_until`] of every server that is or was in the room.
    pub fn all_heard_until(&mut self) -> Result<BTreeMap<String, Position>> {
        let query = "SELECT server, max(coalesce(until, ?)) FROM servers WHERE members >= 0 GROUP BY server";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
        Ok(self.sql.rows(query, values![FOREVER], read)?.into_iter().collect())
    }

    /// Has a server that was never in the room told of the event at a position. That entitles the server to nothing.
    pub fn note_stranger(&mut self, server: &ServerName, pos: Position) -> Result<()> {
        let insert = "INSERT INTO servers (server, since, until, members) VALUES (?, ?, ?, -1) ON CONFLICT DO NOTHING";
        self.sql.run(insert, values![server.as_str(), pos - 1, pos])?;
        Ok(())
    }
}
