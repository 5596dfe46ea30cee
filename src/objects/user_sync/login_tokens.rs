//! With which tokens may another device log in?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token))

use tombolo_platform::values;

use super::{NewLoginToken, Refusal, Result, SpendLoginToken, User};
use crate::shell::Stop;

/// How many tokens a user may have at once.
const MAX_TOKENS: i64 = 100;

/// Notes a token; those that have expired are forgotten.
pub fn note(user: &mut User<'_>, message: NewLoginToken) -> Result<()> {
    user.exists()?;
    // The session may have been ended since it proved who its user is.
    if let Some(session) = &message.session {
        user.device_of(session)?;
    }
    let delete = "DELETE FROM login_tokens WHERE expires_at <= ?";
    user.sql.run(delete, values![user.moment.now])?;
    let query = "SELECT count(*) FROM login_tokens";
    if user.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default() >= MAX_TOKENS {
        return Err(Stop::Refused(Refusal::Invalid("too many login tokens".to_owned())));
    }
    let insert = "INSERT INTO login_tokens (token, expires_at) VALUES (?, ?)";
    user.sql.run(insert, values![&message.token, message.expires_at])?;
    Ok(())
}

impl User<'_> {
    /// Forgets all tokens: a session that is ended leaves none behind.
    pub fn drop_login_tokens(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM login_tokens", values![])?;
        Ok(())
    }
}

/// Uses up a token.
pub fn spend(user: &mut User<'_>, message: SpendLoginToken) -> Result<()> {
    user.exists()?;
    user.must_be_unlocked()?;
    let delete = "DELETE FROM login_tokens WHERE token = ? RETURNING expires_at";
    let expires_at = user.sql.row(delete, values![&message.token], |row| row.int(0))?;
    let holds = expires_at.is_some_and(|at| u64::try_from(at).is_ok_and(|at| at > user.moment.now));
    if holds { Ok(()) } else { Err(Stop::Refused(Refusal::NotFound)) }
}
