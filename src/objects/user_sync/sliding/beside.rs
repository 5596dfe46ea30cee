//! What is new for a connection beside its rooms: account data, who types, what encryption needs?

use ruma::{OwnedUserId, RoomId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::{
    connections::{Connection, Sent},
    wanted::InScope,
    wants,
};
use crate::objects::user_sync::{Result, Slid, Slide, User, account_data::is_removed};

impl User<'_> {
    /// Adds account data: of the user, and of rooms in scope. What is not sent of a room that the client knows is noted:
    /// all of it is sent when it is asked for again.
    pub fn add_account_data_beside(
        &mut self,
        (message, connection): (&Slide, &Connection),
        scope: &[InScope],
        sent: &mut Sent,
        slid: &mut Slid,
    ) -> Result<()> {
        let wanted = message.extensions.account_data.as_ref();
        let since = message.pos.map(|_| connection.at);
        // What rooms have is read with each of them where it was not sent yet.
        let (global, of_rooms) = self.account_data_since(since, since.is_some())?;
        if wanted.is_some() {
            slid.account_data = global;
        }
        for room in scope.iter().filter(|room| wants(wanted, room)) {
            let Some(known) = sent.rooms.get_mut(&room.room_id).filter(|room| !room.account_data)
            else {
                continue;
            };
            known.account_data = true;
            let is_new = !connection.sent.rooms.contains_key(&room.room_id);
            let items = self.all_account_data_of(&room.room_id, is_new)?;
            if !items.is_empty() {
                slid.account_data_of_rooms.insert(room.room_id.clone(), items);
            }
        }
        for (room, item) in of_rooms {
            let Some(known) = sent.rooms.get_mut(&room) else { continue };
            let is_new = connection.sent.rooms.get(&room).is_none_or(|before| !before.account_data);
            let shown = scope.iter().any(|place| place.room_id == room && wants(wanted, place));
            if !shown {
                known.account_data = false;
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

    /// Adds who types in rooms in scope.
    pub fn add_typing_beside(
        &mut self,
        (message, connection): (&Slide, &Connection),
        scope: &[InScope],
        slid: &mut Slid,
    ) -> Result<()> {
        let Some(wanted) = &message.extensions.typing else { return Ok(()) };
        let ignored = self.ignored()?;
        let newest = self.loaded()?.typing;
        for room in scope.iter().filter(|room| room.last.membership == Membership::Join) {
            let is_new = !connection.sent.rooms.contains_key(&room.room_id);
            if !wanted.names(room) || !is_new && newest <= connection.at {
                continue;
            }
            let query = "SELECT pos, users FROM typing WHERE room = ?";
            let values = values![room.room_id.as_str()];
            let row = self.sql.row(query, values, |row| Ok((row.int(0)?, row.text(1)?)))?;
            let Some((pos, users)) = row else { continue };
            let mut users: Vec<OwnedUserId> = serde_json::from_str(&users)?;
            users.retain(|user| !ignored.contains(user));
            let changed = !is_new && pos > connection.at;
            if changed || is_new && !users.is_empty() {
                slid.typing.insert(room.room_id.clone(), users);
            }
        }
        Ok(())
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
