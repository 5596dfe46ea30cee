//! In which room does the server write to the user?
//! ([server notices](https://spec.matrix.org/v1.19/client-server-api/#server-notices))

use ruma::OwnedRoomId;
use serde_json::value::to_raw_value;
use tombolo_platform::values;

use super::{ChangeTag, NoticeRoom, Result, User, tags};
use crate::shell::Stop;

/// By which tag clients know the room.
const TAG: &str = "m.server_notice";

/// The room; of two that are made at once, the first one is it. Whose account is deactivated has none: they leave all rooms.
pub fn notice_room(user: &mut User<'_>, message: NoticeRoom) -> Result<Option<OwnedRoomId>> {
    user.create()?;
    if message.made.is_none() && !user.is_active()? {
        return Ok(None);
    }
    let query = "SELECT room FROM notice_rooms WHERE sender = ?";
    let sender = message.sender.as_str();
    let held = user.sql.row(query, values![sender], |row| row.text(0))?;
    let held = held.map(OwnedRoomId::try_from).transpose();
    let held = held.map_err(|_| Stop::broken("a room for notices has no ID"))?;
    let made = message.made.filter(|_| held == message.instead_of);
    let Some(room_id) = made else { return Ok(held) };
    let insert = "INSERT INTO notice_rooms (sender, room) VALUES (?, ?)
                  ON CONFLICT (sender) DO UPDATE SET room = excluded.room";
    user.sql.run(insert, values![sender, room_id.as_str()])?;
    let info = Some(to_raw_value(&serde_json::json!({}))?);
    tags::change(user, ChangeTag { room_id: room_id.clone(), tag: TAG.to_owned(), info })?;
    Ok(Some(room_id))
}
