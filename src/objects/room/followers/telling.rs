//! What do the room's followers still have to be told?
//!
//! Telling is a low-water mark, not a queue: every follower was told everything up to `notified_up_to`, but for those
//! in `lagging`. What a follower lacks is derived from positions.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room,
    followers::news::lagging,
    graph::events::Stored,
    messages::{
        MembersMoved, Outbound, OutboundReply, Position, Receipt, SERVICE, ServerDue, Told,
        Undelivered, UndeliveredReply,
    },
    row::RoomRow,
};

/// How long a follower that could not be told is left alone (ms).
const AGAIN: u64 = 5_000;
/// The name in `lagging` of a follower beside users and servers: D1's copy of which servers are in the room. No
/// server's name has a `_`.
const COPY: &str = "room_servers";
/// The same of D1's copy of who is in the room, and of our users who have to know of it.
const MEMBERS: &str = "room_members";

/// Who is to be told what.
pub fn undelivered(room: &mut Room<'_>, _: Undelivered) -> Result<UndeliveredReply> {
    let row = room.row()?;
    let lagging = lagging(room)?;
    let others = lagging.iter().filter(|(name, _)| !name.starts_with(SERVICE));
    let first = others.map(|(_, since)| *since).fold(row.notified_up_to, Position::min);
    let receipts = receipts(room, first)?;
    let newest = receipts.iter().map(|(pos, _)| *pos).max().unwrap_or_default();
    let servers = room.servers_due(&lagging, newest > row.notified_up_to)?;
    let (users, notifiable) = room.local_news(&lagging)?;
    let moved = room.servers_moved(lagging.get(COPY).copied().unwrap_or(row.notified_up_to))?;
    let members = room.members_moved(room_members_told(&row, &lagging))?;
    let (to, lagging) = (row.pos, lagging.into_iter().collect());
    let listing = room.listing_due()?;
    Ok(UndeliveredReply {
        to,
        users,
        notifiable,
        servers,
        moved,
        members,
        listing,
        receipts,
        lagging,
    })
}

/// Notes how far the telling went. Answers when to tell again, if anybody is behind.
pub fn told(room: &mut Room<'_>, message: Told) -> Result<Option<u64>> {
    let mut row = room.row()?;
    let services: Vec<String> =
        message.lagging_services.iter().map(|id| format!("{SERVICE}{id}")).collect();
    let behind: Vec<&str> = message
        .lagging_users
        .iter()
        .map(|user| user.as_str())
        .chain(message.lagging_servers.iter().map(|server| server.as_str()))
        .chain(message.copy_lagging.then_some(COPY))
        .chain(message.members_lagging.then_some(MEMBERS))
        .chain(services.iter().map(String::as_str))
        .collect();
    let caught_up = message.lagging.iter().filter(|(name, _)| !behind.contains(&name.as_str()));
    for (follower, since) in caught_up {
        let delete = "DELETE FROM lagging WHERE follower = ? AND since >= ?";
        room.sql.run(delete, values![follower, *since])?;
    }
    for follower in &behind {
        let insert = "INSERT INTO lagging (follower, since) VALUES (?, ?) ON CONFLICT DO NOTHING";
        room.sql.run(insert, values![*follower, row.notified_up_to])?;
    }
    row.notified_up_to = row.notified_up_to.max(message.to);
    let more = row.pos > row.notified_up_to;
    room.set_row(row)?;
    if let Some(version) = message.listed {
        room.note_copied(version)?;
    }
    let is_behind = !behind.is_empty() || message.listing_lagging;
    let now = room.moment.now;
    room.cache.told_at = now;
    Ok(if more { Some(room.next_telling()) } else { is_behind.then_some(now + AGAIN) })
}

/// The events that we tell a server, in a range: those during its stays in the room, and those that remove one of its
/// users.
pub fn outbound(room: &mut Room<'_>, message: Outbound) -> Result<OutboundReply> {
    room.row()?;
    let farewells = room.farewells(message.from, message.to, message.limit)?;
    if let Some((upto, _)) = farewells.last() {
        // What came later is asked for again.
        let upto = *upto;
        let events = farewells.into_iter().map(|(_, text)| RawValue::from_string(text));
        return Ok(OutboundReply { events: events.collect::<serde_json::Result<_>>()?, upto });
    }
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
            events.push(event.for_servers()?);
        }
    }
    Ok(OutboundReply { events, upto: if full { upto } else { message.to } })
}

/// Up to which position D1's copy of who is in the room, and our users who have to know of it, were told.
fn room_members_told(row: &RoomRow, lagging: &BTreeMap<String, Position>) -> Position {
    lagging.get(MEMBERS).copied().unwrap_or(row.notified_up_to)
}

impl Room<'_> {
    /// Who joined after a position, of which our users are not known to be told yet: they certainly will be.
    pub fn joins_to_tell(&mut self, after: Position) -> Result<BTreeSet<OwnedUserId>> {
        let (row, lagging) = (self.row()?, lagging(self)?);
        let moves = self.moves(after.max(room_members_told(&row, &lagging)), row.pos)?;
        let joins = moves.each.into_iter().filter(|moved| moved.became == Some(Membership::Join));
        Ok(joins.map(|moved| moved.user).collect())
    }

    /// The servers that are to be told something.
    fn servers_due(
        &mut self,
        lagging: &BTreeMap<String, Position>,
        receipts: bool,
    ) -> Result<Vec<ServerDue>> {
        let since = self.row()?.notified_up_to;
        let events = self.owes_since(since)?;
        let mut due: BTreeMap<OwnedServerName, ServerDue> = BTreeMap::new();
        if !events && !receipts && lagging.is_empty() {
            return Ok(Vec::new());
        }
        let heard = self.all_heard_until()?;
        let heard = |server: &OwnedServerName| heard.get(server.as_str()).copied();
        if events || receipts {
            let mut servers = self.servers_since(since)?;
            servers.extend(self.removed_servers(since)?);
            for server in servers {
                let receipts = heard(&server).unwrap_or_default();
                due.insert(server.clone(), ServerDue { server, since, events, receipts });
            }
        }
        for (follower, since) in lagging {
            // Users begin with `@`, which no server does.
            let Ok(server) = OwnedServerName::try_from(follower.as_str()) else { continue };
            let (events, receipts) = (self.owes_since(*since)?, heard(&server).unwrap_or_default());
            due.insert(server.clone(), ServerDue { server, since: *since, events, receipts });
        }
        due.remove(&self.config.server_name);
        Ok(due.into_values().collect())
    }

    /// Whose membership changed since a position, if anybody's did.
    fn members_moved(&mut self, from: Position) -> Result<Option<MembersMoved>> {
        let row = self.row()?;
        let moves = self.moves(from, row.pos)?;
        if moves.is_empty() {
            return Ok(None);
        }
        let joined = |(user, membership, _)| (membership == Membership::Join).then_some(user);
        let mut tell: BTreeSet<OwnedUserId> =
            self.locals()?.into_iter().filter_map(joined).collect();
        let here = !tell.is_empty();
        let went = moves.each.iter().filter(|moved| moved.was == Some(Membership::Join));
        tell.extend(went.map(|moved| moved.user.clone()).filter(|user| self.is_ours(user)));
        let everybody = moves.everybody || !here && !tell.is_empty();
        let mut now: BTreeMap<OwnedUserId, Option<Membership>> =
            moves.each.into_iter().map(|moved| (moved.user, moved.became)).collect();
        if everybody {
            let members = self.members_at(row.pos)?.into_iter();
            now.extend(members.map(|(user, membership)| (user, Some(membership))));
        }
        // Who is alone needs not know that they came or went.
        if tell.len() == 1 && now.keys().eq(&tell) && row.joined + row.invited <= 1 {
            tell.clear();
        }
        let tell = tell.into_iter().collect();
        let mut members = MembersMoved { from, tell, ..MembersMoved::default() };
        for (user, membership) in now {
            // A room without any of us is not in the copy.
            match membership.filter(|_| here) {
                Some(Membership::Join) => members.joined.push(user),
                Some(Membership::Invite) => members.invited.push(user),
                _ => members.out.push(user),
            }
        }
        Ok(Some(members))
    }

    /// Whether there is an event since a position that other servers are to be told of.
    fn owes_since(&mut self, since: Position) -> Result<bool> {
        let query = "SELECT 1 FROM events WHERE pos > ? AND ours LIMIT 1";
        Ok(self.sql.row(query, values![since], |row| row.int(0))?.is_some())
    }

    /// Servers of users removed since a position.
    fn removed_servers(&mut self, since: Position) -> Result<Vec<OwnedServerName>> {
        let row = self.row()?;
        let events = self.between(since + 1, row.pos, false, u32::MAX)?;
        Ok(events.iter().filter(|event| event.ours).filter_map(|event| removed(event)).collect())
    }

    /// Has a follower told of everything after a position, though the follower was told of it before.
    pub fn tell_again(&mut self, follower: &str, since: Position) -> Result<()> {
        // What the follower was not told yet must not be left out.
        let since = since.min(self.row()?.notified_up_to);
        let insert = "INSERT INTO lagging (follower, since) VALUES (?, ?) ON CONFLICT DO UPDATE SET since = min(since, excluded.since)";
        self.sql.run(insert, values![follower, since])?;
        Ok(())
    }
}

/// The server of the user whom this event removes. If the user was only invited, that server may have no stay in the
/// room.
fn removed(event: &Stored) -> Option<OwnedServerName> {
    let removes = event.pdu.membership().is_some_and(Membership::is_out);
    let user = event
        .pdu
        .state_key
        .as_deref()
        .filter(|_| removes && event.pdu.kind() == "m.room.member")?;
    UserId::parse(user).ok().map(|user| user.server_name().to_owned())
}

/// Public read receipts of local users since a position: other servers are told of those.
fn receipts(room: &mut Room<'_>, since: Position) -> Result<Vec<(Position, Receipt)>> {
    let mut receipts = receipts_since(room, since)?;
    receipts.retain(|(_, receipt)| receipt.kind == "m.read" && room.is_ours(&receipt.user));
    Ok(receipts)
}

/// All receipts since a position, oldest first.
pub fn receipts_since(room: &mut Room<'_>, since: Position) -> Result<Vec<(Position, Receipt)>> {
    let query =
        "SELECT user, kind, thread, event, ts, pos FROM receipts WHERE pos > ? ORDER BY pos";
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
        receipts.push((pos, receipt));
    }
    Ok(receipts)
}
