//! What has the user stored for their clients?
//! ([client config](https://spec.matrix.org/v1.19/client-server-api/#client-config))

use serde_json::value::RawValue;
use tombolo_platform::values;

use super::{AccountData, Refusal, Result, SetAccountData, User, ignored::IGNORED_USERS};
use crate::shell::Stop;

/// Sets an item. Setting the same content again is no news.
pub fn set(user: &mut User<'_>, message: SetAccountData) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let room = message.room_id.as_ref().map(|room| room.as_str()).unwrap_or_default();
    let query = "SELECT content FROM account_data WHERE room = ? AND type = ?";
    let held = user.sql.row(query, values![room, &message.event_type], |row| row.text(0))?;
    if held.as_deref() == Some(message.content.get()) {
        return Ok(());
    }
    let pos = user.next_pos()?;
    user.loaded()?.account_data = pos;
    user.sql.run(
        "INSERT INTO account_data (room, type, pos, content) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET pos = excluded.pos, content = excluded.content",
        values![room, &message.event_type, pos, message.content.get()],
    )?;
    if message.room_id.is_none() && message.event_type == IGNORED_USERS {
        user.cache.ignored = None;
    }
    user.effects.wake = true;
    Ok(())
}

/// The content of an item.
pub fn account_data(user: &mut User<'_>, message: AccountData) -> Result<Box<RawValue>> {
    user.exists()?;
    let room = message.room_id.as_ref().map(|room| room.as_str()).unwrap_or_default();
    let query = "SELECT content FROM account_data WHERE room = ? AND type = ?";
    let content = user.sql.row(query, values![room, &message.event_type], |row| row.text(0))?;
    Ok(RawValue::from_string(content.ok_or(Stop::Refused(Refusal::NotFound))?)?)
}

impl User<'_> {
    /// Removes everything that is stored.
    pub fn drop_account_data(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM account_data", values![])?;
        self.cache.ignored = None;
        Ok(())
    }
}
