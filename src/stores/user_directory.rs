//! Which users may a user find? (D1: copies of who is in which room and which rooms are open, and the profiles of ours)
//!
//! A user finds who shares a room with them, and who is in a room that anybody may join or read. By their names only users
//! of ours are found: what another server's users are called stands in their rooms.

use ruma::UserId;
use tombolo_platform::{Row, SqlError, World, values};

/// A user who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub user_id: String,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
    /// A room that the asker may see in which they are.
    pub seen_in: String,
}

/// At most so many users whose ID begins so, or, of ours, in whose display name the term stands; who is called exactly so
/// comes first. The term is in lower case.
pub async fn search(
    world: &World,
    asker: &UserId,
    term: &str,
    limit: usize,
) -> Result<Vec<Found>, SqlError> {
    let query = "WITH found AS (
                     SELECT user FROM room_members WHERE joined = 1 AND user >= ?2 AND user < ?3
                     UNION SELECT '@' || localpart || ':' || ?4 FROM profiles WHERE instr(searched, ?5) > 0)
                 SELECT f.user, p.displayname, p.avatar_url, (
                     SELECT m.room_id FROM room_members m WHERE m.user = f.user AND m.joined = 1 AND (
                         EXISTS (SELECT 1 FROM room_members own WHERE own.user = ?1 AND own.room_id = m.room_id AND own.joined = 1)
                         OR EXISTS (SELECT 1 FROM public_rooms r WHERE r.room_id = m.room_id AND r.open)) LIMIT 1) AS seen_in
                 FROM found f
                 LEFT JOIN accounts a ON f.user = '@' || a.localpart || ':' || ?4
                     AND a.localpart = substr(f.user, 2, length(f.user) - length(?4) - 2)
                 LEFT JOIN profiles p ON p.localpart = a.localpart
                 WHERE f.user <> ?1 AND coalesce(a.deactivated, 0) = 0 AND seen_in IS NOT NULL
                 ORDER BY f.user <> ?2 AND f.user <> ?2 || ':' || ?4 AND p.searched IS NOT ?5, p.displayname IS NULL, f.user
                 LIMIT ?6";
    let first = if term.starts_with('@') { term.to_owned() } else { format!("@{term}") };
    let end = format!("{first}\u{10ffff}");
    let server = asker.server_name().as_str();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| {
        let (display_name, avatar_url) = (row.text_or_null(1)?, row.text_or_null(2)?);
        Ok(Found { user_id: row.text(0)?, display_name, avatar_url, seen_in: row.text(3)? })
    };
    let values = values![asker.as_str(), &first, &end, server, term, limit];
    world.d1().rows(query, values, read).await
}
