//! What are the display names and avatars of local users? (D1)

use tombolo_platform::{SqlError, World, values};

/// A profile ([profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

/// The profile of a local user; `None` where none was ever set.
pub async fn find(world: &World, localpart: &str) -> Result<Option<Profile>, SqlError> {
    let query = "SELECT displayname, avatar_url FROM profiles WHERE localpart = ?";
    let read = |row: &tombolo_platform::Row<'_>| {
        Ok(Profile { displayname: row.text_or_null(0)?, avatar_url: row.text_or_null(1)? })
    };
    world.d1().row(query, values![localpart], read).await
}

/// Replaces the profile of a user whose account is not deactivated: a request that was under way then brings nothing
/// back.
pub async fn save(world: &World, localpart: &str, profile: &Profile) -> Result<(), SqlError> {
    let upsert = "INSERT INTO profiles (localpart, displayname, avatar_url)
                  SELECT localpart, ?, ? FROM accounts WHERE localpart = ? AND NOT deactivated
                  ON CONFLICT DO UPDATE SET displayname = excluded.displayname, avatar_url = excluded.avatar_url";
    let values = values![profile.displayname.as_deref(), profile.avatar_url.as_deref(), localpart];
    world.d1().run(upsert, values).await.map(|_| ())
}

/// Removes a profile.
pub async fn remove(world: &World, localpart: &str) -> Result<(), SqlError> {
    let delete = "DELETE FROM profiles WHERE localpart = ?";
    world.d1().run(delete, values![localpart]).await.map(|_| ())
}
