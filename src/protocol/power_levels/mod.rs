//! How much power does a user have, and how much does an action need?
//! ([`m.room.power_levels`](https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels),
//! [room creators](https://spec.matrix.org/v1.19/rooms/v12/#room-creators))
//!
//! These readers serve the server's own decisions and state resolution. Whether an event is
//! allowed is asked in [`crate::event_auth`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ruma::UserId;
use serde_json::Value;

use crate::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue},
    event::Pdu,
    json::parse_value,
    room_version::RoomVersion,
};

/// A user's power. Creators of newer rooms stand above every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A number.
    Finite(i64),
    /// A creator's power.
    Infinite,
}

/// The power of users without an entry, where there are no power levels at all and they created
/// the room.
const CREATOR_WITHOUT_LEVELS: i64 = 100;

/// The fields that are levels.
const LEVELS: [&str; 7] =
    ["ban", "events_default", "invite", "kick", "redact", "state_default", "users_default"];

/// The fields that are objects of levels.
const OBJECTS: [&str; 3] = ["events", "notifications", "users"];

/// Why a content is refused as new power levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field has another form than the specification gives it.
    #[error("`{0}` is no level, or no object of levels")]
    Field(&'static str),
    /// What stands among the users is none.
    #[error("{0} is no user")]
    User(String),
}

/// Whether our users may send this content as power levels. Levels are integers in every room version: those that also
/// read text would only keep the mistake.
pub fn check_content(content: &CanonicalJsonObject) -> Result<(), Malformed> {
    let is_level = |value: &CanonicalJsonValue| matches!(value, CanonicalJsonValue::Integer(_));
    let given = |field: &&'static str| content.get(*field).map(|value| (*field, value));
    for (field, value) in LEVELS.iter().filter_map(given) {
        if !is_level(value) {
            return Err(Malformed::Field(field));
        }
    }
    for (field, value) in OBJECTS.iter().filter_map(given) {
        match value {
            CanonicalJsonValue::Object(levels) if levels.values().all(is_level) => {}
            _ => return Err(Malformed::Field(field)),
        }
    }
    let Some(CanonicalJsonValue::Object(users)) = content.get("users") else { return Ok(()) };
    match users.keys().find(|user| UserId::parse(user.as_str()).is_err()) {
        Some(user) => Err(Malformed::User(user.clone())),
        None => Ok(()),
    }
}

/// The power levels of a room at some moment, read once.
#[derive(Debug, Clone)]
pub struct PowerLevels {
    creators: BTreeSet<String>,
    creators_are_infinite: bool,
    levels: Option<Levels>,
}

/// The content of an `m.room.power_levels` event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels {
    fields: BTreeMap<String, i64>,
    users: BTreeMap<String, i64>,
    events: BTreeMap<String, i64>,
    notifications: BTreeMap<String, i64>,
}

impl PowerLevels {
    /// The levels of a room with this create event and this `m.room.power_levels` event.
    #[must_use]
    pub fn of(version: &RoomVersion, create: &Pdu, levels: Option<&Pdu>) -> Self {
        Self {
            creators: creators(version, create),
            creators_are_infinite: version.rules.authorization.explicitly_privilege_room_creators,
            levels: levels.map(|levels| Levels::of(version, levels)),
        }
    }

    /// The power of a user.
    #[must_use]
    pub fn user(&self, user_id: &UserId) -> Level {
        let is_creator = self.creators.contains(user_id.as_str());
        match &self.levels {
            _ if is_creator && self.creators_are_infinite => Level::Infinite,
            Some(levels) => Level::Finite(levels.user(user_id)),
            None if is_creator => Level::Finite(CREATOR_WITHOUT_LEVELS),
            None => Level::Finite(0),
        }
    }

    /// What sending an event of this type needs.
    #[must_use]
    pub fn send(&self, kind: &str, is_state: bool) -> i64 {
        let specific = self.levels.as_ref().and_then(|levels| levels.events.get(kind)).copied();
        specific.unwrap_or_else(|| match is_state {
            true => self.field("state_default", 50),
            false => self.field("events_default", 0),
        })
    }

    /// What inviting needs.
    #[must_use]
    pub fn invite(&self) -> i64 {
        self.field("invite", 0)
    }

    /// What kicking needs.
    #[must_use]
    pub fn kick(&self) -> i64 {
        self.field("kick", 50)
    }

    /// What banning and unbanning need.
    #[must_use]
    pub fn ban(&self) -> i64 {
        self.field("ban", 50)
    }

    /// What redacting the events of others needs.
    #[must_use]
    pub fn redact(&self) -> i64 {
        self.field("redact", 50)
    }

    /// What notifying everybody that a key stands for needs (`room`: all in the room).
    #[must_use]
    pub fn notification(&self, key: &str) -> i64 {
        let specific = self.levels.as_ref().and_then(|levels| levels.notifications.get(key));
        specific.copied().unwrap_or(50)
    }

    /// Whether the user's power suffices for a level.
    #[must_use]
    pub fn suffices(&self, user_id: &UserId, needed: i64) -> bool {
        self.user(user_id) >= Level::Finite(needed)
    }

    /// Who created the room.
    #[must_use]
    pub fn creators(&self) -> &BTreeSet<String> {
        &self.creators
    }

    /// The creator to whom this content gives a level, where creators have infinite power and must not have one.
    #[must_use]
    pub fn creator_in<'a>(&self, content: &'a CanonicalJsonObject) -> Option<&'a str> {
        let users = content.get("users").and_then(CanonicalJsonValue::as_object)?;
        let mut users = users.keys().map(String::as_str);
        users.find(|user| self.creators_are_infinite && self.creators.contains(*user))
    }

    fn field(&self, name: &str, default: i64) -> i64 {
        self.levels.as_ref().and_then(|levels| levels.fields.get(name)).copied().unwrap_or(default)
    }
}

impl Levels {
    /// Reads the content; what has no form counts as absent.
    pub(crate) fn of(version: &RoomVersion, pdu: &Pdu) -> Self {
        let strict = version.rules.authorization.integer_power_levels;
        let Ok(Value::Object(content)) = parse_value(pdu.content.get().as_bytes()) else {
            return Self::default();
        };
        let mut levels = Self::default();
        for (key, value) in content {
            let map = match key.as_str() {
                "users" => &mut levels.users,
                "events" => &mut levels.events,
                "notifications" => &mut levels.notifications,
                _ => {
                    levels.fields.extend(level(&value, strict).map(|level| (key, level)));
                    continue;
                }
            };
            let Value::Object(entries) = value else { continue };
            map.extend(entries.into_iter().filter_map(|(key, value)| {
                let level = level(&value, strict)?;
                Some((key, level))
            }));
        }
        levels
    }

    /// The number a user has here.
    pub(crate) fn user(&self, user_id: &UserId) -> i64 {
        let default = || self.fields.get("users_default").copied().unwrap_or(0);
        self.users.get(user_id.as_str()).copied().unwrap_or_else(default)
    }
}

/// Who created the room, as its version tells.
pub(crate) fn creators(version: &RoomVersion, create: &Pdu) -> BTreeSet<String> {
    let rules = &version.rules.authorization;
    let mut creators = BTreeSet::new();
    if rules.use_room_create_sender {
        creators.insert(create.sender.to_string());
    } else {
        creators.extend(create.content_str("creator"));
    }
    if rules.additional_room_creators
        && let Some(additional) = create.content_field("additional_creators")
        && let Ok(additional) = serde_json::from_str::<Vec<String>>(additional.get())
    {
        creators.extend(additional);
    }
    creators
}

/// A level: an integer, and in older rooms also its text or a boolean.
fn level(value: &Value, strict: bool) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !strict => text.trim().parse().ok(),
        Value::Bool(level) if !strict => Some(i64::from(*level)),
        _ => None,
    }
}
