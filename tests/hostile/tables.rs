//! What does our server hold of a room? Read from its tables, not from what it says.

use std::collections::BTreeMap;

use serde_json::Value;
use tombolo::objects::room::{RoomClass, Verdict};
use tombolo_platform::{Address, Sql, values};
use tombolo_protocol::json::parse_value;

use crate::scene::HostileScene;

/// An event as our server holds it.
#[derive(Clone, Debug)]
pub struct Held {
    pub verdict: Verdict,
    pub pos: Option<i64>,
    pub pdu: Value,
}

/// Type and state key, and the ID of the event.
pub type State = BTreeMap<(String, String), String>;

impl HostileScene {
    /// The room's tables, of a room that is not `self.room` too.
    pub fn tables(&self, room: &str) -> Option<Sql> {
        self.server.sql(&Address::<RoomClass>::new(room))
    }

    fn sql(&self) -> Sql {
        self.tables(&self.room).unwrap()
    }

    pub fn held(&self, id: &str) -> Option<Held> {
        self.held_in(&self.room, id)
    }

    pub fn held_in(&self, room: &str, id: &str) -> Option<Held> {
        let query = "SELECT verdict, pos, json FROM events WHERE id = ?";
        let held = self.tables(room)?.row(query, values![id], |row| {
            Ok(Held {
                verdict: Verdict::of(row.int(0)?).unwrap(),
                pos: row.int_or_null(1)?,
                pdu: parse_value(row.text(2)?.as_bytes()).unwrap(),
            })
        });
        held.unwrap()
    }

    pub fn verdict(&self, id: &str) -> Option<Verdict> {
        self.held(id).map(|held| held.verdict)
    }

    pub fn state(&self) -> State {
        self.state_of(&self.room)
    }

    pub fn state_of(&self, room: &str) -> State {
        let query = "SELECT n.type, n.key, e.id FROM now n JOIN events e ON e.sn = n.sn";
        let rows = self
            .tables(room)
            .unwrap()
            .rows(query, &[], |row| Ok(((row.text(0)?, row.text(1)?), row.text(2)?)));
        rows.unwrap().into_iter().collect()
    }

    /// A user's membership now.
    pub fn membership(&self, room: &str, user: &str) -> String {
        let state = self.state_of(room);
        let member = state.get(&("m.room.member".to_owned(), user.to_owned()));
        let held = member.and_then(|id| self.held_in(room, id));
        let membership = held.map(|held| held.pdu["content"]["membership"].clone());
        membership.and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
    }

    /// The forward extremities.
    pub fn extremities(&self) -> Vec<String> {
        let sql = self.sql();
        let packed = sql.row("SELECT tips FROM room", &[], |row| row.blob(0)).unwrap().unwrap();
        let name = |bytes: &[u8; 4]| {
            let sn = i64::from(u32::from_le_bytes(*bytes));
            let query = "SELECT id FROM events WHERE sn = ?";
            sql.row(query, values![sn], |row| row.text(0)).unwrap().unwrap()
        };
        packed.as_chunks::<4>().0.iter().map(name).collect()
    }

    /// How many rows a table of the room has.
    pub fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        self.sql().row(&query, &[], |row| row.int(0)).unwrap().unwrap()
    }
}
