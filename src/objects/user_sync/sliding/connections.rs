//! What was a device sent over each of its connections?
//!
//! A row says it for one position of a connection. There are three of them at most: that of the position which the client
//! presented last, and those of the last two answers. (Two, since a request that its client has given up may still be
//! answered.) A response that sends nothing of rooms writes none.

use std::{collections::BTreeMap, rc::Rc};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::wanted::{Config, InScope};
use crate::{
    objects::{
        room::Position,
        user_sync::{Refusal, Result, Slide, StreamPosition, User},
    },
    shell::Stop,
};

/// How many connections a device has: those used longest ago go.
const MOST_CONNECTIONS: i64 = 8;
/// How often it is noted that a connection is in use (ms).
const USE_NOTED_EVERY: u64 = 86_400_000;
/// How many positions are remembered beside their rows.
const MOST_REMEMBERED: usize = 16;
/// The longest text of what was sent (bytes): a row has at most 2 MB.
const MAX_SENT: usize = 1_900_000;
/// How many different wishes are remembered before those that no room has any more are dropped.
const MOST_CONFIGS: usize = 64;

/// A connection as the device knows it.
pub struct Connection {
    /// `None` where it begins.
    pub id: Option<i64>,
    /// The position in the user's stream up to which the device knows everything beside rooms.
    pub at: StreamPosition,
    pub sent: Rc<Sent>,
}

/// What was sent of rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub rooms: BTreeMap<OwnedRoomId, SentRoom>,
    configs: Vec<Config>,
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
    config: usize,
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_dm: bool,
    /// Whether receipts and account data were sent, too, as far as the room was.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub receipts: bool,
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub account_data: bool,
}

impl Sent {
    /// By which wish a room was sent.
    pub fn config(&self, room: &SentRoom) -> &Config {
        const NOTHING: &Config = &Config { limit: 0, required: Vec::new() };
        self.configs.get(room.config).unwrap_or(NOTHING)
    }

    /// Notes that a room is sent; `asked` where more is than what lies beside it.
    pub fn note(&mut self, room: &InScope, (receipts, is_dm, asked): (bool, bool, bool)) {
        let before = self.rooms.get(&room.room_id).cloned();
        let account_data = before.as_ref().is_some_and(|before| before.account_data);
        let (config, receipts) = match before {
            _ if asked => (self.number(&room.config), receipts),
            Some(before) => (before.config, before.receipts),
            // Nothing was sent by a wish yet.
            None => (self.number(&Config::default()), false),
        };
        let (upto, membership) = (room.last.upto, room.last.membership);
        let note = SentRoom { upto, membership, config, is_dm, receipts, account_data };
        self.rooms.insert(room.room_id.clone(), note);
    }

    fn number(&mut self, config: &Config) -> usize {
        if let Some(number) = self.configs.iter().position(|held| held == config) {
            return number;
        }
        if self.configs.len() >= MOST_CONFIGS {
            self.drop_unused();
        }
        self.configs.push(config.clone());
        self.configs.len() - 1
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
fn written(before: &Sent, sent: &mut Sent) -> Result<String> {
    if let Some(text) = sent.text()? {
        return Ok(text);
    }
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

impl User<'_> {
    /// The connection that a request goes on with; an empty one where it begins.
    pub fn connection(&mut self, device: &str, message: &Slide) -> Result<Connection> {
        let Some(pos) = message.pos else {
            return Ok(Connection { id: None, at: 0, sent: Rc::default() });
        };
        let unknown = || Stop::Refused(Refusal::UnknownPos);
        if pos.at > self.loaded()?.pos {
            return Err(unknown());
        }
        let held = self.cache.connections.get(&pos.id).cloned();
        let query = "SELECT iif(?4, NULL, sent), used_at FROM connections WHERE id = ?1 AND device = ?2 AND name = ?3";
        let values = values![pos.id, device, &message.connection, held.is_some()];
        let row = self.sql.row(query, values, |row| Ok((row.text_or_null(0)?, row.int(1)?)))?;
        let (text, used_at) = row.ok_or_else(unknown)?;
        let sent = match held {
            Some(sent) => sent,
            None => Rc::new(serde_json::from_str(&text.unwrap_or_default())?),
        };
        self.remember_sent(pos.id, &sent);
        if message.kept == Some(pos) {
            self.note_use((device, &message.connection), pos.id, used_at.unsigned_abs())?;
        }
        Ok(Connection { id: Some(pos.id), at: pos.at, sent })
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

    /// Notes what a response sends, and answers under which number.
    pub fn keep(
        &mut self,
        device: &str,
        message: &Slide,
        (connection, mut sent): (&Connection, Sent),
    ) -> Result<i64> {
        if let Some(id) = connection.id.filter(|_| sent == *connection.sent) {
            return Ok(id);
        }
        let (name, kept) = (&message.connection, message.kept.map(|kept| kept.id));
        let gone = "DELETE FROM connections WHERE device = ?1 AND name = ?2 AND id IS NOT ?3 AND (?3 IS NULL
                    OR id < (SELECT max(id) FROM connections WHERE device = ?1 AND name = ?2)) RETURNING id";
        for id in self.sql.rows(gone, values![device, name, kept], |row| row.int(0))? {
            self.cache.connections.remove(&id);
        }
        let text = written(&connection.sent, &mut sent)?;
        let id = self.new_id()?;
        let insert =
            "INSERT INTO connections (id, device, name, used_at, sent) VALUES (?, ?, ?, ?, ?)";
        self.sql.run(insert, values![id, device, name, self.moment.now, &text])?;
        self.remember_sent(id, &Rc::new(sent));
        if connection.id.is_none() {
            self.forget_old(device)?;
        }
        Ok(id)
    }

    /// A number above all others, that no other connection had: what was sent under one is never mistaken for something
    /// else.
    fn new_id(&mut self) -> Result<i64> {
        let last = self.sql.row("SELECT max(id) FROM connections", values![], |row| {
            Ok(row.int_or_null(0)?.unwrap_or_default())
        })?;
        let [high, low, ..] = self.moment.draw();
        let dice = i64::from(high) << 2 | i64::from(low & 3);
        let now = i64::try_from(self.moment.now).unwrap_or_default();
        Ok((now << 10 | dice).max(last.unwrap_or_default() + 1))
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
        Ok(())
    }
}
