//! What is the presence of users, and who is to be told of it? (D1: a copy of what users' objects and other servers told)
//!
//! A row is overwritten in place. One of which nothing was heard for long is out of date, and is deleted in the end.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedServerName, OwnedUserId, RoomId, UserId};
use serde_json::json;
use tombolo_platform::{Row, SqlError, Statement, World, values};

use super::MOST_NAMED;

/// After what time a presence that was not told again counts no more (ms). Servers tell it every half an hour.
pub const STALE: u64 = 2_700_000;
/// How long a row stays of which nothing is heard (ms), and how many are deleted with one that is written.
const KEPT: u64 = 172_800_000;
const DELETED: u32 = 20;
/// The most presences of one answer.
pub const MOST: u32 = 500;
/// The most users of ours, and the most servers, that are told of one user: those of the smallest rooms first.
const MOST_LOCALS: u32 = 500;
const MOST_SERVERS: u32 = 100;
/// Of how many users of ours in a room a server hears that comes into it.
const MOST_INTRODUCED: u32 = 100;
/// The most pairs of a user of another server and one of ours who is told.
const MOST_PAIRS: u32 = 2_000;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub user: OwnedUserId,
    pub state: String,
    pub status_msg: Option<String>,
    pub active_ts: Option<u64>,
    pub currently_active: bool,
    pub told_ts: u64,
}

/// Writes what was told of users, all of them ours or none; what was told later stays.
pub async fn save(world: &World, told: &[Stored], local: bool) -> Result<(), SqlError> {
    let rows: Vec<_> = told
        .iter()
        .map(|told| {
            let Stored { user, state, status_msg, active_ts, currently_active, told_ts } = told;
            json!([user, state, status_msg, active_ts, u8::from(*currently_active), told_ts])
        })
        .collect();
    let upsert = "INSERT INTO presences (user, local, state, status_msg, active_ts, currently_active, told_ts)
                      SELECT value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) WHERE true
                  ON CONFLICT DO UPDATE SET state = excluded.state, status_msg = excluded.status_msg, active_ts = excluded.active_ts,
                      currently_active = excluded.currently_active, told_ts = excluded.told_ts WHERE excluded.told_ts >= told_ts";
    let delete = "DELETE FROM presences WHERE user IN (SELECT user FROM presences WHERE told_ts < ?1 ORDER BY told_ts LIMIT ?2)";
    let (rows, old) = (json!(rows).to_string(), world.now().saturating_sub(KEPT));
    let statements = [
        Statement { sql: upsert, values: values![&rows, local] },
        Statement { sql: delete, values: values![old, DELETED] },
    ];
    world.d1().batch(&statements).await.map(|_| ())
}

/// Removes what was told of a user.
pub async fn remove(world: &World, user: &UserId) -> Result<(), SqlError> {
    let delete = "DELETE FROM presences WHERE user = ?1";
    world.d1().run(delete, values![user.as_str()]).await.map(|_| ())
}

/// What is known of these users, however old it is.
pub async fn of_users(
    world: &World,
    users: impl IntoIterator<Item = &OwnedUserId>,
) -> Result<BTreeMap<OwnedUserId, Stored>, SqlError> {
    let users: Vec<&OwnedUserId> = users.into_iter().take(MOST_NAMED).collect();
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let query = "SELECT p.user, state, status_msg, active_ts, currently_active, told_ts FROM json_each(?1) CROSS JOIN presences p WHERE p.user = value LIMIT ?2";
    let users = json!(users).to_string();
    let rows = world.d1().rows(query, values![&users, MOST], stored).await?;
    Ok(rows.into_iter().flatten().map(|stored| (stored.user.clone(), stored)).collect())
}

/// What is known of those among these users who share a room with a user, each joined to it, and of the user.
pub async fn sharing(
    world: &World,
    user: &UserId,
    with: &BTreeSet<OwnedUserId>,
) -> Result<Vec<Stored>, SqlError> {
    let query = "SELECT p.user, state, status_msg, active_ts, currently_active, told_ts FROM json_each(?2) CROSS JOIN presences p
                 WHERE p.user = value AND (p.user = ?1 OR EXISTS (
                     SELECT 1 FROM room_members other CROSS JOIN room_members own
                     WHERE other.user = p.user AND other.joined = 1
                     AND own.user = ?1 AND own.room_id = other.room_id AND own.joined = 1)) LIMIT ?3";
    let with: Vec<&OwnedUserId> = with.iter().take(MOST_NAMED).collect();
    let with = json!(with).to_string();
    let rows = world.d1().rows(query, values![user.as_str(), &with, MOST], stored).await?;
    Ok(rows.into_iter().flatten().collect())
}

/// The newest presences of those who share a room with a user, and of the user: those told after a time and not after
/// another (ms). Unless all are wanted, those who are offline are left out.
pub async fn around(
    world: &World,
    user: &UserId,
    (after, upto): (u64, Option<u64>),
    all: bool,
) -> Result<Vec<Stored>, SqlError> {
    let query = "SELECT p.user, state, status_msg, active_ts, currently_active, told_ts FROM presences p INDEXED BY presences_told
                 WHERE told_ts > ?2 AND told_ts <= ifnull(?3, 9e15) AND (?4 OR state <> 'offline') AND (p.user = ?1 OR EXISTS (
                     SELECT 1 FROM room_members other CROSS JOIN room_members own
                     WHERE other.user = p.user AND other.joined = 1
                     AND own.user = ?1 AND own.room_id = other.room_id AND own.joined = 1))
                 ORDER BY told_ts DESC LIMIT ?5";
    let values = values![user.as_str(), after, upto, all, MOST];
    let rows = world.d1().rows(query, values, stored).await?;
    Ok(rows.into_iter().flatten().collect())
}

/// Those of our users in a room who are not offline, as far as that is not out of date.
pub async fn of_room(world: &World, room_id: &RoomId) -> Result<Vec<Stored>, SqlError> {
    let query = "SELECT p.user, state, status_msg, active_ts, currently_active, told_ts FROM room_members own CROSS JOIN presences p
                 WHERE own.room_id = ?1 AND own.local = 1 AND own.joined = 1
                 AND p.user = own.user AND p.told_ts > ?2 AND p.state <> 'offline' LIMIT ?3";
    let values = values![room_id.as_str(), world.now().saturating_sub(STALE), MOST_INTRODUCED];
    let rows = world.d1().rows(query, values, stored).await?;
    Ok(rows.into_iter().flatten().collect())
}

/// Our users who are told of one of ours.
pub async fn locals(world: &World, user: &UserId) -> Result<Vec<OwnedUserId>, SqlError> {
    let query = "WITH rooms AS MATERIALIZED (
                     SELECT own.room_id, (SELECT count(*) FROM room_members m WHERE m.room_id = own.room_id AND m.local = 1 AND m.joined = 1) AS size
                     FROM room_members own WHERE own.user = ?1 AND own.joined = 1)
                 SELECT other.user FROM rooms CROSS JOIN room_members other
                 WHERE other.room_id = rooms.room_id AND other.local = 1 AND other.joined = 1 AND other.user <> ?1
                 GROUP BY other.user ORDER BY min(rooms.size), other.user LIMIT ?2";
    let names =
        world.d1().rows(query, values![user.as_str(), MOST_LOCALS], |row| row.text(0)).await?;
    Ok(names.into_iter().filter_map(|name| UserId::parse(name).ok()).collect())
}

/// The other servers that are told of one of our users.
pub async fn servers(world: &World, user: &UserId) -> Result<Vec<OwnedServerName>, SqlError> {
    let query = "WITH rooms AS MATERIALIZED (
                     SELECT own.room_id, (SELECT count(*) FROM room_servers s WHERE s.room_id = own.room_id) AS size
                     FROM room_members own WHERE own.user = ?1 AND own.joined = 1)
                 SELECT s.server FROM rooms CROSS JOIN room_servers s
                 WHERE s.room_id = rooms.room_id AND s.server <> ?2
                 GROUP BY s.server ORDER BY min(rooms.size), s.server LIMIT ?3";
    let values = values![user.as_str(), user.server_name().as_str(), MOST_SERVERS];
    let names = world.d1().rows(query, values, |row| row.text(0)).await?;
    Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
}

/// Our users who share a room with these users of other servers: by each of ours, with whom.
pub async fn locals_of(
    world: &World,
    users: &[OwnedUserId],
) -> Result<BTreeMap<OwnedUserId, BTreeSet<OwnedUserId>>, SqlError> {
    let query = "SELECT DISTINCT own.user AS own, other.user AS other FROM json_each(?1) CROSS JOIN room_members other CROSS JOIN room_members own
                 WHERE other.user = value AND other.joined = 1
                 AND own.room_id = other.room_id AND own.local = 1 AND own.joined = 1 LIMIT ?2";
    let users = json!(users).to_string();
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
    let mut sharing: BTreeMap<OwnedUserId, BTreeSet<OwnedUserId>> = BTreeMap::new();
    for (own, other) in world.d1().rows(query, values![&users, MOST_PAIRS], read).await? {
        if let (Ok(own), Ok(other)) = (UserId::parse(own), UserId::parse(other)) {
            sharing.entry(own).or_default().insert(other);
        }
    }
    Ok(sharing)
}

/// Reads a row; `None` where its user has no ID.
fn stored(row: &Row<'_>) -> Result<Option<Stored>, SqlError> {
    let time = |time: i64| u64::try_from(time).unwrap_or_default();
    let Ok(user) = UserId::parse(row.text(0)?) else { return Ok(None) };
    Ok(Some(Stored {
        user,
        state: row.text(1)?,
        status_msg: row.text_or_null(2)?,
        active_ts: row.int_or_null(3)?.map(time),
        currently_active: row.int(4)? == 1,
        told_ts: time(row.int(5)?),
    }))
}
