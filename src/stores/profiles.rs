//! What are the display names and avatars of local users, and what else do they say of themselves? (D1)

use serde_json::{Map, Value};
use tombolo_platform::{Row, SqlError, Statement, World, values};

/// How long all further fields of a profile may be together as JSON, in bytes. A profile has less than 64 KiB, of which the
/// display name and the avatar take 12 at most: 1 KiB each, of which every byte may be written as six.
const MAX_FIELDS: i64 = (64 << 10) - (13 << 10);
/// What stands around the name and the value of each, in bytes.
const AROUND: i64 = 4;
/// The most further fields of a profile.
const MOST_FIELDS: i64 = 100;

/// A profile ([profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

/// The profile of a local user; `None` where none was ever set.
pub async fn find(world: &World, localpart: &str) -> Result<Option<Profile>, SqlError> {
    let query = "SELECT displayname, avatar_url FROM profiles WHERE localpart = ?";
    let read = |row: &Row<'_>| {
        Ok(Profile { displayname: row.text_or_null(0)?, avatar_url: row.text_or_null(1)? })
    };
    world.d1().row(query, values![localpart], read).await
}

/// Sets the display name of a user whose account is not deactivated: a request that was under way then brings nothing
/// back. Answers whether it is another one than before.
pub async fn set_displayname(
    world: &World,
    localpart: &str,
    displayname: Option<&str>,
) -> Result<bool, SqlError> {
    let upsert = "INSERT INTO profiles (localpart, displayname, searched)
                  SELECT localpart, ?2, ?3 FROM accounts WHERE localpart = ?1 AND NOT deactivated
                  ON CONFLICT DO UPDATE SET displayname = excluded.displayname, searched = excluded.searched
                  WHERE displayname IS NOT excluded.displayname RETURNING 1 AS one";
    let searched = displayname.map(str::to_lowercase);
    let values = values![localpart, displayname, searched.as_deref()];
    Ok(world.d1().row(upsert, values, |row| row.int(0)).await?.is_some())
}

/// Sets the address of a user's avatar, in the same way.
pub async fn set_avatar_url(
    world: &World,
    localpart: &str,
    avatar_url: Option<&str>,
) -> Result<bool, SqlError> {
    let upsert = "INSERT INTO profiles (localpart, avatar_url)
                  SELECT localpart, ?2 FROM accounts WHERE localpart = ?1 AND NOT deactivated
                  ON CONFLICT DO UPDATE SET avatar_url = excluded.avatar_url
                  WHERE avatar_url IS NOT excluded.avatar_url RETURNING 1 AS one";
    let values = values![localpart, avatar_url];
    Ok(world.d1().row(upsert, values, |row| row.int(0)).await?.is_some())
}

/// What a user's profile has beside: names and values, of all fields or of one.
pub async fn fields(
    world: &World,
    localpart: &str,
    field: Option<&str>,
) -> Result<Map<String, Value>, SqlError> {
    let query = "SELECT name, value FROM profile_fields WHERE localpart = ?1 AND (?2 IS NULL OR name = ?2) ORDER BY name";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
    let rows = world.d1().rows(query, values![localpart, field], read).await?.into_iter();
    let fields = rows.map(|(name, text)| {
        let value = serde_json::from_str(&text);
        Ok((name, value.map_err(|error| SqlError::Database(error.to_string()))?))
    });
    fields.collect()
}

/// Sets a field; answers whether it is set: there may be no room for it, or no account that is not deactivated.
pub async fn save_field(
    world: &World,
    localpart: &str,
    (name, value): (&str, &Value),
) -> Result<bool, SqlError> {
    let upsert = "INSERT INTO profile_fields (localpart, name, value)
                  SELECT localpart, ?2, ?3 FROM accounts WHERE localpart = ?1 AND NOT deactivated AND (
                      SELECT count(*) < ?5 AND coalesce(sum(length(CAST(name || value AS BLOB)) + ?6), 0) < ?4
                      FROM profile_fields WHERE localpart = ?1 AND name <> ?2)
                  ON CONFLICT DO UPDATE SET value = excluded.value RETURNING 1 AS one";
    let value = value.to_string();
    let length = i64::try_from(name.len() + value.len()).unwrap_or(i64::MAX);
    let room = MAX_FIELDS.saturating_sub(length).saturating_sub(AROUND);
    let values = values![localpart, name, &value, room, MOST_FIELDS, AROUND];
    Ok(world.d1().row(upsert, values, |row| row.int(0)).await?.is_some())
}

/// Removes a field of a user.
pub async fn remove_field(world: &World, localpart: &str, name: &str) -> Result<(), SqlError> {
    let delete = "DELETE FROM profile_fields WHERE localpart = ? AND name = ?";
    world.d1().run(delete, values![localpart, name]).await.map(|_| ())
}

/// Removes a profile, with all its fields.
pub async fn remove(world: &World, localpart: &str) -> Result<(), SqlError> {
    let values = &values![localpart];
    let deletions = [
        "DELETE FROM profiles WHERE localpart = ?",
        "DELETE FROM profile_fields WHERE localpart = ?",
    ];
    world.d1().batch(&deletions.map(|sql| Statement { sql, values })).await.map(|_| ())
}
