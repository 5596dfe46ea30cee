//! What do the room's followers still have to be told?
//!
//! Telling is a low-water mark, not a queue: everybody was told up to `told`, but for those in `lagging`. What a
//! follower lacks is derived from positions.

use std::collections::BTreeMap;

use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::event::{for_federation, stripped};

use super::{
    FOREVER, Life, LocalNews, LocalNewsReply, LocalsTold, Outbound, OutboundReply, Position,
    Receipt, Receive, Refusal, Result, Room, ServerDue, Sn, Telling, Told, Undelivered,
    UndeliveredReply, UserNews, timeline::Stored,
};
use crate::objects::Stop;

/// How long a follower that could not be told is left alone (ms).
const AGAIN: u64 = 5_000;
/// What follows beside users and servers: D1's copy of which servers are in the room. No server's name has a `_`.
const COPY: &str = "room_servers";
/// How often a server that counts us in is told that we left (ms),
const RETELL: u64 = 60_000;
/// of how many users at once,
const RETOLD: u32 = 50;
/// and how many tellings a room remembers of servers that were not in it.
const MAX_TOLD: i64 = 5_000;

pub use tombolo_protocol::event::SHOWN_TO_INVITED;

/// What local users are to be told.
pub fn local_news(room: &mut Room<'_>, _: LocalNews) -> Result<LocalNewsReply> {
    let to = room.head()?.pos;
    let lagging = lagging(room)?;
    Ok(LocalNewsReply { to, news: room.local_news(&lagging)? })
}

/// Notes up to where local users were told.
pub fn locals_told(room: &mut Room<'_>, message: LocalsTold) -> Result<()> {
    room.head()?;
    room.hot.locals_told = room.hot.locals_told.max(message.to);
    Ok(())
}

/// Who is to be told what.
pub fn undelivered(room: &mut Room<'_>, _: Undelivered) -> Result<UndeliveredReply> {
    let head = room.head()?;
    let lagging = lagging(room)?;
    let first = lagging.values().copied().fold(head.told, Position::min);
    let receipts = receipts(room, first)?;
    let newest = receipts.iter().map(|(pos, _)| *pos).max().unwrap_or_default();
    let servers = room.servers_due(&lagging, newest > head.told)?;
    let news = room.local_news(&lagging)?;
    let moved = room.servers_moved(lagging.get(COPY).copied().unwrap_or(head.told))?;
    let lagging = lagging.into_iter().collect();
    Ok(UndeliveredReply { to: head.pos, users: news, servers, moved, receipts, lagging })
}

/// Notes how far the telling went. Answers when to tell again, if anybody is behind.
pub fn told(room: &mut Room<'_>, message: Told) -> Result<Option<u64>> {
    let mut head = room.head()?;
    let behind: Vec<&str> = message
        .lagging_users
        .iter()
        .map(|user| user.as_str())
        .chain(message.lagging_servers.iter().map(|server| server.as_str()))
        .chain(message.copy_lagging.then_some(COPY))
        .collect();
    let caught_up = message.lagging.iter().filter(|(name, _)| !behind.contains(&name.as_str()));
    for (follower, since) in caught_up {
        let delete = "DELETE FROM lagging WHERE follower = ? AND since >= ?";
        room.sql.run(delete, values![follower, *since])?;
    }
    for follower in &behind {
        let insert = "INSERT INTO lagging (follower, since) VALUES (?, ?) ON CONFLICT DO NOTHING";
        room.sql.run(insert, values![*follower, head.told])?;
    }
    head.told = head.told.max(message.to);
    let more = head.pos > head.told;
    room.set_head(head)?;
    let now = room.moment.now;
    room.hot.told_at = now;
    Ok(if more { Some(room.next_telling()) } else { (!behind.is_empty()).then_some(now + AGAIN) })
}

/// The events a server is owed in a range: ours, while it had a member in the room before them.
pub fn outbound(room: &mut Room<'_>, message: Outbound) -> Result<OutboundReply> {
    room.head()?;
    let query = "SELECT since, until FROM servers WHERE server = ?";
    let stays = room.sql.rows(query, values![message.server.as_str()], |row| {
        Ok((row.int(0)?, row.int_or_null(1)?))
    })?;
    let query = "SELECT sn FROM events WHERE pos > ? AND pos <= ? ORDER BY pos LIMIT ?";
    let sns =
        room.sql.rows(query, values![message.from, message.to, message.limit], |row| row.int(0))?;
    let full = sns.len() >= message.limit as usize;
    let (mut events, mut upto) = (Vec::new(), message.from);
    for sn in sns {
        let event = room.event(sn)?;
        let pos = event.pos.unwrap_or_default();
        upto = pos;
        let present = stays
            .iter()
            .any(|(since, until)| *since < pos && until.is_none_or(|until| pos <= until));
        let named = removed(&event).as_ref() == Some(&message.server);
        let from_it = event.given_by.as_ref() == Some(&message.server);
        if event.ours && (present || named) && !from_it {
            events.push(RawValue::from_string(for_federation(&event.pdu).to_owned())?);
        }
    }
    Ok(OutboundReply { events, upto: if full { upto } else { message.to } })
}

impl Room<'_> {
    /// What local users have not been told yet, those outside the room included.
    fn local_news(&mut self, lagging: &BTreeMap<String, Position>) -> Result<Vec<UserNews>> {
        let head = self.head()?;
        let told = head.told.max(self.hot.locals_told);
        let since = |user: &OwnedUserId| lagging.get(user.as_str()).copied().unwrap_or(told);
        let mut users = Vec::new();
        for (user, membership, pos) in self.locals()? {
            let to = if membership == "join" { head.pos } else { pos };
            if to > since(&user) {
                users.push(user);
            }
        }
        let mut news = self.news_for(&users)?;
        let first = lagging.values().copied().fold(told, Position::min);
        let mut outside = self.news_out_of_band(first)?;
        outside.retain(|news| news.to > since(&news.user));
        news.extend(outside);
        Ok(news)
    }

    /// What these local users are to be told, as of now.
    pub fn news_for(&mut self, users: &[OwnedUserId]) -> Result<Vec<UserNews>> {
        let head = self.head()?;
        let mut news = Vec::new();
        for user in users {
            let query = "SELECT membership, pos FROM locals WHERE user = ?";
            let found = self
                .sql
                .row(query, values![user.as_str()], |row| Ok((row.text(0)?, row.int(1)?)))?;
            let Some((membership, pos)) = found else { continue };
            let to = if membership == "join" { head.pos } else { pos };
            let stripped = match membership.as_str() {
                "invite" | "knock" => Some(self.stripped_for(user)?),
                _ => None,
            };
            news.push(UserNews { user: user.clone(), to, membership, stripped });
        }
        Ok(news)
    }

    /// The servers that are to be told something.
    fn servers_due(
        &mut self,
        lagging: &BTreeMap<String, Position>,
        receipts: bool,
    ) -> Result<Vec<ServerDue>> {
        let since = self.head()?.told;
        let events = self.owes_since(since)?;
        let mut due: BTreeMap<OwnedServerName, ServerDue> = BTreeMap::new();
        if events || receipts {
            let mut servers = self.servers_since(since)?;
            servers.extend(self.removed_servers(since)?);
            for server in servers {
                let receipts = self.heard_until(&server)?;
                due.insert(server.clone(), ServerDue { server, since, events, receipts });
            }
        }
        for (follower, since) in lagging {
            // Users begin with `@`, which no server does.
            let Ok(server) = OwnedServerName::try_from(follower.as_str()) else { continue };
            let (events, receipts) = (self.owes_since(*since)?, self.heard_until(&server)?);
            due.insert(server.clone(), ServerDue { server, since: *since, events, receipts });
        }
        due.remove(&self.config.server_name);
        Ok(due.into_values().collect())
    }

    /// Where the last stay of a server ended: it hears nothing after that. 0: it was never here.
    fn heard_until(&mut self, server: &ServerName) -> Result<Position> {
        let query = "SELECT max(coalesce(until, ?)) FROM servers WHERE server = ? AND members >= 0";
        let read = |row: &Row<'_>| row.int_or_null(0);
        let until = self.sql.row(query, values![FOREVER, server.as_str()], read)?;
        Ok(until.flatten().unwrap_or_default())
    }

    /// A server that sends us events of a room we left counts us in: it did not hear how our users went, or heard of it
    /// before it knew of them. It is told (again), if it cites an event that we hold: whoever knows nothing of the room
    /// learns nothing of who was in it.
    pub fn tell_that_we_left(&mut self, message: &Receive) -> Result<()> {
        let origin = &message.origin;
        let now = self.moment.now;
        let lately = self.hot.retold.get(origin.as_str()).is_some_and(|at| at + RETELL > now);
        if lately || self.head()?.life != Life::Left {
            return Ok(());
        }
        if !self.allows(origin)? || !self.knows_the_room(message)? {
            return Ok(());
        }
        self.hot.retold.retain(|_, at| *at + RETELL > now);
        self.hot.retold.insert(origin.to_string(), now);
        for (pos, sn, heard) in self.ends_for(origin)? {
            if !heard {
                // It is told this one event, and entitled to nothing by that.
                let insert = "INSERT INTO servers (server, since, until, members) VALUES (?, ?, ?, -1) ON CONFLICT DO NOTHING";
                self.sql.run(insert, values![origin.as_str(), pos - 1, pos])?;
            }
            // It may be somebody else's event, which removed a user of ours.
            self.sql.run("UPDATE events SET ours = 1 WHERE sn = ?", values![sn])?;
            self.forget(sn);
            let insert = "INSERT INTO lagging (follower, since) VALUES (?, ?) ON CONFLICT DO UPDATE SET since = min(since, excluded.since)";
            self.sql.run(insert, values![origin.as_str(), pos - 1])?;
            self.tell(Telling::Soon);
        }
        Ok(())
    }

    /// Whether one of the events cites one that we hold; the create event of a room that is named for it, anybody knows.
    fn knows_the_room(&mut self, message: &Receive) -> Result<bool> {
        let version = self.head()?.version;
        let named = version.room_id_is_create_hash();
        for event in &message.events {
            // What cannot be read is dropped by whoever takes the event in.
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

    /// The events by which our users went that a server is to be told of, and which of them it heard: those it did not
    /// hear, and the last, which may have been lost. A server that was removed hears nothing of what came after.
    fn ends_for(&mut self, server: &ServerName) -> Result<Vec<(Position, Sn, bool)>> {
        let until = match self.heard_until(server)? {
            0 => FOREVER,
            until => until,
        };
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

    /// Whether there is an event since a position that other servers are to be told of.
    fn owes_since(&mut self, since: Position) -> Result<bool> {
        let query = "SELECT 1 FROM events WHERE pos > ? AND ours LIMIT 1";
        Ok(self.sql.row(query, values![since], |row| row.int(0))?.is_some())
    }

    /// Servers of users removed since a position.
    fn removed_servers(&mut self, since: Position) -> Result<Vec<OwnedServerName>> {
        let head = self.head()?;
        let events = self.between(since + 1, head.pos, false, u32::MAX)?;
        Ok(events.iter().filter(|event| event.ours).filter_map(|event| removed(event)).collect())
    }

    /// The stripped state for an invited or knocking user, their member event included, as a JSON array.
    fn stripped_for(&mut self, user: &OwnedUserId) -> Result<Box<RawValue>> {
        let mut events = Vec::new();
        for kind in SHOWN_TO_INVITED {
            events.extend(self.now_event(kind, "")?);
        }
        let member = self
            .now_event("m.room.member", user.as_str())?
            .ok_or(Stop::Refused(Refusal::NotFound))?;
        if member.pdu.sender != *user {
            events.extend(self.now_event("m.room.member", member.pdu.sender.as_str())?);
        }
        events.push(member);
        let texts: Vec<String> = events.iter().map(|event| stripped(&event.pdu)).collect();
        Ok(RawValue::from_string(format!("[{}]", texts.join(",")))?)
    }
}

/// The server of the user whom this event removes. They may only have been invited, so that their server is in no
/// interval.
fn removed(event: &Stored) -> Option<OwnedServerName> {
    let removes = matches!(event.pdu.membership().as_deref(), Some("leave" | "ban"));
    let user = event
        .pdu
        .state_key
        .as_deref()
        .filter(|_| removes && event.pdu.kind() == "m.room.member")?;
    UserId::parse(user).ok().map(|user| user.server_name().to_owned())
}

fn lagging(room: &mut Room<'_>) -> Result<BTreeMap<String, Position>> {
    let rows = room.sql.rows("SELECT follower, since FROM lagging", values![], |row| {
        Ok((row.text(0)?, row.int(1)?))
    })?;
    Ok(rows.into_iter().collect())
}

/// Public read receipts of local users since a position: other servers are told of those.
fn receipts(room: &mut Room<'_>, since: Position) -> Result<Vec<(Position, Receipt)>> {
    let query =
        "SELECT user, kind, thread, event, ts, pos FROM receipts WHERE pos > ? AND kind = 'm.read'";
    let rows = room.sql.rows(query, values![since], |row| {
        let thread = row.text(2)?;
        Ok((row.text(0)?, row.text(1)?, thread, row.text(3)?, row.int(4)?, row.int(5)?))
    })?;
    let mut receipts = Vec::new();
    for (user, kind, thread, event, ts, pos) in rows {
        let (Ok(user), Ok(event_id)) = (user.try_into(), event.try_into()) else { continue };
        let receipt = Receipt {
            user,
            kind,
            thread: (!thread.is_empty()).then_some(thread),
            event_id,
            ts: u64::try_from(ts).unwrap_or_default(),
        };
        if room.is_ours(&receipt.user) {
            receipts.push((pos, receipt));
        }
    }
    Ok(receipts)
}
