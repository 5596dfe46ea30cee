//! How is the last stream row of each room found without reading the stream from its beginning?
//!
//! The stream only grows. Every so often a checkpoint of each room's last row is written, so that an object that wakes
//! reads only the checkpoint and the rows after it.

use std::{collections::BTreeMap, rc::Rc};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use super::{Result, StreamPosition, User, stream::Last};
use crate::{
    objects::room::{Position, messages::Traits},
    shell::{Stop, membership},
};

/// How many positions lie between two checkpoints.
const EVERY: StreamPosition = 1000;
/// At what length a row is full (bytes): it has at most 2 MB.
const FULL: usize = 1_000_000;

/// The last row of a room, as a checkpoint holds it.
#[derive(Serialize, Deserialize)]
struct Entry(
    OwnedRoomId,
    StreamPosition,
    Position,
    Membership,
    #[serde(default)] u64,
    #[serde(default)] Option<Traits>,
);

impl User<'_> {
    /// The last row of every room.
    pub fn last_rows(&mut self) -> Result<BTreeMap<OwnedRoomId, Last>> {
        let (mut rooms, mut covered) = (BTreeMap::new(), 0);
        let query = "SELECT pos, rooms FROM checkpoint ORDER BY part";
        for (pos, text) in self.sql.rows(query, values![], |row| Ok((row.int(0)?, row.text(1)?)))? {
            let entries: Vec<Entry> = serde_json::from_str(&text)?;
            let last = |Entry(room, pos, upto, membership, active, traits)| {
                (room, Last { pos, upto, membership, active, traits: traits.map(Rc::new) })
            };
            rooms.extend(entries.into_iter().map(last));
            covered = pos;
        }
        let query = "SELECT room, pos, upto, membership, active, traits FROM stream WHERE pos > ? ORDER BY pos";
        let rows = self.sql.rows(query, values![covered], |row| {
            let (pos, upto, membership) = (row.int(1)?, row.int(2)?, membership(row, 3)?);
            let last =
                Last { pos, upto, membership, active: row.int(4)?.unsigned_abs(), traits: None };
            Ok((row.text(0)?, last, row.text_or_null(5)?))
        })?;
        for (room, last, traits) in rows {
            let traits: Option<Traits> =
                traits.map(|traits| serde_json::from_str(&traits)).transpose()?;
            let last = Last { traits: traits.map(Rc::new), ..last };
            let broken = |_| Stop::broken("a room in the stream has no ID");
            rooms.insert(room.try_into().map_err(broken)?, last);
        }
        Ok(rooms)
    }

    /// Writes a checkpoint if it is time for one. It covers the rows up to the last issued token, which are final;
    /// above them each room has at most one row.
    pub fn checkpoint(&mut self) -> Result<()> {
        let loaded = self.loaded()?;
        if loaded.pos % EVERY != 0 {
            return Ok(());
        }
        let covered = loaded.issued;
        let mut parts = vec![String::new()];
        for (room, last) in &loaded.rooms {
            let traits = last.traits.as_deref().cloned();
            let entry =
                Entry(room.clone(), last.pos, last.upto, last.membership, last.active, traits);
            let text = serde_json::to_string(&entry)?;
            match parts.last_mut().filter(|part| part.len() < FULL) {
                Some(part) if part.is_empty() => part.push_str(&text),
                Some(part) => {
                    part.push(',');
                    part.push_str(&text);
                }
                None => parts.push(text),
            }
        }
        self.sql.run("DELETE FROM checkpoint", values![])?;
        for (part, entries) in (0_i64..).zip(parts) {
            let insert = "INSERT INTO checkpoint (part, pos, rooms) VALUES (?, ?, ?)";
            self.sql.run(insert, values![part, covered, &format!("[{entries}]")])?;
        }
        Ok(())
    }
}
