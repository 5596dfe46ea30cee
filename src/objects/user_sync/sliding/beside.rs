//! What is new for a connection beside its rooms: account data, who types, what encryption needs?

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::{
    connections::{Connection, Sent, SentRoom},
    wanted::{Chosen, InScope},
};
use crate::{
    objects::user_sync::{Result, Slid, Slide, StreamPosition, User, account_data::is_removed},
    shell::Stop,
};

/// Who types in a room, and whether that changed.
type Typing = (OwnedRoomId, Vec<OwnedUserId>, bool);

impl Sent {
    /// Changes what is noted of a room. What was sent before is copied only where something changes.
    fn amend(sent: &mut Rc<Self>, room: &RoomId, note: impl Fn(&mut SentRoom)) {
        let Some(mut amended) = sent.rooms.get(room).cloned() else { return };
        note(&mut amended);
        if sent.rooms.get(room) != Some(&amended) {
            Rc::make_mut(sent).rooms.insert(room.to_owned(), amended);
        }
    }
}

/// Those of the rooms in scope of which something is wanted.
fn chosen<'a>(scope: &'a [InScope<'_>], chosen: Option<Chosen<'_>>) -> BTreeSet<&'a RoomId> {
    let Some(chosen) = chosen else { return BTreeSet::new() };
    scope.iter().filter(|room| chosen.has(room)).map(|room| &*room.room_id).collect()
}

impl User<'_> {
    /// Adds account data: of the user, and of rooms in scope. What is not sent of a room that the client knows is noted:
    /// all of it is sent when it is asked for again.
    pub fn add_account_data_beside(
        &mut self,
        (message, connection): (&Slide, &Connection),
        scope: &[InScope<'_>],
        sent: &mut Rc<Sent>,
        slid: &mut Slid,
    ) -> Result<()> {
        let wanted = message.extensions.account_data.as_ref();
        let since = message.pos.map(|_| connection.at);
        // What rooms have is read with each of them where it was not sent yet.
        let (global, of_rooms) = self.account_data_since(since, since.is_some())?;
        if wanted.is_some() {
            slid.account_data = global;
        }
        let shown = chosen(scope, Chosen::of(wanted, message));
        for room in &shown {
            if sent.rooms.get(*room).is_none_or(|known| known.account_data) {
                continue;
            }
            Sent::amend(sent, room, |known| known.account_data = true);
            let is_new = !connection.sent.rooms.contains_key(*room);
            let items = self.all_account_data_of(room, is_new)?;
            if !items.is_empty() {
                slid.account_data_of_rooms.insert((*room).to_owned(), items);
            }
        }
        for (room, item) in of_rooms {
            let is_new = connection.sent.rooms.get(&room).is_none_or(|before| !before.account_data);
            if !shown.contains(&*room) {
                Sent::amend(sent, &room, |known| known.account_data = false);
            } else if !is_new {
                slid.account_data_of_rooms.entry(room).or_default().push(item);
            }
        }
        Ok(())
    }

    /// The account data of a room. A client that may have held it is told what was removed, too.
    fn all_account_data_of(
        &mut self,
        room: &RoomId,
        is_new: bool,
    ) -> Result<Vec<(String, Box<RawValue>)>> {
        let query = "SELECT type, content FROM account_data WHERE room = ? ORDER BY type";
        let rows =
            self.sql.rows(query, values![room.as_str()], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let held = rows.into_iter().filter(|(kind, content)| {
            !is_new || !is_removed((room.as_str(), kind.as_str()), content)
        });
        held.map(|(kind, content)| Ok((kind, RawValue::from_string(content)?))).collect()
    }

    /// Adds who types in rooms in scope. Where that changed in a room that the client knows and does not see, this is
    /// noted: it is told when the room is back.
    pub fn add_typing_beside(
        &mut self,
        (message, connection): (&Slide, &Connection),
        scope: &[InScope<'_>],
        sent: &mut Rc<Sent>,
        slid: &mut Slid,
    ) -> Result<()> {
        let joined = scope.iter().filter(|room| room.last.membership == Membership::Join);
        let joined: BTreeSet<&RoomId> = joined.map(|room| &*room.room_id).collect();
        let mut shown = chosen(scope, Chosen::of(message.extensions.typing.as_ref(), message));
        shown.retain(|room| joined.contains(room));
        let has_missed =
            |room: &&RoomId| sent.rooms.get(*room).is_some_and(|known| known.typing_missed);
        let missed: BTreeSet<&RoomId> = shown.iter().copied().filter(has_missed).collect();
        for (room, users, changed) in self.typing_since(connection.at, !missed.is_empty())? {
            let is_new = !connection.sent.rooms.contains_key(&room);
            if !sent.rooms.contains_key(&room) || is_new && users.is_empty() {
                continue;
            }
            if shown.contains(&*room) && (changed || missed.contains(&*room)) {
                slid.typing.insert(room, users);
            } else if changed && !shown.contains(&*room) {
                Sent::amend(sent, &room, |known| known.typing_missed = true);
            }
        }
        for room in missed {
            Sent::amend(sent, room, |known| known.typing_missed = false);
        }
        Ok(())
    }

    /// Who types in rooms, and whether that changed since: those in which it did, or all rooms.
    fn typing_since(&mut self, at: StreamPosition, all: bool) -> Result<Vec<Typing>> {
        if !all && self.loaded()?.typing <= at {
            return Ok(Vec::new());
        }
        let ignored = self.ignored()?;
        let query = "SELECT room, pos, users FROM typing WHERE pos > ?1 OR ?2";
        let rows = self
            .sql
            .rows(query, values![at, all], |row| Ok((row.text(0)?, row.int(1)?, row.text(2)?)))?;
        let mut typing = Vec::new();
        for (room, pos, users) in rows {
            let room = room.try_into().map_err(|_| Stop::broken("a room has no ID"))?;
            let mut users: Vec<OwnedUserId> = serde_json::from_str(&users)?;
            users.retain(|user| !ignored.contains(user));
            typing.push((room, users, pos > at));
        }
        Ok(typing)
    }

    /// Adds subscriptions to threads.
    pub fn add_subscriptions(
        &mut self,
        message: &Slide,
        connection: &Connection,
        slid: &mut Slid,
    ) -> Result<()> {
        let wanted = message.extensions.thread_subscriptions;
        let Some(limit) = wanted.filter(|_| self.config.thread_subscriptions) else {
            return Ok(());
        };
        let next = self.loaded()?.pos;
        slid.subscriptions = self.subscriptions_between(connection.at, next, limit)?;
        if message.pos.is_none() {
            // Who begins had none that could have ended.
            slid.subscriptions.changed.retain(|of| of.automatic.is_some());
        }
        Ok(())
    }

    /// Adds messages to the device, and whose devices changed.
    pub fn add_encryption(
        &mut self,
        message: &Slide,
        connection: &Connection,
        slid: &mut Slid,
    ) -> Result<()> {
        let next = self.loaded()?.pos;
        slid.messages_upto = next;
        if let Some(wanted) = &message.extensions.to_device {
            let got = wanted.since.map(|got| got.min(next));
            let waiting = self.next_messages(&slid.device_id, got)?;
            slid.messages = waiting.messages;
            if waiting.more {
                slid.messages_upto = waiting.last;
            }
        }
        if !message.extensions.e2ee {
            return Ok(());
        }
        slid.key_counts = self.key_counts(&slid.device_id)?;
        if message.pos.is_some() {
            slid.shares = self.shares_between(connection.at, next)?;
            slid.devices_changed = self.devices_changed(connection.at)?;
        }
        Ok(())
    }
}
