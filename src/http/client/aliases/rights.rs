//! May this user set the canonical alias of a room?
//! ([`m.room.power_levels`](https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels))

use ruma::UserId;
use serde_json::Value;
use tombolo_protocol::room_version::RoomVersion;

const EVENT: &str = "m.room.canonical_alias";

/// Whether the user's power suffices. `create` is the whole event; `levels` the content of the power levels, or null.
pub fn may_set_alias(user: &UserId, create: &Value, levels: &Value) -> bool {
    let version = RoomVersion::of(create["content"]["room_version"].as_str().unwrap_or("1"));
    let authorization = version.map(|version| &version.rules.authorization);
    if authorization.is_some_and(|rules| rules.explicitly_privilege_room_creators)
        && is_creator(user, create)
    {
        return true;
    }
    if levels.is_null() {
        return is_creator(user, create);
    }
    // Levels may be written as text in old rooms.
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    let needed =
        number(&levels["events"][EVENT]).or_else(|| number(&levels["state_default"])).unwrap_or(50);
    let held = number(&levels["users"][user.as_str()])
        .or_else(|| number(&levels["users_default"]))
        .unwrap_or(0);
    held >= needed
}

fn is_creator(user: &UserId, create: &Value) -> bool {
    let also = create["content"]["additional_creators"].as_array();
    create["sender"] == user.as_str()
        || also.is_some_and(|also| also.iter().any(|creator| creator == user.as_str()))
}
