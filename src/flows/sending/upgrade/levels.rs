//! Who may do what in a room that replaces another, and who may still speak in that one?
//! ([server behaviour](https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-19))

use ruma::UserId;
use serde_json::{Map, Value, json};
use tombolo_protocol::{json::parse_value, membership::Membership};

use super::{POWER_LEVELS, Upgrade};
use crate::{flows::sending::create_room::Unmade, objects::room::messages::TransferableReply};

/// A creator's level, where there are no power levels.
const CREATOR: i64 = 100;
/// The level that replacing a room needs, where creators stand above all levels.
const ABOVE_ADMINS: i64 = 150;

/// Power levels: of the new room while its state is sent, and afterwards, if they differ; and of the old room.
pub struct Levels {
    pub first: Value,
    pub settled: Option<Value>,
    pub silenced: Value,
}

impl Levels {
    pub fn of(upgrade: &Upgrade, old: &TransferableReply) -> Result<Self, Unmade> {
        let held = old.state.iter().find(|item| item.event_type == POWER_LEVELS);
        let held = match held {
            Some(held) => match parse_value(held.content.get().as_bytes()) {
                Ok(Value::Object(levels)) => well_formed(levels),
                _ => return Err(Unmade::Malformed("The power levels are no object".to_owned())),
            },
            None => Map::from_iter([("users".to_owned(), json!({ &upgrade.user: CREATOR }))]),
        };
        let silenced = Value::Object(silenced(&held));
        let mut settled = held;
        let rules = &upgrade.version.rules.authorization;
        let mut users = match settled.remove("users") {
            Some(Value::Object(users)) => users,
            _ => Map::new(),
        };
        if rules.explicitly_privilege_room_creators {
            users.remove(upgrade.user.as_str());
            for creator in &upgrade.additional_creators {
                users.remove(creator.as_str());
            }
            raise_tombstone(&mut settled);
            settled.insert("users".to_owned(), Value::Object(users));
            let first = Value::Object(settled);
            return Ok(Self { first, settled: None, silenced });
        }
        let own = users.get(upgrade.user.as_str()).and_then(Value::as_i64);
        let own = own.unwrap_or_else(|| level(&settled, "users_default", 0));
        let needed = highest(&settled).max(own);
        let mut raised = settled.clone();
        let mut first = users.clone();
        // Nobody bans a user of the same level.
        let banned = old.state.iter().filter(|item| item.membership() == Some(Membership::Ban));
        let listed = banned.filter_map(|item| first.remove(&item.state_key)).count();
        first.insert(upgrade.user.to_string(), json!(needed));
        raised.insert("users".to_owned(), Value::Object(first));
        // In a room whose creators stood above all levels, nobody may be in the list who could change them.
        let loses_all = own < level(&settled, "state_default", 50);
        settled.insert("users".to_owned(), Value::Object(users));
        let differs = needed > own || listed > 0;
        let settled = (differs && !loses_all).then_some(Value::Object(settled));
        Ok(Self { first: Value::Object(raised), settled, silenced })
    }
}

/// The levels in the form that our users may send: older rooms also take texts as levels.
fn well_formed(levels: Map<String, Value>) -> Map<String, Value> {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse::<i64>().ok().map(|level| json!(level)),
        value => value.as_i64().map(|level| json!(level)),
    };
    let mut formed = Map::new();
    for (name, value) in levels {
        let value = match value {
            Value::Object(of) => {
                let kept = of.into_iter().filter_map(|(key, level)| {
                    let is_user = name != "users" || UserId::parse(key.as_str()).is_ok();
                    Some((key, number(&level).filter(|_| is_user)?))
                });
                Some(Value::Object(kept.collect()))
            }
            value => number(&value),
        };
        formed.extend(value.map(|value| (name, value)));
    }
    formed
}

/// The levels of the old room with which only moderators speak there.
fn silenced(held: &Map<String, Value>) -> Map<String, Value> {
    let above_users = level(held, "users_default", 0).saturating_add(1).max(50);
    let mut levels = held.clone();
    for field in ["events_default", "invite"] {
        let is = level(held, field, 0);
        levels.insert(field.to_owned(), json!(is.max(above_users)));
    }
    levels
}

/// Only creators may replace a room in which they stand above all levels.
fn raise_tombstone(levels: &mut Map<String, Value>) {
    let events = levels.entry("events").or_insert_with(|| json!({}));
    if let Value::Object(events) = events {
        let is = events.get("m.room.tombstone").and_then(Value::as_i64).unwrap_or_default();
        events.insert("m.room.tombstone".to_owned(), json!(is.max(ABOVE_ADMINS)));
    }
}

/// The highest level that sending the first state of a room may need.
fn highest(levels: &Map<String, Value>) -> i64 {
    let events = levels.get("events").and_then(Value::as_object).into_iter().flatten();
    let events = events.filter_map(|(_, level)| level.as_i64());
    let fields =
        [("state_default", 50), ("ban", 50)].map(|(name, usual)| level(levels, name, usual));
    events.chain(fields).max().unwrap_or(CREATOR)
}

fn level(levels: &Map<String, Value>, field: &str, usual: i64) -> i64 {
    levels.get(field).and_then(Value::as_i64).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::well_formed;

    #[test]
    fn texts_become_numbers_and_what_is_no_level_goes() {
        let levels = json!({
            "ban": "50",
            "kick": true,
            "users": { "@a:x": " 100 ", "nonsense": 50, "@b:x": 1.5 },
            "events": { "m.room.name": "x", "m.room.topic": 7 },
        });
        let Value::Object(levels) = levels else { panic!() };
        let formed = json!({
            "ban": 50,
            "users": { "@a:x": 100 },
            "events": { "m.room.topic": 7 },
        });
        assert_eq!(Value::Object(well_formed(levels)), formed);
    }
}
