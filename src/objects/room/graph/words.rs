//! Which events hold these words? ([search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search))
//!
//! Made on demand. What is redacted is gone from it at once. An edit is an event like others, found by its own text.

use tombolo_platform::values;
use tombolo_protocol::event::Pdu;

use crate::objects::room::{
    Result, Room, Sn,
    graph::{events::Stored, indexes::Index, summary::plain_topic},
};

/// An event that holds the words, and how well they fit: more is better.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    pub sn: Sn,
    pub rank: i64,
}

impl Room<'_> {
    /// Notes the words of an event.
    pub fn note_words(&mut self, sn: Sn, pdu: &Pdu) -> Result<()> {
        let text = |kind: &str, field: &str| {
            (pdu.kind() == kind).then(|| pdu.content_str(field)).flatten()
        };
        let [body, name, topic] = [
            text("m.room.message", "body"),
            text("m.room.name", "name"),
            text("m.room.topic", "topic"),
        ];
        // A topic has two texts, which mostly are the same.
        let plain = (pdu.kind() == "m.room.topic").then(|| plain_topic(pdu)).flatten();
        let topic = match (topic, plain) {
            (Some(topic), Some(plain)) if topic != plain => Some(format!("{topic}\n{plain}")),
            (topic, plain) => topic.or(plain),
        };
        if body.is_none() && name.is_none() && topic.is_none() {
            return Ok(());
        }
        let insert = "INSERT OR REPLACE INTO words (rowid, body, name, topic) VALUES (CAST(? AS INTEGER), ?, ?, ?)";
        self.sql.run(insert, values![sn, body.as_deref(), name.as_deref(), topic.as_deref()])?;
        Ok(())
    }

    /// Forgets the words of an event that is being redacted.
    pub fn drop_words(&mut self, event: &Stored) -> Result<()> {
        if event.sn <= self.indexed_up_to(Index::Words)? {
            let delete = "DELETE FROM words WHERE rowid = CAST(? AS INTEGER)";
            self.sql.run(delete, values![event.sn])?;
        }
        Ok(())
    }

    /// Forgets all words.
    pub fn drop_all_words(&mut self) -> Result<()> {
        self.sql.run("INSERT INTO words (words) VALUES ('delete-all')", values![])?;
        Ok(())
    }

    /// The events that an expression of FTS5 finds: the newest ones, or those that fit best.
    pub fn matches(&mut self, expression: &str, recent: bool, limit: u32) -> Result<Vec<Match>> {
        let query = match recent {
            true => {
                "SELECT rowid, CAST(rank * -1000000000 AS INTEGER) FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
            }
            false => {
                "SELECT rowid, CAST(rank * -1000000000 AS INTEGER) FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
            }
        };
        let values = values![expression, limit];
        Ok(self.sql.rows(query, values, |row| Ok(Match { sn: row.int(0)?, rank: row.int(1)? }))?)
    }
}
