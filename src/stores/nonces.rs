//! Which nonces may still be used to register by shared secret? (D1: each is consumed exactly once)

use tombolo_platform::{SqlError, World, values};

/// How long a nonce is good for, in milliseconds.
const LIFETIME: u64 = 60_000;

/// Stores a nonce, and deletes expired ones.
pub async fn insert(world: &World, nonce: &str) -> Result<(), SqlError> {
    let old = world.now().saturating_sub(LIFETIME);
    world.d1().run("DELETE FROM registration_nonces WHERE created_ts < ?", values![old]).await?;
    let insert = "INSERT INTO registration_nonces (nonce, created_ts) VALUES (?, ?)";
    world.d1().run(insert, values![nonce, world.now()]).await.map(|_| ())
}

/// Uses a nonce up; answers whether it was good.
pub async fn consume(world: &World, nonce: &str) -> Result<bool, SqlError> {
    let delete =
        "DELETE FROM registration_nonces WHERE nonce = ? AND created_ts >= ? RETURNING 1 AS one";
    let values = values![nonce, world.now().saturating_sub(LIFETIME)];
    Ok(world.d1().row(delete, values, |row| row.int(0)).await?.is_some())
}
