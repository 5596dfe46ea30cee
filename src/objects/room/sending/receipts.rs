//! Who read up to where?
//! ([receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts))

use std::collections::{BTreeMap, BTreeSet};

use ruma::{EventId, OwnedUserId, UserId};
use serde_json::{json, value::RawValue};
use tombolo_platform::values;
use tombolo_protocol::event::MAIN_THREAD;

use crate::{
    objects::room::{
        Result, Room, STEP, Telling,
        messages::{Position, Receipt, Refusal, UserNews},
        not_in_room,
        sending::typing::is_shown,
    },
    shell::Stop,
};

/// The most threads in which a user's receipts are kept; the oldest go.
const MAX_THREADS: u32 = 50;
/// How long an event's ID may be (bytes).
const MAX_ID: usize = 255;

/// Notes a receipt; an older one of the same kind and thread is replaced. A receipt for an event outside the timeline
/// has no effect. If the event is not in the receipt's thread, a local user is refused and a remote user's receipt has
/// no effect.
pub fn receipt(room: &mut Room<'_>, message: Receipt) -> Result<Vec<UserNews>> {
    let mut row = room.live()?;
    if !room.is_joined(&message.user)? {
        return Err(not_in_room());
    }
    let thread = message.thread.as_deref().unwrap_or_default();
    let ours = room.is_ours(&message.user);
    if !is_of_thread(room, &message, thread)? {
        let reason = "the event is not in this thread".to_owned();
        return if ours { Err(Stop::Refused(Refusal::Invalid(reason))) } else { Ok(Vec::new()) };
    }
    let counts = is_shown(&message.user) && room.shows(&message.event_id)?;
    if !counts || !is_newer(room, &message, thread)? {
        return Ok(Vec::new());
    }
    row.pos += STEP;
    room.sql.run(
        "INSERT INTO receipts (user, kind, thread, event, ts, pos) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET event = excluded.event, ts = excluded.ts, pos = excluded.pos",
        values![
            message.user.as_str(),
            &message.kind,
            thread,
            message.event_id.as_str(),
            message.ts,
            row.pos
        ],
    )?;
    forget_old_threads(room, &message)?;
    room.set_row(row)?;
    room.tell(Telling::Soon);
    if ours { room.news_for(&[message.user]) } else { Ok(Vec::new()) }
}

/// Whether the event of a receipt is in its thread, whose root may be older than what is held here. In the main thread
/// a remote user's receipt always is: other servers may draw its border differently.
fn is_of_thread(room: &mut Room<'_>, message: &Receipt, thread: &str) -> Result<bool> {
    if thread.is_empty() || thread == MAIN_THREAD && !room.is_ours(&message.user) {
        return Ok(true);
    }
    Ok(thread.len() <= MAX_ID && room.is_in_thread(&message.event_id, thread)?)
}

/// Deletes all but the newest threaded receipts of a user: users read on in recent threads.
fn forget_old_threads(room: &mut Room<'_>, message: &Receipt) -> Result<()> {
    let delete = "DELETE FROM receipts WHERE user = ?1 AND kind = ?2 AND thread IN (SELECT thread FROM receipts WHERE user = ?1 AND kind = ?2 AND thread NOT IN ('', 'main') ORDER BY pos DESC LIMIT -1 OFFSET ?3)";
    room.sql.run(delete, values![message.user.as_str(), &message.kind, MAX_THREADS])?;
    Ok(())
}

/// Whether a receipt is for a later event than the one it would replace.
fn is_newer(room: &mut Room<'_>, message: &Receipt, thread: &str) -> Result<bool> {
    let query = "SELECT event FROM receipts WHERE user = ? AND kind = ? AND thread = ?";
    let held =
        room.sql
            .row(query, values![message.user.as_str(), &message.kind, thread], |row| row.text(0))?;
    let Some(held) = held else { return Ok(true) };
    if held == message.event_id.as_str() {
        return Ok(false);
    }
    let mut position = |id: &str| -> Result<Option<Position>> {
        let Ok(id) = EventId::parse(id) else { return Ok(None) };
        Ok(room.find(&id)?.and_then(|event| event.pos))
    };
    let (old, new) = (position(&held)?, position(message.event_id.as_str())?);
    // An event without a position may have come before or after: the later receipt counts.
    Ok(old.is_none() || new.is_none() || new > old)
}

impl Room<'_> {
    /// Whether an event is part of the timeline.
    fn shows(&mut self, id: &EventId) -> Result<bool> {
        Ok(self.find(id)?.is_some_and(|event| event.pos.is_some()))
    }

    /// The content of an `m.receipt` event with the receipts that were made in a range, of users who are not ignored.
    /// If a user has several receipts for one event, the unthreaded one is shown: it holds for every thread.
    pub fn receipts_between(
        &mut self,
        user: &UserId,
        (from, to): (Position, Position),
        ignored: &BTreeSet<OwnedUserId>,
    ) -> Result<Option<Box<RawValue>>> {
        let query = "SELECT user, kind, thread, event, ts FROM receipts WHERE pos > ? AND pos <= ? ORDER BY thread = '', pos";
        let rows = self.sql.rows(query, values![from, to], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?, row.int(4)?))
        })?;
        let mut content: BTreeMap<String, BTreeMap<String, BTreeMap<String, serde_json::Value>>> =
            BTreeMap::new();
        for (reader, kind, thread, event, ts) in rows {
            let hidden = kind == "m.read.private" && reader != user.as_str();
            if hidden || ignored.iter().any(|ignored| *ignored == reader) {
                continue;
            }
            let data = if thread.is_empty() {
                json!({ "ts": ts })
            } else {
                json!({ "ts": ts, "thread_id": thread })
            };
            content.entry(event).or_default().entry(kind).or_default().insert(reader, data);
        }
        if content.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::value::to_raw_value(&content)?))
    }
}
