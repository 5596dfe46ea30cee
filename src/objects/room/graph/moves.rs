//! Whose membership changed when? The log of moves.
//!
//! A move is a change of the membership itself: a new display name is none. Where many members come at once, one row
//! says that everybody may have come, and only those who went have rows of their own.

use ruma::{OwnedUserId, UserId};
use tombolo_platform::{Row, SqlError, values};
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{Result, Room, Telling, messages::Position, row::Life},
    shell::{Stop, membership},
};

/// The user in a row that says that everybody may have come.
const EVERYBODY: &str = "*";

/// In a room with at most so many members, followers learn of a move at once; in a larger one, with other news.
const FEW: i64 = 100;

/// A change of a user's membership. `None` is no membership.
#[derive(Debug)]
pub struct Move {
    pub pos: Position,
    pub user: OwnedUserId,
    pub was: Option<Membership>,
    pub became: Option<Membership>,
}

/// What the log says of a range.
#[derive(Debug, Default)]
pub struct Moves {
    /// Whether everybody in the room may have come in the range.
    pub everybody: bool,
    /// Oldest first.
    pub each: Vec<Move>,
}

impl Moves {
    pub fn is_empty(&self) -> bool {
        !self.everybody && self.each.is_empty()
    }
}

/// Whether users with this membership share the room with those who are joined: invited users count, since they may
/// read what is said from their invite on.
pub fn shares(membership: Option<Membership>) -> bool {
    matches!(membership, Some(Membership::Join | Membership::Invite))
}

impl Room<'_> {
    /// Notes that everybody in the room may have come at a position. Who comes there needs no row any more.
    pub fn note_everybody(&mut self, pos: Position) -> Result<()> {
        let insert = "INSERT INTO moves (pos, user) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.sql.run(insert, values![pos, EVERYBODY])?;
        self.pending.everybody = Some(pos);
        Ok(())
    }

    /// Notes what a user's membership was, and what it became.
    pub fn note_move(
        &mut self,
        user: &UserId,
        (was, became): (Option<Membership>, Option<Membership>),
        pos: Position,
    ) -> Result<()> {
        if was == became {
            return Ok(());
        }
        if became == Some(Membership::Join) && self.begins_anew(user)? {
            self.note_everybody(pos)?;
        }
        let comes = !shares(was) || became == Some(Membership::Join);
        if self.pending.everybody != Some(pos) || !comes {
            let name = |membership: Option<Membership>| membership.map(Membership::as_str);
            let insert = "INSERT INTO moves (pos, user, was, became) VALUES (?, ?, ?, ?)
                          ON CONFLICT DO UPDATE SET became = excluded.became";
            self.sql.run(insert, values![pos, user.as_str(), name(was), name(became)])?;
        }
        let row = self.row()?;
        if row.joined + row.invited <= FEW {
            self.tell(Telling::Soon);
        }
        Ok(())
    }

    /// Whether a user of ours comes into a room in which others are, and none of us, and nobody has noted it: a
    /// resolution had taken us out, and other servers may have told us nothing meanwhile. An event before this one may
    /// have made it a room that we left.
    fn begins_anew(&mut self, user: &UserId) -> Result<bool> {
        let row = self.row()?;
        let was_here = matches!(row.life, Life::Live | Life::Left);
        let is_noted = self.pending.everybody.is_some();
        if !was_here || is_noted || row.joined + row.invited == 0 || !self.is_ours(user) {
            return Ok(false);
        }
        let query = "SELECT 1 FROM locals WHERE membership = 'join' LIMIT 1";
        Ok(self.sql.row(query, values![], |row| row.int(0))?.is_none())
    }

    /// Who shared the room right before a position and has moved since. The log goes on saying so where the state says
    /// something else by now: an event was verified late, and with it a resolution made another past.
    pub fn went_since(&mut self, pos: Position) -> Result<Vec<OwnedUserId>> {
        let query =
            "SELECT user, was, min(pos) FROM moves WHERE pos >= ? AND user <> ? GROUP BY user";
        let read = |row: &Row<'_>| Ok((row.text(0)?, membership_or_none(row, 1)?));
        let moved = self.sql.rows(query, values![pos, EVERYBODY], read)?;
        let there = moved.into_iter().filter(|(_, was)| shares(*was));
        let broken = |_| Stop::broken("a member's ID is none");
        there.map(|(user, _)| UserId::parse(user).map_err(broken)).collect()
    }

    /// The moves after `from` and up to `to`.
    pub fn moves(&mut self, from: Position, to: Position) -> Result<Moves> {
        let query =
            "SELECT pos, user, was, became FROM moves WHERE pos > ? AND pos <= ? ORDER BY pos";
        let read = |row: &Row<'_>| {
            Ok((
                row.int(0)?,
                row.text(1)?,
                membership_or_none(row, 2)?,
                membership_or_none(row, 3)?,
            ))
        };
        let mut moves = Moves::default();
        for (pos, user, was, became) in self.sql.rows(query, values![from, to], read)? {
            if user == EVERYBODY {
                moves.everybody = true;
                continue;
            }
            let user = UserId::parse(user).map_err(|_| Stop::broken("a member's ID is none"))?;
            moves.each.push(Move { pos, user, was, became });
        }
        Ok(moves)
    }
}

fn membership_or_none(
    row: &Row<'_>,
    column: usize,
) -> std::result::Result<Option<Membership>, SqlError> {
    row.text_or_null(column)?.map(|_| membership(row, column)).transpose()
}
