//! Which servers are in which rooms? (D1: a copy of what the rooms know, for questions that name no room)

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use tombolo_platform::{SqlError, Statement, World, values};

/// The most rooms asked about one event.
const MAX_ROOMS: u32 = 1000;

/// Notes which servers came into a room (`true`) and which left it.
pub async fn save(
    world: &World,
    room_id: &RoomId,
    changes: &[(OwnedServerName, bool)],
) -> Result<(), SqlError> {
    let rows: Vec<_> =
        changes.iter().map(|(server, present)| (values(server, room_id), *present)).collect();
    let statements: Vec<Statement<'_>> = rows
        .iter()
        .map(|(values, present)| Statement {
            sql: if *present {
                "INSERT INTO room_servers (server, room_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM room_servers WHERE server = ? AND room_id = ?"
            },
            values,
        })
        .collect();
    if statements.is_empty() { Ok(()) } else { world.d1().batch(&statements).await.map(|_| ()) }
}

/// The rooms a server is in.
pub async fn rooms_of(world: &World, server: &ServerName) -> Result<Vec<OwnedRoomId>, SqlError> {
    let query = "SELECT room_id FROM room_servers WHERE server = ? ORDER BY room_id LIMIT ?";
    let rows =
        world.d1().rows(query, values![server.as_str(), MAX_ROOMS], |row| row.text(0)).await?;
    Ok(rows.into_iter().filter_map(|room| room.try_into().ok()).collect())
}

fn values<'a>(server: &'a ServerName, room_id: &'a RoomId) -> [tombolo_platform::Value<'a>; 2] {
    [server.as_str().into(), room_id.as_str().into()]
}
