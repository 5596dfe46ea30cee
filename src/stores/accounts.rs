//! Which local accounts are there, and what proves their owners? (D1)

use std::collections::BTreeSet;

use serde_json::json;
use tombolo_platform::{SqlError, World, values};

use super::{MOST_NAMED, registration_tokens::IS_VALID};

/// A local account.
#[derive(Clone, Debug)]
pub struct Account {
    /// A PHC string; `None`: no login by password.
    pub password_hash: Option<String>,
    pub admin: bool,
    pub deactivated: bool,
}

/// Makes an account; answers whether the name was free.
pub async fn insert(world: &World, localpart: &str, account: &Account) -> Result<bool, SqlError> {
    let insert = "INSERT INTO accounts (localpart, password_hash, admin, created_ts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1 AS one";
    let values = values![localpart, account.password_hash.as_deref(), account.admin, world.now()];
    Ok(world.d1().row(insert, values, |row| row.int(0)).await?.is_some())
}

/// Makes an account by a registration token; answers whether the name was free and the token valid.
pub async fn insert_by_token(
    world: &World,
    localpart: &str,
    account: &Account,
    token: &str,
) -> Result<bool, SqlError> {
    let insert = format!(
        "INSERT INTO accounts (localpart, password_hash, admin, created_ts, token_id)
         SELECT ?2, ?3, ?4, ?1, t.id FROM registration_tokens t WHERE t.token = ?5 AND {IS_VALID}
         ON CONFLICT DO NOTHING RETURNING 1 AS one"
    );
    let hash = account.password_hash.as_deref();
    let values = values![world.now(), localpart, hash, account.admin, token];
    Ok(world.d1().row(&insert, values, |row| row.int(0)).await?.is_some())
}

/// The account of this name.
pub async fn find(world: &World, localpart: &str) -> Result<Option<Account>, SqlError> {
    let query = "SELECT password_hash, admin, deactivated FROM accounts WHERE localpart = ?";
    let read = |row: &tombolo_platform::Row<'_>| {
        Ok(Account {
            password_hash: row.text_or_null(0)?,
            admin: row.int(1)? != 0,
            deactivated: row.int(2)? != 0,
        })
    };
    world.d1().row(query, values![localpart], read).await
}

/// Those of these names that are taken.
pub async fn existing(world: &World, localparts: &[&str]) -> Result<BTreeSet<String>, SqlError> {
    let query = "SELECT localpart FROM json_each(?1) CROSS JOIN accounts WHERE localpart = value";
    let mut existing = BTreeSet::new();
    for some in localparts.chunks(MOST_NAMED) {
        let some = json!(some).to_string();
        existing.extend(world.d1().rows(query, values![&some], |row| row.text(0)).await?);
    }
    Ok(existing)
}

/// Replaces a password; answers whether there is such an account.
pub async fn set_password(world: &World, localpart: &str, hash: &str) -> Result<bool, SqlError> {
    let update = "UPDATE accounts SET password_hash = ? WHERE localpart = ? AND NOT deactivated RETURNING 1 AS one";
    Ok(world.d1().row(update, values![hash, localpart], |row| row.int(0)).await?.is_some())
}

/// Takes an account its password for good. Its name stays taken.
pub async fn deactivate(world: &World, localpart: &str) -> Result<(), SqlError> {
    let update = "UPDATE accounts SET deactivated = 1, password_hash = NULL WHERE localpart = ?";
    world.d1().run(update, values![localpart]).await.map(|_| ())
}
