//! How does a session that expires go on?
//! ([refreshing access tokens](https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens))
//!
//! The answer to a refresh may be lost. So the old session and its refresh token live on until the new session, or its
//! refresh token, is used.

use tombolo_platform::values;

use super::{Refresh, Refreshable, Refusal, Result, User};
use crate::shell::Stop;

/// Opens a new session in the place of the one to which the refresh token belongs.
pub fn refresh(user: &mut User<'_>, message: Refresh) -> Result<()> {
    user.exists()?;
    user.count_refresh()?;
    let query = "SELECT session FROM refreshes WHERE refresh = ?";
    let held = user.sql.row(query, values![&message.refresh], |row| row.text(0))?;
    let old = held.ok_or(Stop::Refused(Refusal::NoSession))?;
    user.must_be_unlocked()?;
    let device = user.use_session(&old)?.device;
    // One that nobody used came of an answer that was lost.
    user.end_successors(&old)?;
    let (session, next) = (&message.session, &message.next);
    user.open_session(session, &device, (Some(next.expires_at), Some(&old)))?;
    user.note_refresh(session, next)
}

impl User<'_> {
    /// Notes the refresh token of a session.
    pub fn note_refresh(&mut self, session: &str, refreshable: &Refreshable) -> Result<()> {
        let insert = "INSERT INTO refreshes (refresh, session) VALUES (?, ?)";
        self.sql.run(insert, values![&refreshable.refresh, session])?;
        Ok(())
    }

    /// Forgets the refresh token of a session that another one has replaced.
    pub fn drop_refresh_of(&mut self, session: &str) -> Result<()> {
        self.sql.run("DELETE FROM refreshes WHERE session = ?", values![session])?;
        Ok(())
    }

    /// Forgets the refresh tokens of sessions that have ended.
    pub fn drop_refreshes(&mut self) -> Result<()> {
        let delete = "DELETE FROM refreshes WHERE session NOT IN (SELECT session FROM sessions)";
        self.sql.run(delete, values![])?;
        Ok(())
    }
}
