//! Who shares a room with whom? (D1: a copy of what the rooms know, for questions that name no room)
//!
//! It holds who is joined or invited in a room in which one of our users is joined. Two users share a room while one is
//! joined and the other joined or invited.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::json;
use tombolo_platform::{Row, SqlError, Statement, World, values};

use super::MOST_NAMED;

/// How many statements D1 is given at once.
const AT_ONCE: usize = 5;

const WRITE: &str = "INSERT INTO room_members (user, room_id, joined, local, since) SELECT value, ?1, ?2, ?3, ?4 FROM json_each(?5) WHERE true
     ON CONFLICT DO UPDATE SET joined = excluded.joined, since = excluded.since";
const DELETE: &str =
    "DELETE FROM room_members WHERE room_id = ?1 AND user IN (SELECT value FROM json_each(?2))";

/// Users of a room whose membership moved, by what they are now.
#[derive(Debug)]
pub struct Moved<'a> {
    pub joined: &'a [OwnedUserId],
    pub invited: &'a [OwnedUserId],
    pub out: &'a [OwnedUserId],
}

/// Notes who came into a room and who left it; `ours` is the name of this server. Very many are written one part after
/// the other: those of ours last, since while one of ours counts as joined, all others of the room must be right.
pub async fn save(
    world: &World,
    room_id: &RoomId,
    ours: &ServerName,
    moved: &Moved<'_>,
) -> Result<(), SqlError> {
    let now = world.now();
    let parts = |users: &[OwnedUserId], local: Option<bool>| -> Vec<String> {
        let of_kind =
            |user: &&OwnedUserId| local.is_none_or(|local| local == (user.server_name() == ours));
        let users: Vec<_> = users.iter().filter(of_kind).collect();
        users.chunks(MOST_NAMED).map(|users| json!(users).to_string()).collect()
    };
    let room = room_id.as_str();
    let mut written: Vec<(bool, bool, String)> = Vec::new();
    for local in [false, true] {
        for (joined, users) in [(true, moved.joined), (false, moved.invited)] {
            let parts = parts(users, Some(local)).into_iter();
            written.extend(parts.map(|users| (joined, local, users)));
        }
    }
    let deleted = parts(moved.out, None);
    let deletions = deleted.iter().map(|users| (DELETE, values![room, users].to_vec()));
    let writes = written
        .iter()
        .map(|(joined, local, users)| (WRITE, values![room, *joined, *local, now, users].to_vec()));
    let all: Vec<_> = deletions.chain(writes).collect();
    let all: Vec<_> = all.iter().map(|(sql, values)| Statement { sql, values }).collect();
    for some in all.chunks(AT_ONCE) {
        world.d1().batch(some).await?;
    }
    Ok(())
}

/// Who of `with` shares a room with a user, who is joined to it.
pub async fn sharing(
    world: &World,
    user: &UserId,
    with: &[OwnedUserId],
) -> Result<BTreeSet<OwnedUserId>, SqlError> {
    let query = "SELECT value AS user FROM json_each(?2) WHERE EXISTS (
                     SELECT 1 FROM room_members other CROSS JOIN room_members own
                     WHERE other.user = value AND own.user = ?1 AND own.room_id = other.room_id AND own.joined = 1)";
    let mut sharing = BTreeSet::new();
    for some in with.chunks(MOST_NAMED) {
        let some = json!(some).to_string();
        let values = values![user.as_str(), &some];
        let names = world.d1().rows(query, values, |row| row.text(0)).await?.into_iter();
        sharing.extend(names.filter_map(|name| UserId::parse(name).ok()));
    }
    Ok(sharing)
}

/// At most so many rooms to which both users are joined, by their IDs, after one.
pub async fn mutual(
    world: &World,
    (one, other): (&UserId, &UserId),
    after: &str,
    limit: u32,
) -> Result<Vec<String>, SqlError> {
    let query = "SELECT own.room_id FROM room_members own CROSS JOIN room_members other
                 WHERE own.user = ?1 AND own.joined = 1 AND own.room_id > ?3
                 AND other.user = ?2 AND other.room_id = own.room_id AND other.joined = 1 ORDER BY own.room_id LIMIT ?4";
    let values = values![one.as_str(), other.as_str(), after, limit];
    world.d1().rows(query, values, |row| row.text(0)).await
}

/// To how many rooms both users are joined.
pub async fn count_mutual(world: &World, one: &UserId, other: &UserId) -> Result<i64, SqlError> {
    let query = "SELECT count(*) AS rooms FROM room_members own CROSS JOIN room_members other
                 WHERE own.user = ?1 AND own.joined = 1
                 AND other.user = ?2 AND other.room_id = own.room_id AND other.joined = 1";
    let values = values![one.as_str(), other.as_str()];
    Ok(world.d1().row(query, values, |row| row.int(0)).await?.unwrap_or_default())
}

/// Our users who are joined to a room to which a user is joined, without that user.
pub async fn locals_sharing(world: &World, user: &UserId) -> Result<Vec<OwnedUserId>, SqlError> {
    let query = "SELECT DISTINCT local.user FROM room_members own CROSS JOIN room_members local
                 WHERE own.user = ?1 AND own.joined = 1 AND local.room_id = own.room_id
                 AND local.local = 1 AND local.joined = 1 AND local.user <> ?1 ORDER BY local.user";
    let names = world.d1().rows(query, values![user.as_str()], |row| row.text(0)).await?;
    Ok(names.into_iter().filter_map(|name| UserId::parse(name).ok()).collect())
}

/// The other servers in a room with which a user of ours, who is joined, shares no other room.
pub async fn servers_only_in(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
) -> Result<Vec<OwnedServerName>, SqlError> {
    let query = "SELECT s.server FROM room_servers s WHERE s.room_id = ?2 AND s.server <> ?3 AND NOT EXISTS (
                     SELECT 1 FROM room_servers other CROSS JOIN room_members own
                     WHERE other.server = s.server AND other.room_id <> ?2
                     AND own.user = ?1 AND own.room_id = other.room_id AND own.joined = 1) ORDER BY s.server";
    let values = values![user.as_str(), room_id.as_str(), user.server_name().as_str()];
    let names = world.d1().rows(query, values, |row| row.text(0)).await?;
    Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
}

/// Since when one of our users has shared a room with each of these users of other servers without a break (ms). Only
/// rooms to which they are joined count: the server of a user who is only invited need not know that we are there.
pub async fn shared_since(
    world: &World,
    users: &[OwnedUserId],
) -> Result<BTreeMap<OwnedUserId, u64>, SqlError> {
    let query = "SELECT r.user, min(r.since) AS since FROM json_each(?1) CROSS JOIN room_members r
                 WHERE r.user = value AND r.joined = 1 AND EXISTS (
                     SELECT 1 FROM room_members l WHERE l.room_id = r.room_id AND l.local = 1 AND l.joined = 1)
                 GROUP BY r.user";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
    let mut since = BTreeMap::new();
    for some in users.chunks(MOST_NAMED) {
        let some = json!(some).to_string();
        let rows = world.d1().rows(query, values![&some], read).await?.into_iter();
        since.extend(rows.filter_map(|(name, since)| {
            Some((UserId::parse(name).ok()?, u64::try_from(since).ok()?))
        }));
    }
    Ok(since)
}
