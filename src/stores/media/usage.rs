//! Which media has a user uploaded, and how much have users uploaded? (D1)

use ruma::ServerName;
use tombolo_platform::{Row, SqlError, World, values};

/// Media that a user has uploaded.
#[derive(Debug)]
pub struct Uploaded {
    pub media_id: String,
    pub size: u64,
    pub content_type: Option<String>,
    pub filename: Option<String>,
    pub created_ts: u64,
    pub accessed_ts: u64,
    pub quarantined: bool,
}

/// Which of a list are wanted: by a column, in a direction, from a place on, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub order: &'a str,
    pub backwards: bool,
    pub from: u64,
    pub limit: u64,
}

/// What a user of ours has uploaded, and how many media that are in all. What is ordered by something that is the same for
/// all, or not known, is ordered by the media's IDs.
pub async fn of_user(
    world: &World,
    own: &ServerName,
    localpart: &str,
    part: Part<'_>,
) -> Result<(Vec<Uploaded>, u64), SqlError> {
    let query = "SELECT media_id, size, content_type, filename, created_ts, accessed_ts, quarantined FROM (
                     SELECT media_id, size, content_type, filename, created_ts, accessed_ts, quarantined, CASE ?3
                         WHEN 'upload_name' THEN filename WHEN 'created_ts' THEN created_ts WHEN 'last_access_ts' THEN accessed_ts
                         WHEN 'media_length' THEN size WHEN 'media_type' THEN content_type WHEN 'quarantined_by' THEN quarantined
                         WHEN 'media_id' THEN media_id END AS place
                     FROM media WHERE localpart = ?2 AND server = ?1 AND content IS NOT NULL)
                 ORDER BY CASE WHEN ?4 THEN NULL ELSE place END, CASE WHEN ?4 THEN place END DESC, media_id LIMIT ?5 OFFSET ?6";
    let Part { order, backwards, from, limit } = part;
    let values = values![own.as_str(), localpart, order, backwards, limit, from];
    let read = |row: &Row<'_>| {
        Ok(Uploaded {
            media_id: row.text(0)?,
            size: row.int(1)?.unsigned_abs(),
            content_type: row.text_or_null(2)?,
            filename: row.text_or_null(3)?,
            created_ts: row.int(4)?.unsigned_abs(),
            accessed_ts: row.int(5)?.unsigned_abs(),
            quarantined: row.int(6)? != 0,
        })
    };
    let found = world.d1().rows(query, values, read).await?;
    let query = "SELECT count(*) AS media FROM media WHERE localpart = ?2 AND server = ?1 AND content IS NOT NULL";
    let values = values![own.as_str(), localpart];
    let total = world.d1().row(query, values, |row| row.int(0)).await?;
    Ok((found, total.unwrap_or_default().unsigned_abs()))
}

/// How much a user has uploaded.
#[derive(Debug)]
pub struct Usage {
    pub localpart: String,
    pub displayname: Option<String>,
    pub count: u64,
    pub bytes: u64,
}

/// Which uploads count, and of whom: those in a time, of who is called so (in lower case).
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub since: u64,
    pub until: Option<u64>,
    pub term: Option<&'a str>,
}

/// How much users have uploaded, and of how many it is told in all.
pub async fn of_all(
    world: &World,
    own: &ServerName,
    counted: Counted<'_>,
    part: Part<'_>,
) -> Result<(Vec<Usage>, u64), SqlError> {
    let query = "SELECT localpart, displayname, uploads, bytes, total FROM (
                     SELECT localpart, displayname, uploads, bytes, count(*) OVER () AS total, CASE ?5
                         WHEN 'displayname' THEN displayname WHEN 'media_length' THEN bytes WHEN 'media_count' THEN uploads
                         ELSE localpart END AS place
                     FROM (SELECT localpart, count(*) AS uploads, sum(size) AS bytes FROM media
                         WHERE localpart IS NOT NULL AND server = ?1 AND content IS NOT NULL AND created_ts >= ?2
                         AND (?3 IS NULL OR created_ts <= ?3) GROUP BY localpart)
                     LEFT JOIN profiles USING (localpart)
                     WHERE ?4 IS NULL OR instr(localpart, ?4) > 0 OR instr(coalesce(searched, ''), ?4) > 0)
                 ORDER BY CASE WHEN ?6 THEN NULL ELSE place END, CASE WHEN ?6 THEN place END DESC, localpart LIMIT ?7 OFFSET ?8";
    let Counted { since, until, term } = counted;
    let Part { order, backwards, .. } = part;
    let read = |row: &Row<'_>| {
        let usage = Usage {
            localpart: row.text(0)?,
            displayname: row.text_or_null(1)?,
            count: row.int(2)?.unsigned_abs(),
            bytes: row.int(3)?.unsigned_abs(),
        };
        Ok((usage, row.int(4)?.unsigned_abs()))
    };
    let page = async |from: u64, limit: u64| {
        let values = values![own.as_str(), since, until, term, order, backwards, limit, from];
        world.d1().rows(query, values, read).await
    };
    let found = page(part.from, part.limit).await?;
    // Behind the last one, and where none is wanted, no row says how many there are.
    let total = match found.first() {
        Some((_, total)) => Some(*total),
        None => page(0, 1).await?.first().map(|(_, total)| *total),
    };
    Ok((found.into_iter().map(|(usage, _)| usage).collect(), total.unwrap_or_default()))
}
