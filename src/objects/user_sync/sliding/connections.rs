//! What was a device sent over each of its connections?
//!
//! A row says it for one position of a connection. There are three of them at most: that of the position which the client
//! presented last, and those of the last two answers. (Two, since a request that its client has given up may still be
//! answered.) A response that changes nothing of what was sent writes none.
//!
//! What a response sends may turn out to be nothing that the client is shown: it waits on then, and what was to be sent is
//! a draft, in memory alone. It becomes a row when something is answered, or the time is up. A connection has one draft at
//! most: who asks anew has given up what was asked before. Where a draft is lost, the request is answered what is new since
//! the row that it came with.

use std::{collections::BTreeMap, rc::Rc};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::wanted::{InScope, RoomConfig, Shown, Wish};
use crate::{
    objects::{
        room::Position,
        user_sync::{KeepSent, Refusal, Result, Slide, StreamPosition, User},
    },
    shell::Stop,
};

/// How many connections a device has: those used longest ago go.
const MOST_CONNECTIONS: i64 = 8;
/// How often it is noted that a connection is in use (ms).
const USE_NOTED_EVERY: u64 = 86_400_000;
/// How many positions are remembered beside their rows.
const MOST_REMEMBERED: usize = 16;
/// How many drafts are held, how much they hold together (bytes), and how long (ms): a request is shorter.
const MOST_DRAFTS: usize = 8;
const MAX_DRAFTS: usize = 4 * MAX_SENT;
const DRAFTS_HELD: u64 = 300_000;
/// The longest text of what was sent (bytes): a row has at most 2 MB.
const MAX_SENT: usize = 1_900_000;
/// How many different wishes are remembered before those that no room has any more are dropped.
const MOST_CONFIGS: usize = 64;
/// How many bits of a number are dice, below the time.
const DICE: u32 = 10;

/// A connection as the device knows it.
pub struct Connection {
    /// `None` where it begins.
    pub id: Option<i64>,
    /// The position in the user's stream up to which the device knows everything beside rooms.
    pub at: StreamPosition,
    pub sent: Rc<Sent>,
    /// What was sent by the row that the request came with, where this is a draft.
    draft_of: Option<Rc<Sent>>,
}

/// What is sent if something is answered.
#[derive(Clone)]
pub struct Draft {
    device: String,
    /// How the device calls the connection.
    name: String,
    /// What was sent before, by the row.
    before: Rc<Sent>,
    sent: Rc<Sent>,
}

impl Draft {
    fn is_of(&self, device: &str, name: &str) -> bool {
        self.device == device && self.name == name
    }

    /// About how much it holds (bytes).
    fn size(&self) -> usize {
        self.before.size() + self.sent.size()
    }
}

impl Connection {
    /// When what was sent was noted (ms).
    pub fn noted_at(&self) -> u64 {
        self.id.map_or(0, |id| id.unsigned_abs() >> DICE)
    }
}

/// What was sent of rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub rooms: BTreeMap<OwnedRoomId, SentRoom>,
    configs: Vec<RoomConfig>,
}

/// What was sent of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRoom {
    /// Up to which of the room's positions.
    #[serde(rename = "u")]
    pub upto: Position,
    #[serde(rename = "m")]
    pub membership: Membership,
    /// The wish by which it was sent, by its number.
    #[serde(rename = "c")]
    pub config: usize,
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_dm: bool,
    /// Whether receipts and account data were sent, too, as far as the room was.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub receipts: bool,
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub account_data: bool,
    /// Whether the client may not know who types: that changed where it did not see the room.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    pub typing_missed: bool,
    /// Where in the stream what is unread had changed last when it was sent.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    pub counted: StreamPosition,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is sent of a room.
pub struct Note<'a> {
    pub shown: &'a Shown<'a>,
    /// Whether the room is asked for it: else only what lies beside the room is sent.
    pub asked: bool,
    /// Where what is unread changed last, if that is sent.
    pub counted: Option<StreamPosition>,
}

impl Sent {
    /// By which wish a room was sent.
    pub fn config(&self, room: &SentRoom) -> &RoomConfig {
        const NOTHING: &RoomConfig = &RoomConfig { limit: 0, required: Vec::new() };
        self.configs.get(room.config).unwrap_or(NOTHING)
    }

    /// Notes that a room is sent.
    pub fn note(&mut self, room: &InScope<'_>, note: &Note<'_>) {
        let before = self.rooms.get(&room.room_id).cloned();
        let Shown { wish, receipts, is_dm } = note.shown;
        let (config, receipts) = match &before {
            _ if note.asked => (self.number(wish), *receipts),
            Some(before) => (before.config, before.receipts),
            // Nothing was sent by a wish yet.
            None => (self.number(&Wish::default()), false),
        };
        // Who comes into a room knows nothing of who types there.
        let knew = |before: &SentRoom| before.membership == Membership::Join;
        let missed = |before: &SentRoom| before.typing_missed || !knew(before);
        let before = before.as_ref();
        let counted = note.counted.or(before.map(|before| before.counted));
        let sent = SentRoom {
            upto: room.last.upto,
            membership: room.last.membership,
            config,
            is_dm: *is_dm,
            receipts,
            account_data: before.is_some_and(|before| before.account_data),
            typing_missed: before.is_none_or(missed),
            counted: counted.unwrap_or_default(),
        };
        self.rooms.insert(room.room_id.clone(), sent);
    }

    fn number(&mut self, wish: &Wish<'_>) -> usize {
        if let Some(number) = self.configs.iter().position(|held| wish.is(held)) {
            return number;
        }
        if self.configs.len() >= MOST_CONFIGS {
            self.drop_unused();
        }
        self.configs.push(wish.to_config());
        self.configs.len() - 1
    }

    /// About how much this is (bytes).
    fn size(&self) -> usize {
        let rooms = self.rooms.keys().map(|room| size_of::<SentRoom>() + room.as_str().len());
        rooms.chain(self.configs.iter().map(RoomConfig::size)).sum()
    }

    /// The text for a row, if it fits into one.
    fn text(&self) -> Result<Option<String>> {
        Ok(Some(serde_json::to_string(self)?).filter(|text| text.len() <= MAX_SENT))
    }

    fn drop_unused(&mut self) {
        let held = std::mem::take(&mut self.configs);
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        for room in self.rooms.values_mut() {
            let next = numbers.len();
            room.config = *numbers.entry(room.config).or_insert(next);
        }
        let mut used: Vec<_> = numbers.into_iter().collect();
        used.sort_unstable_by_key(|(_, number)| *number);
        let configs = used.into_iter().map(|(old, _)| held.get(old).cloned().unwrap_or_default());
        self.configs = configs.collect();
    }
}

/// The text of what was sent. Where that is too much for a row, only what this response sends is noted: all else is sent
/// again when it is in the client's sight.
fn written(before: &Sent, sent: &mut Rc<Sent>) -> Result<String> {
    if let Some(text) = sent.text()? {
        return Ok(text);
    }
    let sent = Rc::make_mut(sent);
    sent.drop_unused();
    if let Some(text) = sent.text()? {
        return Ok(text);
    }
    let is_old = |(room, now): &(&OwnedRoomId, &SentRoom)| {
        before.rooms.get(*room).is_some_and(|then| {
            let then_so = SentRoom { config: now.config, ..then.clone() };
            then_so == **now && before.config(then) == sent.config(now)
        })
    };
    let old: Vec<_> = sent.rooms.iter().filter(is_old).map(|(room, _)| room.clone()).collect();
    for room in old {
        sent.rooms.remove(&room);
    }
    sent.drop_unused();
    let refused = || Stop::Refused(Refusal::Invalid("too much state is asked for".to_owned()));
    sent.text()?.ok_or_else(refused)
}

/// Writes a draft under its own number, since something is answered: once, though the object may be asked again.
pub fn keep_sent(user: &mut User<'_>, message: KeepSent) -> Result<i64> {
    let KeepSent { session, connection, kept, id } = message;
    let device = user.device_of(&session)?;
    if user.has_row(id, (&device, &connection))? {
        return Ok(id);
    }
    // The client may have begun the connection anew.
    let goes_on = user.has_row(kept, (&device, &connection))?;
    let has_draft = goes_on && user.has_draft(id, (&device, &connection));
    let draft = user.cache.drafts.get(&id).filter(|_| has_draft).cloned();
    let draft = draft.ok_or(Stop::Refused(Refusal::UnknownPos))?;
    user.write_sent((id, Some(kept)), &draft)?;
    user.cache.drafts.remove(&id);
    Ok(id)
}

impl User<'_> {
    /// The connection that a request goes on with; an empty one where it begins.
    pub fn connection(&mut self, device: &str, message: &Slide) -> Result<Connection> {
        let Some(pos) = message.pos else {
            return Ok(Connection { id: None, at: 0, sent: Rc::default(), draft_of: None });
        };
        let unknown = || Stop::Refused(Refusal::UnknownPos);
        if pos.at > self.loaded()?.pos {
            return Err(unknown());
        }
        let name = &message.connection;
        let draft = self.cache.drafts.get(&pos.id).filter(|draft| draft.is_of(device, name));
        let (draft, row) = match (draft.cloned(), message.kept) {
            (Some(draft), Some(kept)) => (Some(draft), kept.id),
            _ => (None, pos.id),
        };
        let held = self.cache.connections.get(&row).cloned();
        let query = "SELECT iif(?4, NULL, sent), used_at FROM connections WHERE id = ?1 AND device = ?2 AND name = ?3";
        let values = values![row, device, name, held.is_some() || draft.is_some()];
        let row = self.sql.row(query, values, |row| Ok((row.text_or_null(0)?, row.int(1)?)))?;
        let (text, used_at) = row.ok_or_else(unknown)?;
        let (id, at) = (Some(pos.id), pos.at);
        let sent = match (draft, held) {
            (Some(Draft { before, sent, .. }), _) => {
                return Ok(Connection { id, at, sent, draft_of: Some(before) });
            }
            (None, Some(sent)) => sent,
            (None, None) => Rc::new(serde_json::from_str(&text.unwrap_or_default())?),
        };
        self.remember_sent(pos.id, &sent);
        if message.kept == Some(pos) {
            self.note_use((device, name), pos.id, used_at.unsigned_abs())?;
        }
        Ok(Connection { id, at, sent, draft_of: None })
    }

    fn remember_sent(&mut self, id: i64, sent: &Rc<Sent>) {
        let remembered = &mut self.cache.connections;
        if remembered.len() >= MOST_REMEMBERED && !remembered.contains_key(&id) {
            remembered.clear();
        }
        remembered.insert(id, Rc::clone(sent));
    }

    /// Notes that the client presented a position: it will not come back to those before.
    fn note_use(&mut self, (device, name): (&str, &String), id: i64, used_at: u64) -> Result<()> {
        let gone = "DELETE FROM connections WHERE device = ? AND name = ? AND id < ? RETURNING id";
        for id in self.sql.rows(gone, values![device, name, id], |row| row.int(0))? {
            self.cache.connections.remove(&id);
        }
        if self.moment.now.saturating_sub(used_at) >= USE_NOTED_EVERY {
            let update = "UPDATE connections SET used_at = ? WHERE id = ?";
            self.sql.run(update, values![self.moment.now, id])?;
        }
        Ok(())
    }

    /// Notes what a response sends, as a draft where that is enough; answers under which number, and whether it is one.
    pub fn keep(
        &mut self,
        (device, is_draft): (&str, bool),
        message: &Slide,
        (connection, sent): (&Connection, Rc<Sent>),
    ) -> Result<(i64, bool)> {
        let is_same = Rc::ptr_eq(&sent, &connection.sent) || sent == connection.sent;
        let was_draft = connection.draft_of.is_some();
        if let Some(id) = connection.id.filter(|_| is_same && (is_draft || !was_draft)) {
            return Ok((id, was_draft));
        }
        let before = connection.draft_of.as_ref().unwrap_or(&connection.sent);
        let (before, name) = (Rc::clone(before), &message.connection);
        let draft = Draft { device: device.to_owned(), name: name.clone(), before, sent };
        let id = self.new_id()?;
        let too_old = self.moment.now.saturating_sub(DRAFTS_HELD) << DICE;
        self.cache.drafts.retain(|id, held| {
            let goes = connection.id == Some(*id) || is_draft && held.is_of(device, name);
            !goes && id.unsigned_abs() >= too_old
        });
        if is_draft && self.has_place_for(&draft) {
            self.cache.drafts.insert(id, draft);
            return Ok((id, true));
        }
        self.write_sent((id, message.kept.map(|kept| kept.id)), &draft)?;
        if connection.id.is_none() {
            self.forget_old(&draft.device)?;
        }
        Ok((id, false))
    }

    /// Whether a draft may be held. Where there are too many, or it is too long, its row is written at once.
    fn has_place_for(&self, draft: &Draft) -> bool {
        let held = &self.cache.drafts;
        let size: usize = held.values().chain([draft]).map(Draft::size).sum();
        held.len() < MOST_DRAFTS && draft.sent.size() <= MAX_SENT && size <= MAX_DRAFTS
    }

    pub fn has_draft(&self, id: i64, (device, name): (&str, &str)) -> bool {
        self.cache.drafts.get(&id).is_some_and(|draft| draft.is_of(device, name))
    }

    pub fn has_row(&mut self, id: i64, (device, name): (&str, &str)) -> Result<bool> {
        let query = "SELECT 1 FROM connections WHERE id = ? AND device = ? AND name = ?";
        Ok(self.sql.row(query, values![id, device, name], |row| row.int(0))?.is_some())
    }

    /// Writes what is sent under a number; the row `kept` stays, and that which was written last.
    fn write_sent(&mut self, (id, kept): (i64, Option<i64>), draft: &Draft) -> Result<()> {
        let Draft { device, name, before, sent } = draft;
        let gone = "DELETE FROM connections WHERE device = ?1 AND name = ?2 AND id IS NOT ?3 AND (?3 IS NULL
                    OR id IS NOT (SELECT id FROM connections WHERE device = ?1 AND name = ?2
                                  ORDER BY used_at DESC, id DESC LIMIT 1)) RETURNING id";
        for id in self.sql.rows(gone, values![device, name, kept], |row| row.int(0))? {
            self.cache.connections.remove(&id);
        }
        let mut sent = Rc::clone(sent);
        let text = written(before, &mut sent)?;
        let insert =
            "INSERT INTO connections (id, device, name, used_at, sent) VALUES (?, ?, ?, ?, ?)";
        self.sql.run(insert, values![id, device, name, self.moment.now, &text])?;
        self.remember_sent(id, &sent);
        Ok(())
    }

    /// A number above all others, that no other connection had: what was sent under one is never taken for something else.
    fn new_id(&mut self) -> Result<i64> {
        let query = "SELECT max(id) FROM connections";
        let last = self.sql.row(query, values![], |row| row.int_or_null(0))?.flatten();
        let [high, low, ..] = self.moment.draw();
        let dice = i64::from(high) << 2 | i64::from(low & 3);
        let now = i64::try_from(self.moment.now).unwrap_or_default();
        let draft = self.cache.drafts.last_key_value().map(|(id, _)| *id);
        Ok((now << DICE | dice).max(last.max(draft).unwrap_or_default() + 1))
    }

    fn forget_old(&mut self, device: &str) -> Result<()> {
        let delete = "DELETE FROM connections WHERE device = ?1 AND name NOT IN
                      (SELECT name FROM connections WHERE device = ?1 GROUP BY name ORDER BY max(used_at) DESC LIMIT ?2)
                      RETURNING id";
        let values = values![device, MOST_CONNECTIONS];
        for id in self.sql.rows(delete, values, |row| row.int(0))? {
            self.cache.connections.remove(&id);
        }
        Ok(())
    }

    /// Forgets the connections of these devices (a JSON list).
    pub fn drop_connections(&mut self, devices: &str) -> Result<()> {
        let delete = "DELETE FROM connections WHERE device IN (SELECT value FROM json_each(?))";
        self.sql.run(delete, values![devices])?;
        self.cache.connections.clear();
        self.cache.drafts.clear();
        Ok(())
    }
}
