//! Which servers are in which rooms? (D1: a copy of what the rooms know, for questions that name no room)

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::json;
use tombolo_platform::{SqlError, Statement, World, values};

/// The most rooms of a server that are named.
const MAX_ROOMS: u32 = 1000;

/// Notes which servers came into a room (`true`) and which left it.
pub async fn save(
    world: &World,
    room_id: &RoomId,
    changes: &[(OwnedServerName, bool)],
) -> Result<(), SqlError> {
    let servers = |wanted: bool| {
        let of_kind = changes.iter().filter(|(_, present)| *present == wanted);
        json!(of_kind.map(|(server, _)| server).collect::<Vec<_>>()).to_string()
    };
    let (came, left) = (servers(true), servers(false));
    let insert = "INSERT INTO room_servers (server, room_id) SELECT value, ?1 FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING";
    let delete = "DELETE FROM room_servers WHERE room_id = ?1 AND server IN (SELECT value FROM json_each(?2))";
    let statements = [(insert, came), (delete, left)];
    let statements = statements.iter().filter(|(_, servers)| servers != "[]");
    let statements: Vec<_> = statements
        .map(|(sql, servers)| (*sql, values![room_id.as_str(), servers].to_vec()))
        .collect();
    let statements: Vec<_> =
        statements.iter().map(|(sql, values)| Statement { sql, values }).collect();
    if statements.is_empty() { Ok(()) } else { world.d1().batch(&statements).await.map(|_| ()) }
}

/// Notes that no server is known to be in a room.
pub async fn forget(world: &World, room_id: &RoomId) -> Result<(), SqlError> {
    let delete = "DELETE FROM room_servers WHERE room_id = ?";
    world.d1().run(delete, values![room_id.as_str()]).await.map(|_| ())
}

/// The rooms a server is in.
pub async fn rooms_of(world: &World, server: &ServerName) -> Result<Vec<OwnedRoomId>, SqlError> {
    let query = "SELECT room_id FROM room_servers WHERE server = ? ORDER BY room_id LIMIT ?";
    let rows =
        world.d1().rows(query, values![server.as_str(), MAX_ROOMS], |row| row.text(0)).await?;
    Ok(rows.into_iter().filter_map(|room| room.try_into().ok()).collect())
}

/// Whether a server is in any room.
pub async fn is_in_any(world: &World, server: &ServerName) -> Result<bool, SqlError> {
    let query = "SELECT 1 AS one FROM room_servers WHERE server = ? LIMIT 1";
    Ok(world.d1().row(query, values![server.as_str()], |row| row.int(0)).await?.is_some())
}

/// A page of the rooms a server is in, and how many there are.
pub async fn page_of(
    world: &World,
    server: &ServerName,
    backwards: bool,
    (from, limit): (u32, u32),
) -> Result<(Vec<String>, u64), SqlError> {
    let query = "SELECT room_id FROM room_servers WHERE server = ? ORDER BY room_id {order} LIMIT ? OFFSET ?";
    let query = query.replace("{order}", if backwards { "DESC" } else { "ASC" });
    let values = values![server.as_str(), limit, from];
    let rooms = world.d1().rows(&query, values, |row| row.text(0)).await?;
    let query = "SELECT count(*) AS rooms FROM room_servers WHERE server = ?";
    let total = world.d1().row(query, values![server.as_str()], |row| row.int(0)).await?;
    Ok((rooms, total.unwrap_or_default().unsigned_abs()))
}

/// A page of the servers that are in rooms, but for one, whose names have a text in them; and how many there are.
pub async fn others(
    world: &World,
    own: &ServerName,
    (term, backwards): (Option<&str>, bool),
    (from, limit): (u32, u32),
) -> Result<(Vec<OwnedServerName>, u64), SqlError> {
    let query = "SELECT DISTINCT server FROM room_servers WHERE server <> ?1 AND (?2 IS NULL OR instr(server, ?2) > 0)
                 ORDER BY server {order} LIMIT ?3 OFFSET ?4";
    let query = query.replace("{order}", if backwards { "DESC" } else { "ASC" });
    let values = values![own.as_str(), term, limit, from];
    let names = world.d1().rows(&query, values, |row| row.text(0)).await?;
    let query = "SELECT count(DISTINCT server) AS servers FROM room_servers WHERE server <> ?1 AND (?2 IS NULL OR instr(server, ?2) > 0)";
    let total = world.d1().row(query, values![own.as_str(), term], |row| row.int(0)).await?;
    let servers = names.into_iter().filter_map(|name| name.try_into().ok()).collect();
    Ok((servers, total.unwrap_or_default().unsigned_abs()))
}

/// In which of these rooms a server is.
pub async fn of_these(
    world: &World,
    server: &ServerName,
    rooms: &BTreeSet<&OwnedRoomId>,
) -> Result<Vec<OwnedRoomId>, SqlError> {
    let query = "SELECT room_id FROM room_servers WHERE server = ? AND room_id IN (SELECT value FROM json_each(?))";
    let rooms = json!(rooms).to_string();
    let rows = world.d1().rows(query, values![server.as_str(), &rooms], |row| row.text(0)).await?;
    Ok(rows.into_iter().filter_map(|room| room.try_into().ok()).collect())
}
