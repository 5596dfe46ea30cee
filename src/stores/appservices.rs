//! Which application services are registered? (D1)

use tombolo_platform::{Row, SqlError, World, values};

/// A registration as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    /// The SHA-256 of the token with which the service asks us, in hexadecimal.
    pub token_hash: String,
    /// The token with which we ask the service, sealed.
    pub hs_token: String,
    /// The rest, as JSON.
    pub registration: String,
}

/// Stores a registration, in the place of an older one of its ID; answers whether its token is nobody else's.
pub async fn put(world: &World, stored: &Stored) -> Result<bool, SqlError> {
    let Stored { id, token_hash, hs_token, registration } = stored;
    let insert = "INSERT INTO appservices (id, token_hash, hs_token, registration) SELECT ?1, ?2, ?3, ?4
                      WHERE NOT EXISTS (SELECT 1 FROM appservices WHERE token_hash = ?2 AND id <> ?1)
                  ON CONFLICT (id) DO UPDATE SET token_hash = excluded.token_hash, hs_token = excluded.hs_token,
                      registration = excluded.registration
                  RETURNING 1 AS one";
    let values = values![id, token_hash, hs_token, registration];
    Ok(world.d1().row(insert, values, |row| row.int(0)).await?.is_some())
}

/// Removes a registration; answers whether there was one of this ID.
pub async fn remove(world: &World, id: &str) -> Result<bool, SqlError> {
    let delete = "DELETE FROM appservices WHERE id = ? RETURNING 1 AS one";
    Ok(world.d1().row(delete, values![id], |row| row.int(0)).await?.is_some())
}

/// All registrations.
pub async fn list(world: &World) -> Result<Vec<Stored>, SqlError> {
    let query = "SELECT id, token_hash, hs_token, registration FROM appservices ORDER BY id";
    world.d1().rows(query, values![], read).await
}

fn read(row: &Row<'_>) -> Result<Stored, SqlError> {
    let (id, token_hash) = (row.text(0)?, row.text(1)?);
    Ok(Stored { id, token_hash, hs_token: row.text(2)?, registration: row.text(3)? })
}
