//! Which local accounts are there, and what proves their owners? (D1)

use std::collections::BTreeSet;

use ruma::ServerName;
use serde_json::json;
use tombolo_platform::{Row, SqlError, Statement, World, values};

use super::{MOST_NAMED, registration_tokens::IS_VALID};

/// A local account.
#[derive(Clone, Debug)]
pub struct Account {
    /// A PHC string; `None`: no login by password.
    pub password_hash: Option<String>,
    pub admin: bool,
    pub deactivated: bool,
}

/// What operators are told of an account.
#[derive(Clone, Debug)]
pub struct Listed {
    pub admin: bool,
    pub deactivated: bool,
    /// When it was made (ms).
    pub created_ts: u64,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

/// Which accounts are listed, and in what order.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is in the localpart or the display name, in lower case.
    pub name: Option<&'a str>,
    /// What is in the user ID, in lower case.
    pub user_id: Option<&'a str>,
    pub admin: Option<bool>,
    pub deactivated: Option<bool>,
    pub order: &'a str,
    pub backwards: bool,
    pub from: u64,
    pub limit: u64,
}

/// Makes an account, which is called by its local part; answers whether the name was free.
pub async fn insert(world: &World, localpart: &str, account: &Account) -> Result<bool, SqlError> {
    let sql = "INSERT INTO accounts (localpart, password_hash, admin, created_ts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let hash = account.password_hash.as_deref();
    let now = world.now();
    let values = values![localpart, hash, account.admin, now];
    make(world, (localpart, now), Statement { sql, values }).await
}

/// Runs the statement that makes an account, and gives it a name; answers whether it made one.
async fn make(
    world: &World,
    (localpart, now): (&str, u64),
    insert: Statement<'_>,
) -> Result<bool, SqlError> {
    let name = "INSERT INTO profiles (localpart, displayname, searched)
                SELECT localpart, localpart, ?3 FROM accounts WHERE localpart = ?1 AND created_ts = ?2
                ON CONFLICT DO NOTHING";
    let searched = localpart.to_lowercase();
    let name = Statement { sql: name, values: values![localpart, now, &*searched] };
    let wrote = world.d1().batch(&[insert, name]).await?;
    Ok(wrote.first().is_some_and(|rows| *rows > 0))
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
         ON CONFLICT DO NOTHING"
    );
    let hash = account.password_hash.as_deref();
    let now = world.now();
    let values = values![now, localpart, hash, account.admin, token];
    make(world, (localpart, now), Statement { sql: &insert, values }).await
}

/// The account of this name.
pub async fn find(world: &World, localpart: &str) -> Result<Option<Account>, SqlError> {
    let query = "SELECT password_hash, admin, deactivated FROM accounts WHERE localpart = ?";
    let read = |row: &Row<'_>| {
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

/// What operators are told of an account.
pub async fn listed(world: &World, localpart: &str) -> Result<Option<Listed>, SqlError> {
    let query = "SELECT admin, deactivated, created_ts, displayname, avatar_url
                 FROM accounts LEFT JOIN profiles USING (localpart) WHERE localpart = ?";
    world.d1().row(query, values![localpart], |row| listed_at(row, 0)).await
}

/// The accounts of a page, by their localparts, and how many there are in all.
pub async fn list(
    world: &World,
    server: &ServerName,
    wanted: &Wanted<'_>,
) -> Result<(Vec<(String, Listed)>, u64), SqlError> {
    let query = "SELECT localpart, total, admin, deactivated, created_ts, displayname, avatar_url FROM (
                     SELECT localpart, admin, deactivated, created_ts, displayname, avatar_url, count(*) OVER () AS total,
                         CASE ?6 WHEN 'displayname' THEN displayname WHEN 'avatar_url' THEN avatar_url WHEN 'admin' THEN admin
                             WHEN 'deactivated' THEN deactivated WHEN 'creation_ts' THEN created_ts WHEN 'name' THEN localpart END AS place
                     FROM accounts LEFT JOIN profiles USING (localpart)
                     WHERE (?1 IS NULL OR instr(localpart, ?1) > 0 OR instr(searched, ?1) > 0)
                     AND (?2 IS NULL OR instr('@' || localpart || ':' || ?3, ?2) > 0)
                     AND (?4 IS NULL OR admin = ?4) AND (?5 IS NULL OR deactivated = ?5))
                 ORDER BY CASE WHEN ?7 THEN NULL ELSE place END, CASE WHEN ?7 THEN place END DESC, localpart LIMIT ?8 OFFSET ?9";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?, listed_at(row, 2)?));
    let Wanted { name, user_id, admin, deactivated, order, backwards, .. } = *wanted;
    let page = async |from: u64, limit: u64| {
        let values = values![
            name,
            user_id,
            server.as_str(),
            admin,
            deactivated,
            order,
            backwards,
            limit,
            from
        ];
        world.d1().rows(query, values, read).await
    };
    let found = page(wanted.from, wanted.limit).await?;
    // Behind the last one, and where none is wanted, no row says how many there are.
    let total = match found.first() {
        Some((_, total, _)) => Some(*total),
        None => page(0, 1).await?.first().map(|(_, total, _)| *total),
    };
    let total = total.and_then(|total| u64::try_from(total).ok()).unwrap_or_default();
    Ok((found.into_iter().map(|(localpart, _, listed)| (localpart, listed)).collect(), total))
}

fn listed_at(row: &Row<'_>, at: usize) -> Result<Listed, SqlError> {
    Ok(Listed {
        admin: row.int(at)? != 0,
        deactivated: row.int(at + 1)? != 0,
        created_ts: u64::try_from(row.int(at + 2)?).unwrap_or_default(),
        displayname: row.text_or_null(at + 3)?,
        avatar_url: row.text_or_null(at + 4)?,
    })
}

/// Makes a user an operator, or no more; answers whether there is such an account.
pub async fn set_admin(world: &World, localpart: &str, admin: bool) -> Result<bool, SqlError> {
    let update =
        "UPDATE accounts SET admin = ? WHERE localpart = ? AND NOT deactivated RETURNING 1 AS one";
    Ok(world.d1().row(update, values![admin, localpart], |row| row.int(0)).await?.is_some())
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
