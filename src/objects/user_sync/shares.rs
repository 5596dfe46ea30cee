//! In which rooms did somebody come or go whose devices the user has to know?
//!
//! The room says who, when it is asked for a range. A row that an issued token covers never changes; a newer one grows.

use ruma::OwnedRoomId;
use tombolo_platform::{Row, values};

use super::{Changes, ChangesBetween, Result, Shares, StreamPosition, User};
use crate::{objects::room::Position, shell::Stop};

/// Notes that users came or went in a range of a room. Told twice, it is noted once.
pub fn shares(user: &mut User<'_>, message: Shares) -> Result<()> {
    user.create()?;
    let Shares { room_id, from, to } = message;
    let room = room_id.as_str();
    let query = "SELECT pos, upto FROM shares WHERE room = ? ORDER BY pos DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
    let last = user.sql.row(query, values![room], read)?;
    let upto = last.map_or(0, |(_, upto)| upto);
    if upto >= to {
        return Ok(());
    }
    let issued = user.loaded()?.issued;
    match last {
        Some((pos, _)) if pos > issued => {
            user.sql.run("UPDATE shares SET upto = ? WHERE pos = ?", values![to, pos])?;
        }
        _ => {
            let pos = user.next_pos()?;
            let insert = "INSERT INTO shares (pos, room, since, upto) VALUES (?, ?, ?, ?)";
            user.sql.run(insert, values![pos, room, from.max(upto), to])?;
        }
    }
    user.effects.wake = true;
    Ok(())
}

/// What changed between two positions of the stream.
pub fn changes_between(user: &mut User<'_>, message: ChangesBetween) -> Result<Changes> {
    user.exists()?;
    let shares = user.shares_between(message.from, message.to)?;
    Ok(Changes { shares, devices_changed: user.devices_changed(message.from)? })
}

impl User<'_> {
    /// By room: the range that the rows after one position of the stream, and up to another, span.
    pub fn shares_between(
        &mut self,
        from: StreamPosition,
        to: StreamPosition,
    ) -> Result<Vec<(OwnedRoomId, Position, Position)>> {
        let query = "SELECT room, min(since), max(upto) FROM shares WHERE pos > ? AND pos <= ? GROUP BY room ORDER BY room";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?, row.int(2)?));
        let rows = self.sql.rows(query, values![from, to], read)?.into_iter();
        let ranges = rows.map(|(room, since, upto)| {
            let room = room.try_into().map_err(|_| Stop::broken("a room has no ID"))?;
            Ok((room, since, upto))
        });
        ranges.collect()
    }
}
