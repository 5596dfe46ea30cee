//! Who may do what in a new room?
//! ([`m.room.power_levels`](https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels))

use serde_json::{Map, Value, json};
use tombolo_protocol::json::parse_value;

use super::{NewRoom, POWER_LEVELS, Preset, Unmade, is_key};

/// The content of the first power levels: the client's own or else ours, with the fields it overrides on top.
pub fn levels(new: &NewRoom) -> Result<Map<String, Value>, Unmade> {
    let given = new.initial_state.iter().rev().find(|initial| is_key(initial, POWER_LEVELS));
    let mut levels = match given {
        None => preset(new),
        Some(given) => match parse_value(given.content.get().as_bytes()) {
            Ok(Value::Object(content)) => content,
            Ok(_) => {
                let reason = "The content of power levels is an object".to_owned();
                return Err(Unmade::Malformed(reason));
            }
            Err(fault) => return Err(Unmade::Malformed(fault.to_string())),
        },
    };
    levels.extend(new.levels_override.clone());
    Ok(levels)
}

fn preset(new: &NewRoom) -> Map<String, Value> {
    let creators_stand_above = new.version.rules.authorization.explicitly_privilege_room_creators;
    let mut users = Map::new();
    // Where creators have infinite power, they must not be listed in `users`.
    if !creators_stand_above {
        users.insert(new.creator.to_string(), json!(100));
        let trusted = new.invite.iter().filter(|_| new.preset == Preset::TrustedPrivateChat);
        users.extend(trusted.map(|user| (user.to_string(), json!(100))));
    }
    // Nobody needs an invite to join a public room, so moderators alone invite there.
    let invite = if new.preset == Preset::PublicChat { 50 } else { 0 };
    let fields = [
        ("users", Value::Object(users)),
        ("users_default", json!(0)),
        ("events", events(creators_stand_above)),
        ("events_default", json!(0)),
        ("state_default", json!(50)),
        ("ban", json!(50)),
        ("kick", json!(50)),
        ("redact", json!(50)),
        ("invite", json!(invite)),
        ("notifications", json!({ "room": 50 })),
    ];
    fields.into_iter().map(|(name, level)| (name.to_owned(), level)).collect()
}

/// The levels of event types that not every moderator may send. Where creators have infinite power, only they may
/// replace the room.
fn events(creators_stand_above: bool) -> Value {
    json!({
        "m.room.name": 50,
        "m.room.avatar": 50,
        "m.room.canonical_alias": 50,
        "m.room.power_levels": 100,
        "m.room.history_visibility": 100,
        "m.room.encryption": 100,
        "m.room.server_acl": 100,
        "m.room.tombstone": if creators_stand_above { 150 } else { 100 },
    })
}
