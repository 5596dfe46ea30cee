//! What is new for a device since its token?

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::{
    PUSH_RULES, Pull, Pulled, PulledPresence, Result, RoomNews, RoomUnread, StreamPosition, User,
    account_data::is_removed,
};
use crate::shell::{Stop, membership};

/// An item of account data: its type and content.
type Item = (String, Box<RawValue>);
/// Items of the user, and items of rooms.
type Items = (Vec<Item>, Vec<(OwnedRoomId, Item)>);

/// The most bytes of stripped state in one answer.
pub const MAX_STRIPPED: usize = 4 << 20;

/// Everything after the token, or, without a token, everything there is.
pub fn pull(user: &mut User<'_>, message: Pull) -> Result<Pulled> {
    let device_id = user.device_of(&message.session)?;
    user.note_seen(&device_id)?;
    let next = user.loaded()?.pos;
    let since = message.since.unwrap_or(0).min(next);
    let mut rooms = if message.since.is_some() {
        user.rooms_since(since)?
    } else {
        user.rooms_now(message.include_leave)?
    };
    if message.full_state {
        user.add_quiet_rooms(&mut rooms)?;
    }
    user.add_stripped(&mut rooms)?;
    user.hide_invites(&mut rooms)?;
    let account_data = user.add_account_data(&mut rooms, message.since.map(|_| since))?;
    user.add_typing(&mut rooms, since)?;
    user.add_unread(&mut rooms, since)?;
    let got = message.messages_since.or(message.since).map(|got| got.min(next));
    let waiting = user.next_messages(&device_id, got)?;
    let (devices_changed, shares) = match message.since {
        Some(_) => (user.devices_changed(since)?, user.shares_between(since, next)?),
        None => Default::default(),
    };
    let pulled = Pulled {
        key_counts: user.key_counts(&device_id)?,
        presence: user.poll_presence(&device_id, message.presence, message.goes_on)?,
        device_id,
        next,
        rooms: rooms.into_values().collect(),
        account_data,
        ignored: BTreeSet::clone(&*user.ignored()?),
        shares,
        messages: waiting.messages,
        messages_upto: waiting.more.then_some(waiting.last),
        devices_changed,
    };
    if message.hold && message.since.is_some() && pulled.is_nothing() {
        user.effects.hold = true;
    } else {
        user.issue(next)?;
    }
    Ok(pulled)
}

impl Pulled {
    fn is_nothing(&self) -> bool {
        self.rooms.is_empty()
            && self.presence.as_ref().is_none_or(PulledPresence::is_quiet)
            && self.account_data.is_empty()
            && self.messages.is_empty()
            && self.devices_changed.is_empty()
            && self.shares.is_empty()
    }
}

impl User<'_> {
    fn rooms_since(&mut self, since: StreamPosition) -> Result<BTreeMap<OwnedRoomId, RoomNews>> {
        let query = "SELECT room, since, upto, membership FROM stream WHERE pos > ? ORDER BY pos";
        let rows = self.sql.rows(query, values![since], |row| {
            Ok((row.text(0)?, row.int(1)?, row.int(2)?, membership(row, 3)?))
        })?;
        let mut rooms: BTreeMap<OwnedRoomId, RoomNews> = BTreeMap::new();
        for (room, from, to, membership) in rows {
            let room_id = room_id(room)?;
            let from = rooms.get(&room_id).map_or(from, |earlier| earlier.from);
            rooms.insert(room_id.clone(), RoomNews::of(room_id, membership, from, to));
        }
        Ok(rooms)
    }

    fn rooms_now(&mut self, include_leave: bool) -> Result<BTreeMap<OwnedRoomId, RoomNews>> {
        let mut rooms = BTreeMap::new();
        for (room_id, last) in self.loaded()?.rooms.clone() {
            if last.membership.is_out() && (!include_leave || self.has_forgotten(&room_id)?) {
                continue;
            }
            let news = RoomNews::of(room_id.clone(), last.membership, 0, last.upto);
            rooms.insert(room_id, news);
        }
        Ok(rooms)
    }

    /// Adds the stripped state of invites and knocks, and what ended them, newest first; where there is too much, the
    /// oldest get none.
    fn add_stripped(&mut self, rooms: &mut BTreeMap<OwnedRoomId, RoomNews>) -> Result<()> {
        let shows = |news: &&mut RoomNews| news.membership != Membership::Join;
        let mut places = Vec::new();
        for news in rooms.values_mut().filter(shows) {
            let pos = self.loaded()?.rooms.get(&news.room_id).map(|last| last.pos);
            places.push((pos.unwrap_or_default(), news));
        }
        places.sort_unstable_by_key(|(pos, _)| Reverse(*pos));
        let mut left = MAX_STRIPPED;
        for (pos, news) in places {
            let text = self.stripped_at(pos)?;
            let Some(text) = text.filter(|text| text.len() <= left) else { continue };
            left -= text.len();
            news.stripped = Some(RawValue::from_string(text)?);
        }
        Ok(())
    }

    /// Hides the invites of users whom the user ignores, and those that the user's rules do not want. A room of which
    /// the range holds more than the invite stays.
    fn hide_invites(&mut self, rooms: &mut BTreeMap<OwnedRoomId, RoomNews>) -> Result<()> {
        for news in rooms.values_mut().filter(|news| news.membership == Membership::Invite) {
            news.hidden = self.hides_invite(&news.room_id, news.stripped.as_deref())?;
        }
        rooms.retain(|_, news| !news.hidden || news.from > 0);
        Ok(())
    }

    /// Adds joined rooms that have no news.
    fn add_quiet_rooms(&mut self, rooms: &mut BTreeMap<OwnedRoomId, RoomNews>) -> Result<()> {
        let joined: Vec<OwnedRoomId> = self
            .loaded()?
            .rooms
            .iter()
            .filter(|(_, last)| last.membership == Membership::Join)
            .map(|(room, _)| room.clone())
            .collect();
        for room in joined {
            self.room_of(rooms, &room)?;
        }
        Ok(())
    }

    /// Adds the account data of rooms; answers the global account data.
    fn add_account_data(
        &mut self,
        rooms: &mut BTreeMap<OwnedRoomId, RoomNews>,
        since: Option<StreamPosition>,
    ) -> Result<Vec<Item>> {
        let (global, of_rooms) = self.account_data_since(since, true)?;
        for (room, item) in of_rooms {
            if let Some(news) = self.room_of(rooms, &room)? {
                news.account_data.push(item);
            }
        }
        Ok(global)
    }

    /// The account data that changed: of the user, and of rooms, where that is wanted.
    pub fn account_data_since(
        &mut self,
        since: Option<StreamPosition>,
        of_rooms: bool,
    ) -> Result<Items> {
        let newest = self.loaded()?.account_data;
        if since.is_some_and(|since| since >= newest) {
            return Ok(Default::default());
        }
        let query = "SELECT room, type, content FROM account_data WHERE pos > ? AND (room = '' OR ?) ORDER BY room, type";
        let from = since.unwrap_or(0);
        let rows = self.sql.rows(query, values![from, of_rooms], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        let (mut global, mut of_rooms) = (Vec::new(), Vec::new());
        // Everybody has push rules, whether or not they ever changed them.
        if since.is_none() || rows.iter().any(is_push_rules) {
            global.push((PUSH_RULES.to_owned(), self.push_rules_item()?));
        }
        // What was removed is told to clients that may have held it.
        let is_told = |row: &(String, String, String)| {
            let (room, kind, content) = row;
            !is_push_rules(row) && (since.is_some() || !is_removed((room, kind), content))
        };
        for (room, kind, content) in rows.into_iter().filter(is_told) {
            let item = (kind, RawValue::from_string(content)?);
            if room.is_empty() {
                global.push(item);
            } else {
                of_rooms.push((room_id(room)?, item));
            }
        }
        Ok((global, of_rooms))
    }

    /// Adds who types in rooms.
    fn add_typing(
        &mut self,
        rooms: &mut BTreeMap<OwnedRoomId, RoomNews>,
        since: StreamPosition,
    ) -> Result<()> {
        if since >= self.loaded()?.typing {
            return Ok(());
        }
        let ignored = self.ignored()?;
        let query = "SELECT room, users FROM typing WHERE pos > ?";
        for (room, users) in
            self.sql.rows(query, values![since], |row| Ok((row.text(0)?, row.text(1)?)))?
        {
            let mut users: Vec<OwnedUserId> = serde_json::from_str(&users)?;
            users.retain(|user| !ignored.contains(user));
            // An initial sync says nothing of rooms in which nobody types.
            if since == 0 && users.is_empty() {
                continue;
            }
            if let Some(news) = self
                .room_of(rooms, &room_id(room)?)?
                .filter(|news| news.membership == Membership::Join)
            {
                news.typing = Some(users);
            }
        }
        Ok(())
    }

    /// Adds what is unread in joined rooms.
    fn add_unread(
        &mut self,
        rooms: &mut BTreeMap<OwnedRoomId, RoomNews>,
        since: StreamPosition,
    ) -> Result<()> {
        for news in rooms.values_mut().filter(|news| news.membership == Membership::Join) {
            let tally = self.tallies()?.get(&news.room_id).cloned().unwrap_or_default();
            news.unread = Some(RoomUnread { threads: tally.counts, changed: tally.pos > since });
        }
        Ok(())
    }

    /// The news of a room, made empty if there is none; `None` for a room without news that the user is not joined to.
    fn room_of<'a>(
        &mut self,
        rooms: &'a mut BTreeMap<OwnedRoomId, RoomNews>,
        room: &OwnedRoomId,
    ) -> Result<Option<&'a mut RoomNews>> {
        if !rooms.contains_key(room) {
            let Some(last) = self
                .loaded()?
                .rooms
                .get(room)
                .filter(|last| last.membership == Membership::Join)
                .cloned()
            else {
                return Ok(None);
            };
            let news = RoomNews::of(room.clone(), last.membership, last.upto, last.upto);
            rooms.insert(room.clone(), news);
        }
        Ok(rooms.get_mut(room))
    }
}

fn room_id(room: String) -> Result<OwnedRoomId> {
    room.try_into().map_err(|_| Stop::broken("a room in the stream has no ID"))
}

/// Whether a row of account data (room, type, content) is the push rules.
fn is_push_rules((room, kind, _): &(String, String, String)) -> bool {
    room.is_empty() && kind == PUSH_RULES
}
