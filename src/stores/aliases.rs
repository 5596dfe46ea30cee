//! Which local aliases are there, and which rooms do they name? (D1)

use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, UserId};
use tombolo_platform::{SqlError, World, values};

/// A local alias.
#[derive(Clone, Debug)]
pub struct Alias {
    pub room_id: OwnedRoomId,
    pub creator: OwnedUserId,
}

/// Makes an alias; answers whether it was free.
pub async fn insert(
    world: &World,
    alias: &RoomAliasId,
    room_id: &RoomId,
    creator: &UserId,
) -> Result<bool, SqlError> {
    let insert = "INSERT INTO aliases (alias, room_id, creator, created_ts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1 AS one";
    let values = values![alias.as_str(), room_id.as_str(), creator.as_str(), world.now()];
    Ok(world.d1().row(insert, values, |row| row.int(0)).await?.is_some())
}

/// What an alias names.
pub async fn find(world: &World, alias: &RoomAliasId) -> Result<Option<Alias>, SqlError> {
    let query = "SELECT room_id, creator FROM aliases WHERE alias = ?";
    let row = world
        .d1()
        .row(query, values![alias.as_str()], |row| Ok((row.text(0)?, row.text(1)?)))
        .await?;
    // A row that cannot be read counts as no alias: only `insert` writes these columns.
    Ok(row.and_then(|(room_id, creator)| {
        Some(Alias { room_id: room_id.try_into().ok()?, creator: creator.try_into().ok()? })
    }))
}

/// Removes an alias.
pub async fn delete(world: &World, alias: &RoomAliasId) -> Result<(), SqlError> {
    world.d1().run("DELETE FROM aliases WHERE alias = ?", values![alias.as_str()]).await.map(|_| ())
}

/// Has the local aliases of a room name another one.
pub async fn replace_room(world: &World, old: &RoomId, new: &RoomId) -> Result<(), SqlError> {
    let update = "UPDATE aliases SET room_id = ? WHERE room_id = ?";
    world.d1().run(update, values![new.as_str(), old.as_str()]).await.map(|_| ())
}

/// Removes the local aliases of a room.
pub async fn delete_of_room(world: &World, room_id: &RoomId) -> Result<(), SqlError> {
    let delete = "DELETE FROM aliases WHERE room_id = ?";
    world.d1().run(delete, values![room_id.as_str()]).await.map(|_| ())
}

/// The local aliases of a room.
pub async fn of_room(world: &World, room_id: &RoomId) -> Result<Vec<OwnedRoomAliasId>, SqlError> {
    let query = "SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias";
    let rows = world.d1().rows(query, values![room_id.as_str()], |row| row.text(0)).await?;
    Ok(rows.into_iter().filter_map(|alias| alias.try_into().ok()).collect())
}
