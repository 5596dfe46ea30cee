//! Which of our rooms may strangers find, and which are there at all? (D1: a copy of what the rooms know, for questions that
//! name no room)

use ruma::RoomId;
use serde_json::json;
use tombolo_platform::{Row, SqlError, World, values};

/// How much the rooms of one page say, in characters; it has at least one room.
const MAX_PAGE: i64 = 1 << 20;

/// A place in the list, which the largest rooms lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub members: i64,
    pub room_id: String,
}

/// Which rooms are wanted.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// Whether users of other servers have to be allowed in.
    pub federating: bool,
    /// What the rooms have to say, in any case.
    pub term: Option<&'a str>,
    /// Of which types they have to be; an empty text stands for rooms without a type. None named: of any.
    pub types: &'a [String],
}

/// What a room is to be found by.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Of two, the one with the higher version is newer.
    pub version: i64,
    /// Whether anybody may join or read the room.
    pub open: bool,
    /// `None`: the room is not published.
    pub published: Option<Published<'a>>,
    /// What an operator's list is ordered by, as JSON; `None`: nothing is held of the room.
    pub overview: Option<String>,
}

/// A published room.
#[derive(Debug)]
pub struct Published<'a> {
    pub members: i64,
    pub federates: bool,
    pub room_type: Option<&'a str>,
    /// What a search looks through, in lower case.
    pub searched: String,
    /// What a list says of the room, as JSON.
    pub summary: String,
}

/// Copies what a room is to be found by.
pub async fn save(world: &World, room_id: &RoomId, entry: &Entry<'_>) -> Result<(), SqlError> {
    let upsert = "INSERT INTO public_rooms (room_id, version, open, members, federates, room_type, searched, summary, overview)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                  ON CONFLICT DO UPDATE SET version = excluded.version, open = excluded.open, members = excluded.members,
                  federates = excluded.federates, room_type = excluded.room_type, searched = excluded.searched,
                  summary = excluded.summary, overview = excluded.overview WHERE excluded.version > version";
    let published = entry.published.as_ref();
    let values = values![
        room_id.as_str(),
        entry.version,
        entry.open,
        published.map(|published| published.members),
        published.is_some_and(|published| published.federates),
        published.and_then(|published| published.room_type),
        published.map_or("", |published| &published.searched),
        published.map(|published| published.summary.as_str()),
        entry.overview.as_deref()
    ];
    world.d1().run(upsert, values).await.map(|_| ())
}

/// How both orders of the list begin. Rooms that the page has no place for are answered without their text.
const CHOSEN: &str = "iif(ahead <= ?7 AND place <= ?6, summary, NULL) AS summary FROM
                 (SELECT summary, row_number() OVER list AS place, sum(length(summary)) OVER list - length(summary) AS ahead
                 FROM public_rooms WHERE members IS NOT NULL AND (federates OR NOT ?1)
                 AND (?2 IS NULL OR instr(searched, ?2) > 0)
                 AND (?3 IS NULL OR coalesce(room_type, '') IN (SELECT value FROM json_each(?3)))";

/// What lists say of at most so many published rooms (JSON), after a place or (`before`) before it, those next to the
/// place; and whether there are more.
pub async fn list(
    world: &World,
    wanted: &Wanted<'_>,
    (from, before): (Option<&Place>, bool),
    limit: usize,
) -> Result<(Vec<String>, bool), SqlError> {
    let after = format!(
        "SELECT {CHOSEN} AND (?4 IS NULL OR members < ?4 OR members = ?4 AND room_id > ?5)
         WINDOW list AS (ORDER BY members DESC, room_id ROWS UNBOUNDED PRECEDING)
         ORDER BY members DESC, room_id LIMIT ?6 + 1)"
    );
    let until = format!(
        "SELECT {CHOSEN} AND (?4 IS NULL OR members > ?4 OR members = ?4 AND room_id < ?5)
         WINDOW list AS (ORDER BY members, room_id DESC ROWS UNBOUNDED PRECEDING)
         ORDER BY members, room_id DESC LIMIT ?6 + 1)"
    );
    let types = (!wanted.types.is_empty()).then(|| json!(wanted.types).to_string());
    let term = wanted.term.map(str::to_lowercase);
    let values = values![
        wanted.federating,
        term.as_deref(),
        types.as_deref(),
        from.map(|place| place.members),
        from.map(|place| place.room_id.as_str()),
        i64::try_from(limit).unwrap_or(i64::MAX),
        MAX_PAGE
    ];
    let query = if before { until } else { after };
    let read = world.d1().rows(&query, values, |row| row.text_or_null(0)).await?;
    let found = read.len();
    let mut rooms: Vec<String> = read.into_iter().flatten().collect();
    let more = rooms.len() < found;
    if before {
        rooms.reverse();
    }
    Ok((rooms, more))
}

/// How many rooms are published, to our users or to other servers.
pub async fn count(world: &World, federating: bool) -> Result<u64, SqlError> {
    let query = "SELECT count(*) AS rooms FROM public_rooms WHERE members IS NOT NULL AND (federates OR NOT ?1)";
    let read = |row: &Row<'_>| row.int(0);
    let count = world.d1().row(query, values![federating], read).await?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}
