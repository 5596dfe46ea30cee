//! Whose pushers have a key? (D1)
//!
//! A device has one user at a time: who sets a pusher takes its key from others, who were logged in there before. A row
//! may outlive its pusher.

use tombolo_platform::{SqlError, World, values};

/// Notes that a user has a pusher with this key, and answers who else has.
pub async fn note(
    world: &World,
    [app_id, pushkey]: [&str; 2],
    localpart: &str,
) -> Result<Vec<String>, SqlError> {
    let insert =
        "INSERT INTO pushkeys (app_id, pushkey, localpart) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    world.d1().run(insert, values![app_id, pushkey, localpart]).await?;
    let query =
        "SELECT localpart FROM pushkeys WHERE app_id = ? AND pushkey = ? AND localpart <> ?";
    world.d1().rows(query, values![app_id, pushkey, localpart], |row| row.text(0)).await
}

/// Forgets the keys of a user but these (a JSON array of pairs of an app and a key), which their pushers have.
pub async fn keep(world: &World, keys: &str, localpart: &str) -> Result<(), SqlError> {
    let delete = "DELETE FROM pushkeys WHERE localpart = ?1 AND NOT EXISTS
                      (SELECT 1 FROM json_each(?2) WHERE value ->> 0 = app_id AND value ->> 1 = pushkey)";
    world.d1().run(delete, values![localpart, keys]).await.map(|_| ())
}

/// Notes that a user has no pusher with this key.
pub async fn forget(
    world: &World,
    [app_id, pushkey]: [&str; 2],
    localpart: &str,
) -> Result<(), SqlError> {
    let delete = "DELETE FROM pushkeys WHERE app_id = ? AND pushkey = ? AND localpart = ?";
    world.d1().run(delete, values![app_id, pushkey, localpart]).await.map(|_| ())
}
