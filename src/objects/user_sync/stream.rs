//! How does a room's news get into the user's stream?
//!
//! A row covered by an issued token never changes, so the same token always gives the same answer. A newer row grows
//! with the news.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedRoomId, RoomId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{
    event::{field, fields},
    membership::Membership,
};

use super::{
    JoinedRooms, MayInvite, Memberships, News, NoteTraits, ReadableRooms, ReadableRoomsReply,
    Refusal, Result, RoomPosition, StreamPosition, TypingNews, User, invite_rules::InviteRule,
    schema::STEPS,
};
use crate::{
    objects::room::{
        Position,
        messages::{Traits, UserNews},
    },
    shell::Stop,
};

/// How many invites may await the user's answer before other servers may bring no more.
const MAX_INVITES: usize = 500;

/// The last row of a room.
#[derive(Clone, Debug)]
pub struct Last {
    pub pos: StreamPosition,
    pub upto: Position,
    pub membership: Membership,
    /// When something last happened there that the user was told of (ms).
    pub active: u64,
    /// `None` where nobody said so yet.
    pub traits: Option<Rc<Traits>>,
}

/// Notes that a room has news. Told twice, the news is noted once.
pub fn news(user: &mut User<'_>, message: News) -> Result<()> {
    user.create()?;
    let News { room_id, news } = message;
    let last = user.loaded()?.rooms.get(&room_id).cloned();
    if last.as_ref().is_some_and(|last| last.upto >= news.to) {
        return Ok(());
    }
    if last.as_ref().is_some_and(|last| last.membership.is_out()) && !news.membership.is_out() {
        user.remember(&room_id)?;
    }
    if !news.membership.is_out() && last.as_ref().is_none_or(|last| last.membership.is_out()) {
        user.depart_again()?;
    }
    if news.membership.is_out() {
        // The user gets no more typing news of this room, so nobody types there for them. The row stays, since its
        // position was given out.
        let update = "UPDATE typing SET users = '[]' WHERE room = ?";
        user.sql.run(update, values![room_id.as_str()])?;
    }
    let mut newest = user.newest(&news, last.as_ref());
    let pos = user.note_range(&room_id, (&news, &newest), last.as_ref())?;
    newest.pos = pos;
    let was_in = last.as_ref().is_some_and(|last| last.membership == Membership::Join);
    let is_in = news.membership == Membership::Join;
    let told = last.as_ref().map_or(0, |last| last.upto);
    // Between two pieces of news the user may have left and come again.
    let came = news.notify.as_ref().is_some_and(|notify| notify.since > told);
    if is_in != was_in || came || news.membership.is_out() {
        user.read_room(&room_id, pos)?;
    }
    if is_in && !was_in {
        user.tell_items_of(room_id.as_str(), pos)?;
        if let Some(replaced) = &news.predecessor {
            user.take_over(replaced, &room_id)?;
        }
    }
    user.note_notices(&room_id, &news, (told, pos))?;
    user.note_invite(&room_id, &news, pos)?;
    user.loaded()?.rooms.insert(room_id, newest);
    user.effects.wake = true;
    Ok(())
}

impl User<'_> {
    /// The stripped state in a row, if there is one.
    pub fn stripped_at(&mut self, pos: StreamPosition) -> Result<Option<String>> {
        let query = "SELECT stripped FROM stream WHERE pos = ?";
        Ok(self.sql.row(query, values![pos], |row| row.text_or_null(0))?.flatten())
    }

    /// Up to where a room was told at a position of the stream, if anything was.
    pub fn told_at(&mut self, room: &RoomId, at: StreamPosition) -> Result<Option<Position>> {
        let Some(last) = self.loaded()?.rooms.get(room) else { return Ok(None) };
        if last.pos <= at {
            return Ok(Some(last.upto));
        }
        // The first row after the position says where the one before ended.
        let query = "SELECT since FROM stream WHERE pos > ? AND room = ? ORDER BY pos LIMIT 1";
        let since = self.sql.row(query, values![at, room.as_str()], |row| row.int(0))?;
        Ok(since.filter(|since| *since > 0))
    }

    /// The room's last row as the news makes it; its position is not known yet.
    fn newest(&self, news: &UserNews, last: Option<&Last>) -> Last {
        let active = match last {
            Some(last) if !news.active => last.active,
            _ => self.moment.now,
        };
        let told = news.traits.clone().or_else(|| news.stripped.as_deref().map(of_stripped));
        let traits = told.map(Rc::new).or_else(|| last?.traits.clone());
        Last { pos: 0, upto: news.to, membership: news.membership, active, traits }
    }

    /// Notes the range of a room that is news, in its last row or in a new one; answers where in the stream it is.
    fn note_range(
        &mut self,
        room: &RoomId,
        (news, newest): (&UserNews, &Last),
        last: Option<&Last>,
    ) -> Result<StreamPosition> {
        let stripped = news.stripped.as_ref().map(|stripped| stripped.get());
        let traits = newest.traits.as_deref().map(serde_json::to_string).transpose()?;
        let (traits, active) = (traits.as_deref(), newest.active);
        let (membership, issued) = (news.membership.as_str(), self.loaded()?.issued);
        if let Some(last) = last.filter(|last| last.pos > issued) {
            let update = "UPDATE stream SET upto = ?, membership = ?, stripped = ?, active = ?, traits = ? WHERE pos = ?";
            let values = values![news.to, membership, stripped, active, traits, last.pos];
            self.sql.run(update, values)?;
            return Ok(last.pos);
        }
        let pos = self.next_pos()?;
        let insert = "INSERT INTO stream (pos, room, since, upto, membership, stripped, active, traits) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let since = last.map_or(0, |last| last.upto);
        let room = room.as_str();
        let values = values![pos, room, since, news.to, membership, stripped, active, traits];
        self.sql.run(insert, values)?;
        Ok(pos)
    }
}

/// What a stripped state says of a room.
fn of_stripped(stripped: &RawValue) -> Traits {
    let events: Vec<&RawValue> = serde_json::from_str(stripped.get()).unwrap_or_default();
    let text = |value: Option<&RawValue>| serde_json::from_str::<String>(value?.get()).ok();
    let mut traits = Traits::default();
    for event in events {
        let [kind, content] = fields(event, ["type", "content"]);
        match text(kind).as_deref() {
            Some("m.room.encryption") => traits.encrypted = true,
            Some("m.room.create") => {
                let room_type = content.and_then(|content| text(field(content, "type")));
                traits.room_type = room_type.filter(|text| text.len() <= Traits::MAX_TYPE);
            }
            _ => {}
        }
    }
    traits
}

/// Notes what rooms are that were told before rooms said so.
pub fn note_traits(user: &mut User<'_>, message: NoteTraits) -> Result<()> {
    user.exists()?;
    for (room_id, traits) in message.rooms {
        let text = serde_json::to_string(&traits)?;
        let Some(last) = user.loaded()?.rooms.get_mut(&room_id) else { continue };
        last.traits = Some(Rc::new(traits));
        let pos = last.pos;
        user.sql.run("UPDATE stream SET traits = ? WHERE pos = ?", values![&text, pos])?;
    }
    Ok(())
}

/// Refuses an invite that the user's rules block, and one from another server if too many are unanswered, or if the
/// account was deactivated.
pub fn may_invite(user: &mut User<'_>, message: MayInvite) -> Result<()> {
    // The server's own user is in no other rooms than those that it makes.
    if user.config.server_notices.as_ref().is_some_and(|sender| sender.as_str() == user.name) {
        return Err(Stop::Refused(Refusal::InviteBlocked));
    }
    if !user.cache.schema.exists(user.sql, STEPS)? {
        return Ok(());
    }
    if user.invite_rule(message.inviter.as_deref())? == InviteRule::Block {
        return Err(Stop::Refused(Refusal::InviteBlocked));
    }
    let own = &user.config.server_name;
    let inviter = message.inviter;
    if inviter.as_ref().is_some_and(|inviter| inviter.server_name() == own) {
        return Ok(());
    }
    user.must_be_active()?;
    let rooms = user.loaded()?.rooms.iter();
    let others = rooms
        .filter(|(room, last)| last.membership == Membership::Invite && **room != message.room_id);
    let others: Vec<OwnedRoomId> = others.map(|(room, _)| room.clone()).collect();
    if others.len() < MAX_INVITES {
        return Ok(());
    }
    // Invites that are not shown cannot be answered: they are counted by themselves, and keep out nobody else's.
    let hidden = user.hides_invite_by(inviter)?;
    let mut alike = 0;
    for room in others {
        alike += usize::from(user.hides_invite(&room, None)? == hidden);
    }
    if alike < MAX_INVITES {
        return Ok(());
    }
    let reason = "this user has too many invites to answer".to_owned();
    Err(Stop::Refused(Refusal::Forbidden(reason)))
}

/// Notes who types in a room.
pub fn typing_news(user: &mut User<'_>, message: TypingNews) -> Result<()> {
    user.exists()?;
    let users = serde_json::to_string(&message.typing)?;
    let room = message.room_id.as_str();
    let held = user
        .sql
        .row("SELECT users FROM typing WHERE room = ?", values![room], |row| row.text(0))?;
    if held.as_deref().unwrap_or("[]") == users {
        return Ok(());
    }
    let pos = user.next_pos()?;
    user.loaded()?.typing = pos;
    let insert = "INSERT INTO typing (room, pos, users) VALUES (?, ?, ?)
                  ON CONFLICT DO UPDATE SET pos = excluded.pos, users = excluded.users";
    user.sql.run(insert, values![room, pos, &users])?;
    user.effects.wake = true;
    Ok(())
}

/// The rooms the user is joined to.
pub fn joined_rooms(user: &mut User<'_>, _: JoinedRooms) -> Result<Vec<OwnedRoomId>> {
    user.exists()?;
    let rooms = user.loaded()?.rooms.iter().filter(|(_, last)| last.membership == Membership::Join);
    Ok(rooms.map(|(room, _)| room.clone()).collect())
}

/// What the user is in each room that they know.
pub fn memberships(user: &mut User<'_>, _: Memberships) -> Result<Vec<(OwnedRoomId, Membership)>> {
    user.exists()?;
    let rooms = user.loaded()?.rooms.iter();
    Ok(rooms.map(|(room, last)| (room.clone(), last.membership)).collect())
}

/// The rooms the user may read; some of them may hold nothing for them.
pub fn readable_rooms(user: &mut User<'_>, _: ReadableRooms) -> Result<ReadableRoomsReply> {
    user.exists()?;
    let forgotten = user.forgotten_rooms()?;
    let rooms = user.loaded()?.rooms.iter();
    let readable = rooms.filter(|(room, last)| {
        let left = last.membership.is_out() && !forgotten.contains(room.as_str());
        last.membership == Membership::Join || left
    });
    let rooms = readable.map(|(room, _)| room.clone()).collect();
    Ok(ReadableRoomsReply { rooms, ignored: BTreeSet::clone(&*user.ignored()?) })
}

/// Up to which position of a room the user had been told at a position of their stream.
pub fn room_position(user: &mut User<'_>, message: RoomPosition) -> Result<Position> {
    user.exists()?;
    let upto = user.told_at(&message.room_id, message.at)?;
    upto.ok_or(Stop::Refused(Refusal::NotFound))
}
