//! Of what was the user notified, and what of it is unread?
//! ([receiving notifications](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications))
//!
//! A room has one row, with its newest notices and the counts that follow from them. It is written only when they
//! change, in the transaction that writes the news.

use std::{cmp::Reverse, collections::BTreeMap};

use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, push::Action};
use serde::{Deserialize, Serialize};
use tombolo_platform::values;
use tombolo_protocol::{event::MAIN_THREAD, membership::Membership};

use super::{HeldNotice, Notices, NoticesReply, Result, StreamPosition, UnreadCounts, User};
use crate::{
    objects::room::{FOREVER, Position},
    shell::Stop,
};

/// How many notices of a room are held, read ones included. Those before them are only counted.
const MOST_NOTICES: usize = 100;
/// In how many threads those are counted; others count as of the main one.
const MOST_THREADS: usize = 100;

/// What the user is notified of in one room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Unread {
    /// Oldest first.
    notices: Vec<Notice>,
    /// By thread, what is unread of those that are not held.
    older: BTreeMap<String, Older>,
}

/// Notices that are only counted.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Older {
    counts: UnreadCounts,
    /// The position of the last of them.
    upto: Position,
}

/// An event of which the user is notified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Its place among all notices of the user.
    pub number: i64,
    pub pos: Position,
    pub event_id: OwnedEventId,
    /// The root of its thread, or [`MAIN_THREAD`].
    pub thread: String,
    /// When it was judged (ms).
    pub ts: u64,
    pub actions: Vec<Action>,
    /// Whether only the client can tell how urgent it is.
    pub encrypted: bool,
    pub read: bool,
}

impl Notice {
    fn counts(&self) -> UnreadCounts {
        let highlights = u64::from(self.actions.iter().any(Action::is_highlight));
        UnreadCounts { notifications: 1, highlights }
    }
}

impl Unread {
    /// Adds a notice; the oldest ones go.
    pub fn add(&mut self, notice: Notice) {
        self.notices.push(notice);
        while self.notices.len() > MOST_NOTICES {
            let oldest = self.notices.remove(0);
            if oldest.read {
                continue;
            }
            let held = self.older.contains_key(&oldest.thread) || self.older.len() < MOST_THREADS;
            let thread = if held { oldest.thread.as_str() } else { MAIN_THREAD };
            let older = self.older.entry(thread.to_owned()).or_default();
            older.counts.add(oldest.counts());
            older.upto = oldest.pos;
        }
    }

    /// Marks as read what a thread (`None`: every one) has up to a position; answers whether anything was unread.
    pub fn read(&mut self, thread: Option<&str>, upto: Position) -> bool {
        let is_of = |name: &str| thread.is_none_or(|thread| thread == name);
        let mut changed = false;
        for notice in &mut self.notices {
            if !notice.read && notice.pos <= upto && is_of(&notice.thread) {
                notice.read = true;
                changed = true;
            }
        }
        let before = self.older.len();
        self.older.retain(|name, older| !is_of(name) || older.upto > upto);
        changed || self.older.len() < before
    }

    /// Takes the notice of an event away; answers whether there was one.
    pub fn redact(&mut self, event_id: &EventId) -> bool {
        let before = self.notices.len();
        self.notices.retain(|notice| notice.event_id != event_id);
        self.notices.len() < before
    }

    /// The notices that are held, oldest first.
    pub fn into_notices(self) -> Vec<Notice> {
        self.notices
    }

    /// The number of the newest notice.
    pub fn newest(&self) -> i64 {
        self.notices.last().map(|notice| notice.number).unwrap_or_default()
    }

    /// By thread, what is unread.
    fn counts(&self) -> BTreeMap<String, UnreadCounts> {
        let older = self.older.iter();
        let mut counts: BTreeMap<String, UnreadCounts> =
            older.map(|(thread, older)| (thread.clone(), older.counts)).collect();
        for notice in self.notices.iter().filter(|notice| !notice.read) {
            counts.entry(notice.thread.clone()).or_default().add(notice.counts());
        }
        counts
    }
}

impl UnreadCounts {
    /// Adds further ones.
    pub fn add(&mut self, more: Self) {
        self.notifications += more.notifications;
        self.highlights += more.highlights;
    }
}

/// Of what the user was notified, newest first.
pub fn notices(user: &mut User<'_>, message: Notices) -> Result<NoticesReply> {
    user.exists()?;
    let before = message.before.unwrap_or(i64::MAX);
    let rooms: Vec<OwnedRoomId> = user.tallies()?.keys().cloned().collect();
    let mut notices = Vec::new();
    for room_id in rooms {
        for notice in user.unread_in(&room_id)?.notices {
            let is_highlight = notice.actions.iter().any(Action::is_highlight);
            if notice.number < before && (is_highlight || !message.highlight) {
                notices.push(HeldNotice {
                    number: notice.number,
                    room_id: room_id.clone(),
                    event_id: notice.event_id,
                    actions: notice.actions,
                    ts: notice.ts,
                    read: notice.read,
                });
            }
        }
    }
    notices.sort_unstable_by_key(|notice| Reverse(notice.number));
    let more = notices.len() > message.limit as usize;
    notices.truncate(message.limit as usize);
    Ok(NoticesReply { notices, more })
}

/// What is unread in a room.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Where in the stream that changed last.
    pub pos: StreamPosition,
    /// By thread; threads without anything unread are left out.
    pub counts: BTreeMap<String, UnreadCounts>,
    /// The number of the newest notice.
    pub newest: i64,
}

impl User<'_> {
    /// What is unread in each room, read once per stay in memory.
    pub fn tallies(&mut self) -> Result<&mut BTreeMap<OwnedRoomId, Tally>> {
        if self.cache.unread.is_none() {
            let query = "SELECT room, pos, counts, newest FROM unread";
            let rows = self.sql.rows(query, values![], |row| {
                Ok((row.text(0)?, row.int(1)?, row.text(2)?, row.int(3)?))
            })?;
            let mut tallies = BTreeMap::new();
            for (room, pos, counts, newest) in rows {
                let room = room.try_into().map_err(|_| Stop::broken("a room has no ID"))?;
                let counts = serde_json::from_str(&counts)?;
                tallies.insert(room, Tally { pos, counts, newest });
            }
            self.cache.unread = Some(tallies);
        }
        self.cache.unread.as_mut().ok_or_else(|| Stop::broken("what is unread was not loaded"))
    }

    /// Of what the user is notified in a room.
    pub fn unread_in(&mut self, room: &RoomId) -> Result<Unread> {
        if !self.tallies()?.contains_key(room) {
            return Ok(Unread::default());
        }
        let query = "SELECT notices FROM unread WHERE room = ?";
        let held = self.sql.row(query, values![room.as_str()], |row| row.text(0))?;
        Ok(held.map(|held| serde_json::from_str(&held)).transpose()?.unwrap_or_default())
    }

    /// The number of the user's next notice.
    pub fn next_notice(&mut self) -> Result<i64> {
        let newest = self.tallies()?.values().map(|tally| tally.newest).max();
        Ok(newest.unwrap_or_default() + 1)
    }

    /// Writes down of what the user is notified in a room, as it has become at a position of the stream.
    pub fn set_unread(
        &mut self,
        room: &RoomId,
        unread: &Unread,
        pos: StreamPosition,
    ) -> Result<()> {
        let counts = unread.counts();
        let held = self.tallies()?.get(room).map(|tally| tally.newest);
        let newest = unread.newest().max(held.unwrap_or_default());
        let insert = "INSERT INTO unread (room, pos, counts, newest, notices) VALUES (?, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET pos = excluded.pos, counts = excluded.counts, newest = excluded.newest,
                      notices = excluded.notices";
        let (text, notices) = (serde_json::to_string(&counts)?, serde_json::to_string(unread)?);
        self.sql.run(insert, values![room.as_str(), pos, &text, newest, &notices])?;
        self.tallies()?.insert(room.to_owned(), Tally { pos, counts, newest });
        self.push()
    }

    /// Marks invites as read that are not shown any more: the user ignores who sent them, or wants none such.
    pub fn read_hidden_invites(&mut self) -> Result<()> {
        let invites: Vec<_> = self
            .loaded()?
            .rooms
            .iter()
            .filter(|(_, last)| last.membership == Membership::Invite)
            .map(|(room, last)| (room.clone(), last.pos))
            .collect();
        for (room, pos) in invites {
            if self.hides_invite(&room, None)? {
                self.read_room(&room, pos)?;
            }
        }
        Ok(())
    }

    /// How much is unread in all rooms.
    pub fn unread_everywhere(&mut self) -> Result<u64> {
        let counts = self.tallies()?.values().flat_map(|tally| tally.counts.values());
        Ok(counts.map(|counts| counts.notifications).sum())
    }

    /// Marks all of a room as read: the user came into it, or is out of it.
    pub fn read_room(&mut self, room: &RoomId, pos: StreamPosition) -> Result<()> {
        if self.tallies()?.get(room).is_none_or(|tally| tally.counts.is_empty()) {
            return Ok(());
        }
        let mut unread = self.unread_in(room)?;
        unread.read(None, FOREVER);
        self.set_unread(room, &unread, pos)
    }
}
