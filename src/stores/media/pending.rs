//! Which media were created, and are to be uploaded later? (D1)

use tombolo_platform::{SqlError, Statement, World, values};

use super::{Content, Described, Name, Noted, note};

/// Makes a name for what a user uploads later; answers whether so many may be pending.
pub async fn create(
    world: &World,
    name: Name<'_>,
    localpart: &str,
    expires_ts: u64,
    most: usize,
) -> Result<bool, SqlError> {
    let insert = "INSERT INTO media (server, media_id, localpart, size, created_ts, expires_ts, accessed_ts, authenticated)
                  SELECT ?1, ?2, ?3, 0, ?4, ?5, ?4, 1
                  WHERE (SELECT count(*) FROM media WHERE content IS NULL AND localpart = ?3 AND expires_ts > ?4) < ?6";
    let values = values![name.server, name.media_id, localpart, world.now(), expires_ts, most];
    Ok(world.d1().run(insert, values).await? > 0)
}

/// When the first of a user's pending media expires (ms).
pub async fn first_expiry(world: &World, localpart: &str) -> Result<Option<u64>, SqlError> {
    let query = "SELECT expires_ts FROM media WHERE content IS NULL AND localpart = ? AND expires_ts > ? ORDER BY expires_ts LIMIT 1";
    let first = world.d1().row(query, values![localpart, world.now()], |row| row.int(0)).await?;
    Ok(first.map(i64::unsigned_abs))
}

/// Gives what was created its content, unless it has one, has expired or is quarantined, or the quota does not allow it.
pub async fn complete(
    world: &World,
    name: Name<'_>,
    (quota, authenticated): (Option<u64>, bool),
    content: &Content,
    described: &Described,
) -> Result<Noted, SqlError> {
    let update = "UPDATE media SET content = (SELECT key FROM media_contents WHERE sha256 = ?3), size = ?4, content_type = ?5, filename = ?6, authenticated = ?7,
                      quarantined = coalesce((SELECT max(equal.quarantined) FROM media AS equal WHERE equal.content = (SELECT key FROM media_contents WHERE sha256 = ?3)), 0)
                  WHERE server = ?1 AND media_id = ?2 AND content IS NULL AND expires_ts > ?8 AND quarantined = 0
                  AND (?9 IS NULL OR (SELECT coalesce(sum(size), 0) FROM media AS kept WHERE kept.localpart = media.localpart) + ?4 <= ?9)";
    let values = values![
        name.server,
        name.media_id,
        &content.sha256,
        content.size,
        &described.content_type,
        described.filename.as_deref(),
        authenticated,
        world.now(),
        quota,
    ];
    note(world, content, Statement { sql: update, values }).await
}

/// Forgets some of the media that were created and never uploaded: each has a localpart, and to ask for that lets the
/// index of what is pending be used.
pub async fn forget_expired(world: &World, most: usize) -> Result<(), SqlError> {
    let delete = "DELETE FROM media WHERE (server, media_id) IN
                  (SELECT server, media_id FROM media WHERE content IS NULL AND localpart > '' AND expires_ts < ? LIMIT ?)";
    world.d1().run(delete, values![world.now(), most]).await.map(|_| ())
}
