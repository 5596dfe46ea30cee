//! By which tokens may accounts be made? (D1)
//!
//! An account names the token by which it was made. So it is made and counted in one statement, whatever happens.

use tombolo_platform::{Row, SqlError, World, values};

/// Whether token `t` may be used at the time `?1`.
pub const IS_VALID: &str = "(t.expires_ts IS NULL OR t.expires_ts > ?1)
    AND (t.uses_allowed IS NULL OR t.uses_allowed > (SELECT count(*) FROM accounts a WHERE a.token_id = t.id))";

/// A token, and how often it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    pub token: String,
    pub limits: Limits,
    pub completed: u64,
}

/// How often and until when (ms) a token may be used; `None`: without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub uses_allowed: Option<u64>,
    pub expires_ts: Option<u64>,
}

/// Limits that are set anew, or lifted (`Some(None)`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub uses_allowed: Option<Option<u64>>,
    pub expires_ts: Option<Option<u64>>,
}

impl Change {
    /// The limits of a token that had none before.
    pub fn of_new(self) -> Limits {
        Limits { uses_allowed: self.uses_allowed.flatten(), expires_ts: self.expires_ts.flatten() }
    }
}

/// Makes a token; answers whether there was none of this name.
pub async fn insert(world: &World, token: &str, limits: Limits) -> Result<bool, SqlError> {
    let insert = "INSERT INTO registration_tokens (token, uses_allowed, expires_ts) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1 AS one";
    let values = values![token, limits.uses_allowed, limits.expires_ts];
    Ok(world.d1().row(insert, values, |row| row.int(0)).await?.is_some())
}

/// Changes those limits of a token that are given; answers the token as it is then, if there is one of this name.
pub async fn update(
    world: &World,
    token: &str,
    change: Change,
) -> Result<Option<RegistrationToken>, SqlError> {
    let update = "UPDATE registration_tokens SET uses_allowed = CASE WHEN ?2 THEN ?3 ELSE uses_allowed END,
                      expires_ts = CASE WHEN ?4 THEN ?5 ELSE expires_ts END WHERE token = ?1
                  RETURNING token, uses_allowed, expires_ts, (SELECT count(*) FROM accounts a WHERE a.token_id = registration_tokens.id) AS completed";
    let Change { uses_allowed: uses, expires_ts: expires } = change;
    let (uses_allowed, expires_ts) = (uses.flatten(), expires.flatten());
    let values = values![token, uses.is_some(), uses_allowed, expires.is_some(), expires_ts];
    world.d1().row(update, values, read).await
}

/// Removes a token; answers whether there was one of this name.
pub async fn remove(world: &World, token: &str) -> Result<bool, SqlError> {
    let delete = "DELETE FROM registration_tokens WHERE token = ? RETURNING 1 AS one";
    Ok(world.d1().row(delete, values![token], |row| row.int(0)).await?.is_some())
}

/// The token of this name.
pub async fn find(world: &World, token: &str) -> Result<Option<RegistrationToken>, SqlError> {
    let query = "SELECT t.token, t.uses_allowed, t.expires_ts, (SELECT count(*) FROM accounts a WHERE a.token_id = t.id) AS completed
                 FROM registration_tokens t WHERE t.token = ?";
    world.d1().row(query, values![token], read).await
}

/// All tokens, or those that are valid, or those that are not.
pub async fn list(world: &World, valid: Option<bool>) -> Result<Vec<RegistrationToken>, SqlError> {
    let query = format!(
        "SELECT t.token, t.uses_allowed, t.expires_ts, (SELECT count(*) FROM accounts a WHERE a.token_id = t.id) AS completed
         FROM registration_tokens t WHERE ?2 IS NULL OR ({IS_VALID}) = ?2 ORDER BY t.token"
    );
    world.d1().rows(&query, values![world.now(), valid], read).await
}

/// Whether an account may be made by this token now.
pub async fn is_valid(world: &World, token: &str) -> Result<bool, SqlError> {
    let query =
        format!("SELECT 1 AS one FROM registration_tokens t WHERE t.token = ?2 AND {IS_VALID}");
    Ok(world.d1().row(&query, values![world.now(), token], |row| row.int(0)).await?.is_some())
}

fn read(row: &Row<'_>) -> Result<RegistrationToken, SqlError> {
    let count = |column| Ok::<_, SqlError>(row.int_or_null(column)?.map(i64::unsigned_abs));
    let limits = Limits { uses_allowed: count(1)?, expires_ts: count(2)? };
    Ok(RegistrationToken { token: row.text(0)?, limits, completed: row.int(3)?.unsigned_abs() })
}
