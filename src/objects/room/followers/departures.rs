//! How does a server that counts us in learn that we left?

use ruma::ServerName;
use tombolo_platform::{Row, values};

use crate::objects::room::{
    FOREVER, Result, Room, Sn, Telling,
    graph::events::Stored,
    messages::{Position, Receive},
    row::Life,
};

/// How soon a server that counts us in is told again that we left (ms),
const RETELL: u64 = 60_000;
/// of how many users at once,
const RETOLD: u32 = 50;
/// and how many tellings a room remembers of servers that were not in it.
const MAX_TOLD: i64 = 5_000;

impl Room<'_> {
    /// Tells a server that sends us events of a room we left how our users left. Such a server counts us in: it did not
    /// get their leaves, or got them before it knew of these users. It is told only if its events cite one that we
    /// hold: a server that knows nothing of the room must not learn who was in it.
    pub fn tell_that_we_left(&mut self, message: &Receive) -> Result<()> {
        let origin = &message.origin;
        let now = self.moment.now;
        let lately = self.cache.retold.get(origin.as_str()).is_some_and(|at| at + RETELL > now);
        if lately || self.row()?.life != Life::Left {
            return Ok(());
        }
        if !self.allows(origin)? || !self.knows_the_room(message)? {
            return Ok(());
        }
        self.cache.retold.retain(|_, at| *at + RETELL > now);
        self.cache.retold.insert(origin.to_string(), now);
        let ends = self.ends_for(origin)?;
        for (pos, sn, heard) in &ends {
            if !heard {
                self.note_stranger(origin, *pos)?;
            }
            // The event may be another user's, who removed a local user.
            self.tell_of(*sn)?;
        }
        if let Some((lowest, ..)) = ends.last() {
            self.tell_again(origin.as_str(), lowest - 1)?;
            self.tell(Telling::Soon);
        }
        Ok(())
    }

    /// Whether one of the events cites an event that we hold. Where the room's ID is the hash of its create event, that
    /// event does not count: anybody knows it.
    fn knows_the_room(&mut self, message: &Receive) -> Result<bool> {
        let version = self.row()?.version;
        let named = version.room_id_is_create_hash();
        for event in &message.events {
            // An event that cannot be read is dropped where the events are taken in.
            let Ok(pdu) = event.pdu(version) else { continue };
            for id in pdu.prev_events.iter().chain(&pdu.auth_events) {
                let tells = |held: &Stored| !named || !held.pdu.is("m.room.create", "");
                if self.find(id)?.is_some_and(|held| tells(&held)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The events that removed our users and that a server is to be told of, and which of them it was told before:
    /// those it was not told, and the last, which may have been lost. A server that was removed itself is told of
    /// nothing after that.
    fn ends_for(&mut self, server: &ServerName) -> Result<Vec<(Position, Sn, bool)>> {
        let until = self.heard_until(server)?.unwrap_or(FOREVER);
        let query = "WITH ends AS (
                         SELECT e.pos, e.sn, EXISTS (
                             SELECT 1 FROM servers s
                             WHERE s.server = ?1 AND s.since < e.pos AND (s.until IS NULL OR s.until >= e.pos)
                         ) AS heard
                         FROM locals l JOIN now n ON n.type = 'm.room.member' AND n.key = l.user
                         JOIN events e ON e.sn = n.sn
                         WHERE l.membership IN ('leave', 'ban') AND e.pos <= ?2
                     )
                     SELECT pos, sn, heard FROM ends WHERE NOT heard OR pos = (SELECT max(pos) FROM ends)
                     ORDER BY pos DESC LIMIT ?3";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int(2)? != 0));
        let mut ends = self.sql.rows(query, values![server.as_str(), until, RETOLD], read)?;
        let query = "SELECT count(*) FROM servers WHERE members < 0";
        let strangers = self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default();
        ends.retain(|(_, _, heard)| *heard || strangers < MAX_TOLD);
        Ok(ends)
    }
}
