//! Which events does an index have that is made on demand?
//!
//! Somebody has to ask for events by their time, or by their words, before they are indexed so; from then on, each such
//! question first brings the index up to the newest event. So a message costs nothing in a room where nobody asks.

use tombolo_platform::values;

use crate::objects::room::{Result, Room, Sn, graph::events::Stored};

/// How many events are indexed together, and how many times one message does so.
const PART: u32 = 200;
const PARTS: usize = 10;

/// An index that is made on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    Times,
    Words,
}

impl Index {
    const ALL: [Self; 2] = [Self::Times, Self::Words];

    fn name(self) -> &'static str {
        match self {
            Self::Times => "times",
            Self::Words => "words",
        }
    }
}

impl Room<'_> {
    /// Brings an index nearer to the newest event; answers whether it is there.
    pub fn catch_up(&mut self, index: Index) -> Result<bool> {
        for _ in 0..PARTS {
            let query = "SELECT sn FROM events WHERE sn > ? ORDER BY sn LIMIT ?";
            let from = self.indexed_up_to(index)?;
            let sns = self.sql.rows(query, values![from, PART], |row| row.int(0))?;
            for sn in &sns {
                let event = self.event(*sn)?;
                self.note_in(index, &event)?;
            }
            if let Some(last) = sns.last() {
                let insert = "INSERT INTO indexed (name, sn) VALUES (?, ?) ON CONFLICT DO UPDATE SET sn = excluded.sn";
                self.sql.run(insert, values![index.name(), *last])?;
                self.cache.indexed.insert(index, *last);
            }
            if sns.len() < PART as usize {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds an event to the indexes that have passed it: it got its place, or its content, after that.
    pub fn index_late(&mut self, event: &Stored) -> Result<()> {
        for index in Index::ALL {
            if event.sn <= self.indexed_up_to(index)? {
                self.note_in(index, event)?;
            }
        }
        Ok(())
    }

    fn note_in(&mut self, index: Index, event: &Stored) -> Result<()> {
        let Some(pos) = event.pos else { return Ok(()) };
        match index {
            Index::Times => self.note_time(event.pdu.origin_server_ts, pos),
            Index::Words => self.note_words(event.sn, &event.pdu),
        }
    }

    /// The last event that an index has passed.
    pub fn indexed_up_to(&mut self, index: Index) -> Result<Sn> {
        if let Some(sn) = self.cache.indexed.get(&index) {
            return Ok(*sn);
        }
        let query = "SELECT sn FROM indexed WHERE name = ?";
        let sn = self.sql.row(query, values![index.name()], |row| row.int(0))?.unwrap_or_default();
        self.cache.indexed.insert(index, sn);
        Ok(sn)
    }
}
