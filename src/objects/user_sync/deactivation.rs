//! What is left of a user whose account was deactivated?
//! ([account deactivation](https://spec.matrix.org/v1.19/client-server-api/#deactivating-an-account))
//!
//! Their sessions end at once. The rest takes other objects and other servers, so the alarm does it, until all is done.

use ruma::OwnedRoomId;
use tombolo_platform::{Row, values};

use super::{Deactivate, Departed, Departure, DueDeparture, Refusal, Result, User};
use crate::shell::Stop;

/// When rooms that could not be left are tried again (ms); twice as long each time,
const FIRST_PAUSE: u64 = 60_000;
/// up to a day (ms).
const LONGEST_PAUSE: u64 = 86_400_000;

/// Ends all sessions, removes what is the user's alone, and has the alarm see to the rest. An account may end that nobody
/// ever used.
pub fn deactivate(user: &mut User<'_>, message: Deactivate) -> Result<()> {
    user.create()?;
    user.end_all_sessions()?;
    user.drop_account_data()?;
    user.drop_filters()?;
    user.drop_subscriptions()?;
    user.drop_delayed_events()?;
    user.end_presence()?;
    let now = user.moment.now;
    let insert = "INSERT INTO deactivated (one, erase, attempts, retry_at) VALUES (1, ?, 0, ?)
                  ON CONFLICT DO UPDATE SET erase = max(erase, excluded.erase), retry_at = excluded.retry_at";
    user.sql.run(insert, values![message.erase, now])?;
    user.effects.alarm_at(now);
    Ok(())
}

/// What is due now; counts the attempt.
pub fn due(user: &mut User<'_>, _: DueDeparture) -> Result<Departure> {
    user.exists()?;
    let query = "SELECT erase, attempts, retry_at FROM deactivated WHERE retry_at IS NOT NULL";
    let read = |row: &Row<'_>| Ok((row.int(0)? != 0, row.int(1)?, row.int(2)?));
    let Some((erase, attempts, at)) = user.sql.row(query, values![], read)? else {
        return Ok(Departure::default());
    };
    let (at, now) = (u64::try_from(at).unwrap_or_default(), user.moment.now);
    if at > now {
        return Ok(Departure { next: Some(at), ..Departure::default() });
    }
    let pause = FIRST_PAUSE.saturating_mul(1 << attempts.clamp(0, 20));
    let next = now + pause.min(LONGEST_PAUSE);
    let update = "UPDATE deactivated SET attempts = attempts + 1, retry_at = ?";
    user.sql.run(update, values![next])?;
    let known = user.loaded()?.rooms.iter();
    let rooms: Vec<(OwnedRoomId, bool)> =
        known.map(|(room, last)| (room.clone(), !last.membership.is_out())).collect();
    Ok(Departure { due: true, rooms, erase, next: Some(next) })
}

/// Ends the attempts, unless the user is in a room again.
pub fn departed(user: &mut User<'_>, _: Departed) -> Result<()> {
    user.exists()?;
    if user.loaded()?.rooms.values().any(|last| !last.membership.is_out()) {
        return Ok(());
    }
    user.sql.run("UPDATE deactivated SET retry_at = NULL", values![])?;
    user.drop_presence()
}

impl User<'_> {
    /// Has the alarm take a user whose account was deactivated out of a room that they have come into since.
    pub fn depart_again(&mut self) -> Result<()> {
        let now = self.moment.now;
        let update = "UPDATE deactivated SET attempts = 0, retry_at = ? RETURNING 1";
        if self.sql.row(update, values![now], |row| row.int(0))?.is_some() {
            self.effects.alarm_at(now);
        }
        Ok(())
    }

    /// Whether the account was deactivated, and what its user said is to be hidden.
    pub fn is_erased(&self) -> Result<bool> {
        let query = "SELECT erase FROM deactivated";
        Ok(self.sql.row(query, values![], |row| row.int(0))?.is_some_and(|erase| erase != 0))
    }

    /// Refuses if the account was deactivated.
    pub fn must_be_active(&mut self) -> Result<()> {
        if self.is_active()? { Ok(()) } else { Err(Stop::Refused(Refusal::Deactivated)) }
    }

    /// Whether the account was not deactivated.
    pub fn is_active(&mut self) -> Result<bool> {
        let query = "SELECT 1 FROM deactivated";
        Ok(self.sql.row(query, values![], |row| row.int(0))?.is_none())
    }
}
