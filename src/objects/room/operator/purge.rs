//! How is what is held of a room removed?
//!
//! First the room's row says that nothing is held, and then the tables are emptied, one with each message: so no message
//! sees a half, and none takes long. Positions go on from where they were, since followers take news by position. Who
//! blocked the room stays, and what deletions there were.
//!
//! A server that was out of reach is still owed how our users left, and so are application services and clients. Our
//! events since the deletion began are kept for them.

use std::mem;

use tombolo_platform::values;

use crate::objects::room::{
    Result, Room, Telling,
    cache::Cache,
    messages::{Purge, Stage},
    operator::deletion::UnderWay,
    row::{Life, RoomRow},
};

/// What is emptied, besides the index of words. A table that is neither here nor in [`KEPT`] is a mistake that a test
/// finds.
pub const EMPTIED: [&str; 29] = [
    "now",
    "past",
    "fork",
    "forks",
    "holes",
    "servers",
    "locals",
    "parked",
    "awaited",
    "redactions",
    "lagging",
    "receipts",
    "typing",
    "out_of_band",
    "joining",
    "given",
    "left_out",
    "left_out_of_fork",
    "annotations",
    "derived",
    "kept",
    "wanted",
    "erased",
    "moves",
    "relations",
    "relations_due",
    "times",
    "indexed",
    "events",
];

/// What stays: the room's position, what D1 holds of it, what operators did, and what others are owed.
#[cfg(test)]
pub const KEPT: [&str; 6] = ["schema", "room", "directory", "blocked", "deletions", "farewells"];

/// Does one part of the purge; answers which part is next. It may begin again from the first one at any time.
pub fn purge(room: &mut Room<'_>, message: Purge) -> Result<Option<u32>> {
    room.row()?;
    let Some(UnderWay { deletion, .. }) = room.deletion_under_way()? else { return Ok(None) };
    if deletion.id != message.id || !matches!(deletion.stage, Stage::Left | Stage::Purging) {
        return Ok(None);
    }
    let next = message.part.saturating_add(1);
    let Some(before) = message.part.checked_sub(1) else {
        room.keep_farewells(deletion.since)?;
        room.forget_all()?;
        // No join that is under way finds its attempt any more.
        room.empty("joining")?;
        room.reach(deletion, Stage::Purging)?;
        return Ok(Some(next));
    };
    match EMPTIED.get(usize::try_from(before).unwrap_or(usize::MAX)) {
        Some(table) => {
            room.empty(table)?;
            room.forget_cache();
            Ok(Some(next))
        }
        None => {
            room.drop_all_words()?;
            room.reach(deletion, Stage::Complete)?;
            Ok(None)
        }
    }
}

impl Room<'_> {
    /// Removes what a table holds. Who declined is still owed that their leave is told.
    fn empty(&mut self, table: &str) -> Result<()> {
        let declined = "DELETE FROM out_of_band WHERE NOT (membership = 'leave' AND retry_at IS NOT NULL AND NOT ended)";
        match table {
            "out_of_band" => self.sql.run(declined, values![])?,
            table => self.sql.run(&format!("DELETE FROM {table}"), values![])?,
        };
        Ok(())
    }

    /// Has the room's row say that nothing is held.
    fn forget_all(&mut self) -> Result<()> {
        let row = self.row()?;
        self.forget_cache();
        let RoomRow { id, version, pos, .. } = row;
        let new = RoomRow::new(id, version, Life::OutOfBand);
        self.set_row(RoomRow { pos, notified_up_to: pos, ..new })?;
        self.tell(Telling::Soon);
        Ok(())
    }

    /// Forgets what is remembered of tables that are emptied.
    fn forget_cache(&mut self) {
        let Cache { schema, row, .. } = mem::take(self.cache);
        *self.cache = Cache { schema, row, ..Cache::default() };
    }
}
