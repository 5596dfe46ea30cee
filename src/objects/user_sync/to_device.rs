//! Which messages wait for the user's devices?
//! ([send-to-device messaging](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging))
//!
//! A message is gone once its device has presented a token that covers it, and not before. A message that comes again
//! has no effect.

use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{Deposit, Result, StreamPosition, User};
use crate::shell::Stop;

/// The name that means every device.
const ALL: &str = "*";
/// The most messages that wait for a device, and their most bytes: the oldest give way, for it may never come back.
const MAX_WAITING: u64 = 10_000;
const MAX_WAITING_BYTES: u64 = 64 << 20;
/// The most messages of one answer, and their most bytes but for the last.
const MAX_MESSAGES: u32 = 100;
const MAX_BYTES: usize = 1 << 20;
/// How long a message is known that came (ms): today's, and yesterday's.
const DAY: u64 = 86_400_000;

/// A message, as the device is shown it.
#[derive(Serialize)]
struct Message<'a> {
    content: &'a RawValue,
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Notes messages for devices of the user.
pub fn deposit(user: &mut User<'_>, message: Deposit) -> Result<()> {
    user.exists()?;
    let devices = user.device_names()?;
    let reaches = |to: &String| to == ALL && !devices.is_empty() || devices.contains(to);
    if !message.messages.keys().any(reaches) || !user.is_new(&message.id)? {
        return Ok(());
    }
    for (to, content) in &message.messages {
        let (sender, kind) = (message.sender.as_str(), message.kind.as_str());
        let event = serde_json::to_string(&Message { content, sender, kind })?;
        for device in devices.iter().filter(|device| to == ALL || to == *device) {
            // Who names a device means it, whatever is sent to all.
            if to == ALL && message.messages.contains_key(device) {
                continue;
            }
            user.queue(device, &event)?;
        }
    }
    Ok(())
}

/// How much waits for a device.
#[derive(Clone, Copy, Default)]
pub struct Amount {
    messages: u64,
    bytes: u64,
}

/// Messages for a device.
#[derive(Default)]
pub struct Waiting {
    pub messages: Vec<Box<RawValue>>,
    /// The position of the last one; that after which they were looked for, if there is none.
    pub last: StreamPosition,
    pub more: bool,
}

impl User<'_> {
    /// Whether a message comes for the first time; it is known then.
    fn is_new(&mut self, id: &str) -> Result<bool> {
        let today = self.moment.now / DAY;
        let query = "SELECT 1 FROM deposited WHERE day >= ? AND id = ?";
        let yesterday = today.saturating_sub(1);
        if self.sql.row(query, values![yesterday, id], |row| row.int(0))?.is_some() {
            return Ok(false);
        }
        self.sql.run("DELETE FROM deposited WHERE day < ?", values![yesterday])?;
        self.sql.run("INSERT INTO deposited (day, id) VALUES (?, ?)", values![today, id])?;
        Ok(true)
    }

    fn queue(&mut self, device: &str, event: &str) -> Result<()> {
        let mut waiting = self.waiting_for(device)?;
        waiting.messages += 1;
        waiting.bytes += event.len() as u64;
        while waiting.messages > MAX_WAITING || waiting.bytes > MAX_WAITING_BYTES {
            let delete = "DELETE FROM to_device WHERE device = ?1 AND pos = (SELECT min(pos) FROM to_device WHERE device = ?1)
                          RETURNING length(CAST(event AS BLOB))";
            let gone = self.sql.row(delete, values![device], |row| row.int(0))?;
            let Some(gone) = gone else { break };
            waiting.messages -= 1;
            waiting.bytes = waiting.bytes.saturating_sub(gone.unsigned_abs());
        }
        let pos = self.next_pos()?;
        let insert = "INSERT INTO to_device (device, pos, event) VALUES (?, ?, ?)";
        self.sql.run(insert, values![device, pos, event])?;
        self.cache.waiting.insert(device.to_owned(), waiting);
        self.effects.wake = true;
        Ok(())
    }

    /// How much waits for a device, counted once per stay in memory.
    fn waiting_for(&mut self, device: &str) -> Result<Amount> {
        if let Some(waiting) = self.cache.waiting.get(device) {
            return Ok(*waiting);
        }
        let query = "SELECT count(*), coalesce(sum(length(CAST(event AS BLOB))), 0) FROM to_device WHERE device = ?";
        let read = |row: &Row<'_>| Ok((row.int(0)?.unsigned_abs(), row.int(1)?.unsigned_abs()));
        let counted = self.sql.row(query, values![device], read)?;
        let waiting =
            counted.map_or_else(Amount::default, |(messages, bytes)| Amount { messages, bytes });
        self.cache.waiting.insert(device.to_owned(), waiting);
        Ok(waiting)
    }

    /// The next messages for a device. Those up to the position that its token names it has got: they are forgotten.
    pub fn next_messages(&mut self, device: &str, got: Option<StreamPosition>) -> Result<Waiting> {
        if let Some(got) = got {
            self.forget_delivered(device, got)?;
        }
        self.messages_for(device, got.unwrap_or(0))
    }

    fn forget_delivered(&mut self, device: &str, upto: StreamPosition) -> Result<()> {
        if self.waiting_for(device)?.messages == 0 {
            return Ok(());
        }
        let end = self.loaded()?.pos;
        let delete = "DELETE FROM to_device WHERE device = ? AND pos <= ?";
        if self.sql.run(delete, values![device, upto])? > 0 {
            self.cache.waiting.remove(device);
            self.keep_end(end)?;
        }
        Ok(())
    }

    /// The next messages for a device after a position.
    pub fn messages_for(&mut self, device: &str, after: StreamPosition) -> Result<Waiting> {
        let mut waiting = Waiting { last: after, ..Waiting::default() };
        if self.waiting_for(device)?.messages == 0 {
            return Ok(waiting);
        }
        let query =
            "SELECT pos, event FROM to_device WHERE device = ? AND pos > ? ORDER BY pos LIMIT ?";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
        let rows = self.sql.rows(query, values![device, after, MAX_MESSAGES + 1], read)?;
        let (mut bytes, count) = (0, rows.len());
        for (pos, event) in rows {
            if waiting.messages.len() == MAX_MESSAGES as usize || bytes > MAX_BYTES {
                break;
            }
            bytes += event.len();
            waiting.last = pos;
            waiting.messages.push(RawValue::from_string(event)?);
        }
        waiting.more = waiting.messages.len() < count;
        Ok(waiting)
    }

    /// Forgets what waits for devices that are gone.
    pub fn drop_messages(&mut self, devices: &str) -> Result<()> {
        let end = self.loaded()?.pos;
        let delete = "DELETE FROM to_device WHERE device IN (SELECT value FROM json_each(?))";
        if self.sql.run(delete, values![devices])? > 0 {
            self.keep_end(end)?;
        }
        self.cache.waiting.clear();
        Ok(())
    }

    /// Writes down where the stream ended before rows that positions were given to went: none is given twice.
    pub fn keep_end(&mut self, end: StreamPosition) -> Result<()> {
        let insert = "INSERT INTO stream_end (one, pos) VALUES (1, ?)
                      ON CONFLICT DO UPDATE SET pos = excluded.pos";
        self.sql.run(insert, values![end])?;
        Ok(())
    }

    /// The last position that messages were given.
    pub fn last_message(&mut self) -> Result<StreamPosition> {
        let query = "SELECT max((SELECT coalesce(max(pos), 0) FROM to_device), coalesce((SELECT pos FROM stream_end), 0))";
        let last = self.sql.row(query, values![], |row| row.int(0))?;
        last.ok_or_else(|| Stop::broken("the end of the stream cannot be read"))
    }
}
