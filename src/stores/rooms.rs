//! Which rooms are there, for an operator? (D1: a copy of what the rooms know, for questions that name no room)
//!
//! The rooms of which this server holds something have a row in `public_rooms` with an overview. An older room that has been
//! quiet since before there were overviews is found among the rooms in which this server is.

use ruma::{OwnedRoomId, ServerName};
use tombolo_platform::{Row, SqlError, World, values};

/// Which rooms are wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// What the name, the local part of the canonical alias or the room's ID has in it; of the first two in any case.
    pub term: Option<&'a str>,
    pub published: Option<bool>,
    /// Whether nobody is in the room, as far as this server is told.
    pub empty: Option<bool>,
    /// `joined_members`, `joined_local_members`, or the name of what the overview says.
    pub order: &'a str,
    pub backwards: bool,
    pub from: u64,
    pub limit: u64,
}

/// A page of the rooms that are wanted, each with how many there are in all.
const PAGE: &str = "WITH known AS (
         SELECT room_id, overview FROM public_rooms WHERE overview IS NOT NULL
         UNION ALL SELECT s.room_id, 'null' FROM room_servers s WHERE s.server = ?1 AND NOT EXISTS (
             SELECT 1 FROM public_rooms p WHERE p.room_id = s.room_id AND p.overview IS NOT NULL)
     ), members AS (
         SELECT room_id, count(*) AS joined, sum(local) AS here FROM room_members WHERE joined = 1 GROUP BY room_id
     ), chosen AS (
         SELECT k.room_id, CASE ?5 WHEN 'joined_members' THEN coalesce(m.joined, 0)
             WHEN 'joined_local_members' THEN coalesce(m.here, 0) ELSE json_extract(k.overview, '$.' || ?5) END AS place
         FROM known k LEFT JOIN members m ON m.room_id = k.room_id
         WHERE (?2 IS NULL OR instr(coalesce(json_extract(k.overview, '$.searched'), ''), ?2) > 0
                OR instr(k.room_id, ?8) > 0)
         AND (?3 IS NULL OR coalesce(json_extract(k.overview, '$.public'), 0) = ?3)
         AND (?4 IS NULL OR (coalesce(m.joined, 0) = 0) = ?4)
     )
     SELECT room_id, count(*) OVER () AS total FROM chosen
     ORDER BY place {order}, room_id {order} LIMIT ?6 OFFSET ?7";

/// A page of rooms, and how many there are in all. Rooms that are equal in this order are ordered by their IDs.
pub async fn list(
    world: &World,
    own: &ServerName,
    wanted: &Wanted<'_>,
) -> Result<(Vec<OwnedRoomId>, u64), SqlError> {
    let query = PAGE.replace("{order}", if wanted.backwards { "DESC" } else { "ASC" });
    let folded = wanted.term.map(str::to_lowercase);
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
    let page = async |from: u64, limit: u64| {
        let values = values![
            own.as_str(),
            folded.as_deref(),
            wanted.published,
            wanted.empty,
            wanted.order,
            limit,
            from,
            wanted.term
        ];
        world.d1().rows(&query, values, read).await
    };
    let found = page(wanted.from, wanted.limit).await?;
    // Behind the last one, and where none is wanted, no row says how many there are.
    let total = match found.first() {
        Some((_, total)) => Some(*total),
        None => page(0, 1).await?.first().map(|(_, total)| *total),
    };
    let rooms = found.into_iter().filter_map(|(room, _)| room.try_into().ok()).collect();
    Ok((rooms, total.and_then(|total| u64::try_from(total).ok()).unwrap_or_default()))
}
