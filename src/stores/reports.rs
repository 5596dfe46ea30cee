//! What did our users report to the operator? (D1)

use ruma::UserId;
use tombolo_platform::{Row, SqlError, World, values};

/// How many reports of one user are kept at a time.
const MAX_REPORTS: u32 = 200;

/// What is reported: a room, an event in it, or a user.
#[derive(Debug, Default)]
pub struct Report<'a> {
    pub room_id: Option<&'a str>,
    pub event_id: Option<&'a str>,
    /// Who is reported, or who sent the event.
    pub user: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// The event as the reporter saw it.
    pub event: Option<&'a str>,
}

/// A report that is kept.
#[derive(Debug)]
pub struct Kept {
    pub id: i64,
    pub reporter: String,
    pub received_ts: i64,
    pub room_id: Option<String>,
    pub event_id: Option<String>,
    pub user: Option<String>,
    pub reason: Option<String>,
    pub event: Option<String>,
}

/// Keeps a report; answers whether there was room for one more of this user.
pub async fn insert(
    world: &World,
    reporter: &UserId,
    report: &Report<'_>,
) -> Result<bool, SqlError> {
    let insert = "INSERT INTO reports (reporter, received_ts, room_id, event_id, user, reason, event)
                  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM reports WHERE reporter = ?1) < ?8
                  RETURNING 1 AS one";
    let values = values![
        reporter.as_str(),
        world.now(),
        report.room_id,
        report.event_id,
        report.user,
        report.reason,
        report.event,
        MAX_REPORTS
    ];
    Ok(world.d1().row(insert, values, |row| row.int(0)).await?.is_some())
}

/// Reports of whatever kind, the newest first or (`forwards`) the oldest, of a reporter and of a room if these are named.
pub async fn list(
    world: &World,
    (reporter, room_id): (Option<&str>, Option<&str>),
    (from, limit, forwards): (u32, u32, bool),
) -> Result<Vec<Kept>, SqlError> {
    let query = "SELECT id, reporter, received_ts, room_id, event_id, user, reason, event FROM reports
                 WHERE (?1 IS NULL OR instr(reporter, ?1) > 0)
                 AND (?2 IS NULL OR instr(room_id, ?2) > 0) ORDER BY CASE WHEN ?3 THEN id ELSE -id END LIMIT ?4 OFFSET ?5";
    let values = values![reporter, room_id, forwards, limit, from];
    world.d1().rows(query, values, read).await
}

/// How many reports there are, by the same choice.
pub async fn count(
    world: &World,
    reporter: Option<&str>,
    room_id: Option<&str>,
) -> Result<u64, SqlError> {
    let query =
        "SELECT count(*) AS reports FROM reports WHERE (?1 IS NULL OR instr(reporter, ?1) > 0)
                 AND (?2 IS NULL OR instr(room_id, ?2) > 0)";
    let count = world.d1().row(query, values![reporter, room_id], |row| row.int(0)).await?;
    Ok(count.unwrap_or_default().unsigned_abs())
}

/// One report.
pub async fn find(world: &World, id: i64) -> Result<Option<Kept>, SqlError> {
    let query =
        "SELECT id, reporter, received_ts, room_id, event_id, user, reason, event FROM reports
                 WHERE id = ?";
    world.d1().row(query, values![id], read).await
}

/// Deletes a report; answers whether there was one.
pub async fn remove(world: &World, id: i64) -> Result<bool, SqlError> {
    let delete = "DELETE FROM reports WHERE id = ? RETURNING 1 AS one";
    Ok(world.d1().row(delete, values![id], |row| row.int(0)).await?.is_some())
}

fn read(row: &Row<'_>) -> Result<Kept, SqlError> {
    Ok(Kept {
        id: row.int(0)?,
        reporter: row.text(1)?,
        received_ts: row.int(2)?,
        room_id: row.text_or_null(3)?,
        event_id: row.text_or_null(4)?,
        user: row.text_or_null(5)?,
        reason: row.text_or_null(6)?,
        event: row.text_or_null(7)?,
    })
}
