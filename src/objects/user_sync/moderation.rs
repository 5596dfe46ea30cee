//! Has an operator locked or suspended the account?
//! ([account moderation](https://spec.matrix.org/v1.19/client-server-api/#account-moderation))
//!
//! A lock is judged here, where every session is used. What a suspended user may not do is judged where requests are
//! read: they are told by [`super::Authorised`].

use tombolo_platform::{Row, values};

use super::{Moderate, Moderation, ModerationOf, Refusal, Result, User, schema::STEPS};
use crate::shell::Stop;

/// Locks or suspends the account, or ends that. Waiting syncs of a locked account end at once.
pub fn moderate(user: &mut User<'_>, message: Moderate) -> Result<()> {
    user.create()?;
    let was = user.moderation()?;
    let is = Moderation {
        locked: message.locked.unwrap_or(was.locked),
        suspended: message.suspended.unwrap_or(was.suspended),
        ..was
    };
    if is == was {
        return Ok(());
    }
    let insert = "INSERT INTO moderation (one, locked, suspended) VALUES (1, ?, ?)
                  ON CONFLICT DO UPDATE SET locked = excluded.locked, suspended = excluded.suspended";
    user.sql.run(insert, values![is.locked, is.suspended])?;
    user.cache.moderation = Some(is);
    user.effects.wake = true;
    Ok(())
}

/// Whether the account is locked, suspended or erased. One that nobody ever used is nothing of it.
pub fn moderation(user: &mut User<'_>, _: ModerationOf) -> Result<Moderation> {
    match user.cache.schema.exists(user.sql, STEPS)? {
        true => Ok(Moderation { erased: user.is_erased()?, ..user.moderation()? }),
        false => Ok(Moderation::default()),
    }
}

impl User<'_> {
    /// Whether the account is locked or suspended, read once per stay in memory; nothing of whether it is erased.
    pub fn moderation(&mut self) -> Result<Moderation> {
        if let Some(moderation) = self.cache.moderation {
            return Ok(moderation);
        }
        let query = "SELECT locked, suspended FROM moderation";
        let read = |row: &Row<'_>| {
            let (locked, suspended) = (row.int(0)? != 0, row.int(1)? != 0);
            Ok(Moderation { locked, suspended, erased: false })
        };
        let moderation = self.sql.row(query, values![], read)?.unwrap_or_default();
        self.cache.moderation = Some(moderation);
        Ok(moderation)
    }

    /// Refuses what was scheduled where an operator lets nobody speak in the user's name.
    pub fn must_be_free_to_speak(&mut self) -> Result<()> {
        self.must_be_unlocked()?;
        match self.moderation()?.suspended {
            true => Err(Stop::Refused(Refusal::Suspended)),
            false => Ok(()),
        }
    }

    /// Refuses if the account is locked.
    pub fn must_be_unlocked(&mut self) -> Result<()> {
        match self.moderation()?.locked {
            true => Err(Stop::Refused(Refusal::Locked)),
            false => Ok(()),
        }
    }
}
