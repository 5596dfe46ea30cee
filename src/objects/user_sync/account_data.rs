//! What has the user stored for their clients?
//! ([client config](https://spec.matrix.org/v1.19/client-server-api/#client-config))
//!
//! An item that was removed stays as a row with `{}`
//! ([MSC3391](https://github.com/matrix-org/matrix-spec-proposals/pull/3391)): clients that held it are told so, and
//! whoever reads it, or syncs from the beginning, finds nothing. To set `{}` is to remove, but where the specification
//! gives it a meaning.

use ruma::RoomId;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{
    AccountData, AllAccountData, Item, PUSH_RULES, Refusal, Result, SetAccountData, StreamPosition,
    User,
    ignored::IGNORED_USERS,
    invite_rules::{BLOCKING, is_rule, must_be_few},
};
use crate::{objects::user_keys::messages::Born, shell::Stop};

/// Sets an item.
pub fn set(user: &mut User<'_>, message: SetAccountData) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    must_be_few(&message)?;
    let room = message.room_id.as_ref().map(|room| room.as_str()).unwrap_or_default();
    user.set_item(room, &message.event_type, &message.content)
}

/// The content of an item.
pub fn account_data(user: &mut User<'_>, message: AccountData) -> Result<Box<RawValue>> {
    user.exists()?;
    let room = message.room_id.as_ref().map(|room| room.as_str()).unwrap_or_default();
    if room.is_empty() && message.event_type == PUSH_RULES {
        return user.push_rules_item();
    }
    let content = user.item(room, &message.event_type)?;
    Ok(RawValue::from_string(content.ok_or(Stop::Refused(Refusal::NotFound))?)?)
}

/// All items; the push rules, which stand beside them, are those that apply.
pub fn all(user: &mut User<'_>, _: AllAccountData) -> Result<Vec<Item>> {
    user.exists()?;
    let query = "SELECT room, type, content FROM account_data ORDER BY room, type";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, row.text(2)?));
    let mut items = Vec::new();
    for (room, event_type, content) in user.sql.rows(query, values![], read)? {
        if is_removed((&room, &event_type), &content) || event_type == PUSH_RULES {
            continue;
        }
        let room_id = match room.as_str() {
            "" => None,
            room => Some(RoomId::parse(room).map_err(|_| Stop::broken("a room ID is none"))?),
        };
        items.push(Item { room_id, event_type, content: RawValue::from_string(content)? });
    }
    let content = user.push_rules_item()?;
    items.push(Item { room_id: None, event_type: PUSH_RULES.to_owned(), content });
    Ok(items)
}

/// The content of an item that was removed.
const REMOVED: &str = "{}";

/// How the types of items begin that are about one device.
const DEVICE_SETTINGS: &str = "org.matrix.msc3890.local_notification_settings.";

/// Whether a content is an object with nothing in it, however it is spaced.
fn is_empty(content: &str) -> bool {
    let inside = content.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

/// Whether an item with this content was removed.
pub fn is_removed((room, kind): (&str, &str), content: &str) -> bool {
    is_empty(content) && !(room.is_empty() && kind == BLOCKING)
}

impl User<'_> {
    /// The content of an item, of a room or of none (an empty text); nothing where it was removed.
    pub fn item(&mut self, room: &str, kind: &str) -> Result<Option<String>> {
        let query = "SELECT content FROM account_data WHERE room = ? AND type = ?";
        let content = self.sql.row(query, values![room, kind], |row| row.text(0))?;
        Ok(content.filter(|content| !is_removed((room, kind), content)))
    }

    /// Sets an item, or removes it. Setting the same content again is no news, and so is removing what is not there.
    pub fn set_item(&mut self, room: &str, kind: &str, content: &RawValue) -> Result<()> {
        let content = Some(content.get()).filter(|content| !is_removed((room, kind), content));
        if self.item(room, kind)?.as_deref() == content {
            return Ok(());
        }
        let pos = self.next_pos()?;
        self.loaded()?.account_data = pos;
        self.sql.run(
            "INSERT INTO account_data (room, type, pos, content) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET pos = excluded.pos, content = excluded.content",
            values![room, kind, pos, content.unwrap_or(REMOVED)],
        )?;
        if room.is_empty() && (kind == IGNORED_USERS || is_rule(kind)) {
            self.cache.ignored = None;
            self.cache.invite_rules = None;
            self.read_hidden_invites()?;
        }
        if room.is_empty() && kind == PUSH_RULES {
            self.cache.rules = None;
        }
        self.effects.wake = true;
        Ok(())
    }

    /// Has clients told what is stored of a room together with the news at a position: the user comes into the room.
    pub fn tell_items_of(&mut self, room: &str, pos: StreamPosition) -> Result<()> {
        let update = "UPDATE account_data SET pos = ? WHERE room = ?";
        if self.sql.run(update, values![pos, room])? > 0 {
            let loaded = self.loaded()?;
            loaded.account_data = loaded.account_data.max(pos);
        }
        Ok(())
    }

    /// Removes the settings of devices that are gone
    /// ([MSC3890](https://github.com/matrix-org/matrix-spec-proposals/pull/3890)).
    pub fn drop_settings_of(&mut self, devices: &[Born]) -> Result<()> {
        for Born { device, .. } in devices {
            let kind = format!("{DEVICE_SETTINGS}{device}");
            self.set_item("", &kind, &RawValue::from_string(REMOVED.to_owned())?)?;
        }
        Ok(())
    }

    /// Removes everything that is stored.
    pub fn drop_account_data(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM account_data", values![])?;
        self.cache.ignored = None;
        self.cache.invite_rules = None;
        self.cache.rules = None;
        self.cache.marks = Default::default();
        Ok(())
    }
}
