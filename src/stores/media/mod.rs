//! Which media are there, and where does the content of each lie? (D1)
//!
//! Equal contents lie in R2 once: media name the content, and a content is removed when no media name it any more.

mod contents;
mod pending;
pub mod usage;

use serde_json::json;
use tombolo_platform::{Row, SqlError, Statement, World, values};

use super::MOST_NAMED;

pub use contents::{begin, forget, is_kept, left};
pub use pending::{complete, create, first_expiry, forget_expired};

/// One of the media, ours or another server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The key of its content in R2; `None`: it was created, and not uploaded yet.
    pub content: Option<String>,
    pub size: u64,
    pub content_type: String,
    pub filename: Option<String>,
    /// Who uploads it; `None`: it is another server's.
    pub localpart: Option<String>,
    /// Until when it may be uploaded (ms), where it was only created.
    pub expires_ts: Option<u64>,
    /// When it was read, to a day (ms).
    pub accessed_ts: u64,
    /// Whether only who is logged in may read it.
    pub authenticated: bool,
    pub quarantined: bool,
}

/// A server and a media ID.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub server: &'a str,
    pub media_id: &'a str,
}

/// A content that was written to R2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub key: String,
    /// In hexadecimal digits.
    pub sha256: String,
    pub size: u64,
}

/// What is said of a content where it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub content_type: String,
    pub filename: Option<String>,
}

/// Whose new media these are.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// `None`: another server's.
    pub localpart: Option<&'a str>,
    /// How many bytes the user may keep in all; `None`: any number.
    pub quota: Option<u64>,
    /// Whether only who is logged in may read them.
    pub authenticated: bool,
}

/// What became of a content that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whether there are media of it now.
    pub taken: bool,
    /// Whether nobody has what was written: an equal content was there, or it was not taken.
    pub left: bool,
}

/// Whether `?1` becomes the content of this hash: none is there yet.
const SETTLE: &str = "UPDATE media_contents SET sha256 = ?2 WHERE key = ?1 AND sha256 IS NULL
    AND NOT EXISTS (SELECT 1 FROM media_contents WHERE sha256 = ?2)";
/// A content that no media name is removed next.
const LEAVE: &str = "UPDATE media_contents SET sha256 = NULL, since = 0 WHERE key = ?1
    AND NOT EXISTS (SELECT 1 FROM media WHERE content = ?1)";

/// What there is of this name.
pub async fn find(world: &World, name: Name<'_>) -> Result<Option<Media>, SqlError> {
    let query = "SELECT content, size, content_type, filename, localpart, expires_ts, accessed_ts, authenticated, quarantined
                 FROM media WHERE server = ? AND media_id = ?";
    world.d1().row(query, values![name.server, name.media_id], read).await
}

/// Makes media of a content that was written, unless there are some of this name, or the quota does not allow it.
pub async fn insert(
    world: &World,
    name: Name<'_>,
    owner: Owner<'_>,
    content: &Content,
    described: &Described,
) -> Result<Noted, SqlError> {
    let insert = "INSERT INTO media (server, media_id, localpart, content, size, content_type, filename, created_ts, accessed_ts, authenticated, quarantined)
                  SELECT ?1, ?2, ?3, key, ?5, ?6, ?7, ?8, ?8, ?9, coalesce((SELECT max(quarantined) FROM media WHERE content = key), 0) FROM media_contents WHERE sha256 = ?4
                  AND (?10 IS NULL OR (SELECT coalesce(sum(size), 0) FROM media WHERE localpart = ?3) + ?5 <= ?10)
                  ON CONFLICT DO NOTHING";
    let values = values![
        name.server,
        name.media_id,
        owner.localpart,
        &content.sha256,
        content.size,
        &described.content_type,
        described.filename.as_deref(),
        world.now(),
        owner.authenticated,
        owner.quota,
    ];
    note(world, content, Statement { sql: insert, values }).await
}

/// Settles which of equal contents is kept, and has `take` name it, in one transaction.
async fn note(world: &World, content: &Content, take: Statement<'_>) -> Result<Noted, SqlError> {
    let settle = values![&content.key, &content.sha256];
    let leave = values![&content.key];
    let statements =
        [Statement { sql: SETTLE, values: settle }, take, Statement { sql: LEAVE, values: leave }];
    let wrote = world.d1().batch(&statements).await?;
    let wrote = |place: usize| wrote.get(place).is_some_and(|rows| *rows > 0);
    Ok(Noted { taken: wrote(1), left: wrote(2) })
}

/// What became of media that were to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there were any.
    pub was_there: bool,
    /// The key of their content, if nobody else has it: it can be removed from R2.
    pub left: Option<String>,
}

/// Removes media.
pub async fn delete(world: &World, name: Name<'_>) -> Result<Deleted, SqlError> {
    let media = find(world, name).await?;
    let Some(media) = media else { return Ok(Deleted { was_there: false, left: None }) };
    // The content may have come, or be another, since this was read: what is left follows from the row that goes.
    let leave = "UPDATE media_contents SET sha256 = NULL, since = 0
                 WHERE key = (SELECT content FROM media WHERE server = ?1 AND media_id = ?2)
                 AND NOT EXISTS (SELECT 1 FROM media WHERE content = media_contents.key AND (server, media_id) <> (?1, ?2))";
    let delete = "DELETE FROM media WHERE server = ?1 AND media_id = ?2";
    let values = values![name.server, name.media_id];
    let statements = [Statement { sql: leave, values }, Statement { sql: delete, values }];
    let wrote = world.d1().batch(&statements).await?;
    let is_left = wrote.first().is_some_and(|rows| *rows > 0);
    Ok(Deleted { was_there: true, left: media.content.filter(|_| is_left) })
}

/// Keeps media from being read, and all that have the same content, or no longer; answers whether there are any.
pub async fn quarantine(world: &World, name: Name<'_>, is_so: bool) -> Result<bool, SqlError> {
    let update = "UPDATE media SET quarantined = ?3 WHERE server = ?1 AND media_id = ?2
                  OR content = (SELECT content FROM media WHERE server = ?1 AND media_id = ?2)";
    Ok(world.d1().run(update, values![name.server, name.media_id, is_so]).await? > 0)
}

/// Keeps these media from being read, each a server and an ID, and all that have the same contents; answers how many that
/// are.
pub async fn quarantine_these(world: &World, names: &[(&str, &str)]) -> Result<u64, SqlError> {
    let update = "UPDATE media SET quarantined = 1 WHERE quarantined = 0 AND (
                      (server, media_id) IN (SELECT value->>0, value->>1 FROM json_each(?1))
                      OR content IN (SELECT m.content FROM json_each(?1) CROSS JOIN media m
                                     WHERE m.server = value->>0 AND m.media_id = value->>1))";
    let mut quarantined = 0;
    for some in names.chunks(MOST_NAMED) {
        quarantined += world.d1().run(update, values![&*json!(some).to_string()]).await?;
    }
    Ok(quarantined)
}

/// Keeps all that a user of ours has uploaded from being read, and all that have the same contents; answers how many that
/// are.
pub async fn quarantine_all_of(world: &World, localpart: &str) -> Result<u64, SqlError> {
    let update = "UPDATE media SET quarantined = 1 WHERE quarantined = 0 AND (localpart = ?1
                  OR content IN (SELECT content FROM media WHERE localpart = ?1))";
    world.d1().run(update, values![localpart]).await
}

/// How many bytes a user keeps.
pub async fn kept_by(world: &World, localpart: &str) -> Result<u64, SqlError> {
    let query = "SELECT coalesce(sum(size), 0) AS bytes FROM media WHERE localpart = ?";
    let bytes = world.d1().row(query, values![localpart], |row| row.int(0)).await?;
    Ok(bytes.unwrap_or_default().unsigned_abs())
}

/// Notes that media were read now.
pub async fn touch(world: &World, name: Name<'_>) -> Result<(), SqlError> {
    let update = "UPDATE media SET accessed_ts = ? WHERE server = ? AND media_id = ?";
    world.d1().run(update, values![world.now(), name.server, name.media_id]).await.map(|_| ())
}

/// Some of those fetched from elsewhere that nobody has read since then (ms), but for those of one server. Images of pages
/// are our own server's.
pub async fn unread_since(
    world: &World,
    since: u64,
    (but, most): (Option<&str>, usize),
) -> Result<Vec<(String, String)>, SqlError> {
    let query = "SELECT server, media_id FROM media
                 WHERE localpart IS NULL AND accessed_ts < ?1 AND quarantined = 0 AND server IS NOT ?2 LIMIT ?3";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
    world.d1().rows(query, values![since, but, most], read).await
}

fn read(row: &Row<'_>) -> Result<Media, SqlError> {
    Ok(Media {
        content: row.text_or_null(0)?,
        size: row.int(1)?.unsigned_abs(),
        // What was only created has none yet.
        content_type: row.text_or_null(2)?.unwrap_or_default(),
        filename: row.text_or_null(3)?,
        localpart: row.text_or_null(4)?,
        expires_ts: row.int_or_null(5)?.map(i64::unsigned_abs),
        accessed_ts: row.int(6)?.unsigned_abs(),
        authenticated: row.int(7)? != 0,
        quarantined: row.int(8)? != 0,
    })
}
