//! What is in R2 that no media name? (D1)

use tombolo_platform::{SqlError, World, values};

/// How long a content may take to be written (ms).
const WRITING: u64 = 86_400_000;

/// Notes that a content is about to be written, so that it is removed where that is never finished.
pub async fn begin(world: &World, key: &str) -> Result<(), SqlError> {
    let insert = "INSERT INTO media_contents (key, since) VALUES (?, ?)";
    world.d1().run(insert, values![key, world.now()]).await.map(|_| ())
}

/// Some of the contents that nobody has any more, or that were never finished.
pub async fn left(world: &World, most: usize) -> Result<Vec<String>, SqlError> {
    let query = "SELECT key FROM media_contents WHERE sha256 IS NULL AND since < ? LIMIT ?";
    let before = world.now().saturating_sub(WRITING);
    world.d1().rows(query, values![before, most], |row| row.text(0)).await
}

/// Whether media have a content; else it is removed, and whatever was made of it.
pub async fn is_kept(world: &World, key: &str) -> Result<bool, SqlError> {
    let query = "SELECT key FROM media_contents WHERE key = ? AND sha256 IS NOT NULL";
    world.d1().row(query, values![key], |row| row.text(0)).await.map(|row| row.is_some())
}

/// A content was removed from R2.
pub async fn forget(world: &World, key: &str) -> Result<(), SqlError> {
    let delete = "DELETE FROM media_contents WHERE key = ? AND sha256 IS NULL";
    world.d1().run(delete, values![key]).await.map(|_| ())
}
