//! May someone change the power levels in this way?
//! ([authorization rules](https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules), of `m.room.power_levels`)
//!
//! The rule is ours and not ruma's, which differs from what most servers do: they do not fill in defaults for levels
//! that are added or removed, and for an event whose state key is not empty there are no earlier levels that could
//! change.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{
    Int, UserId,
    events::room::power_levels::UserPowerLevel,
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};

use crate::{event::Pdu, room_version::RoomVersion};

/// The levels that are no maps.
const FIELDS: [RoomPowerLevelsIntField; 7] = [
    RoomPowerLevelsIntField::UsersDefault,
    RoomPowerLevelsIntField::EventsDefault,
    RoomPowerLevelsIntField::StateDefault,
    RoomPowerLevelsIntField::Ban,
    RoomPowerLevelsIntField::Redact,
    RoomPowerLevelsIntField::Kick,
    RoomPowerLevelsIntField::Invite,
];

/// Checks new levels against those of the room, as both are read.
pub(super) fn check_change(
    version: &RoomVersion,
    create: &Pdu,
    current: &Pdu,
    new: &Pdu,
) -> Result<(), String> {
    let rules = &version.rules.authorization;
    let sender: &UserId = &new.sender;
    let (old, new_levels) = (RoomPowerLevelsEvent::new(current), RoomPowerLevelsEvent::new(new));
    let mut fields = Vec::new();
    for field in FIELDS {
        fields.push((field, old.get_as_int(field, rules)?, new_levels.get_as_int(field, rules)?));
    }
    let events = (old.events(rules)?, new_levels.events(rules)?);
    let notifications = (old.notifications(rules)?, new_levels.notifications(rules)?);
    let users = (old.users(rules)?, new_levels.users(rules)?);

    let creators = RoomCreateEvent::new(create).creators(rules)?;
    let creators_stand_above = rules.explicitly_privilege_room_creators;
    if creators_stand_above
        && users.1.is_some_and(|users| creators.iter().any(|creator| users.contains_key(creator)))
    {
        return Err("creator user IDs are not allowed in the `users` field".to_owned());
    }
    if new.state_key.as_deref().is_some_and(|key| !key.is_empty()) {
        return Ok(());
    }
    let own = match creators_stand_above && creators.contains(sender) {
        true => UserPowerLevel::Infinite,
        false => old.user_power_level(sender, rules)?.into(),
    };
    for (field, old, new) in fields {
        if old != new && (above(old, own) || above(new, own)) {
            return Err(format!("sender does not have enough power to change `{field}`"));
        }
    }
    check_map("events", events.0.as_ref(), events.1.as_ref(), own, |_, level| level > own)?;
    if rules.limit_notifications_power_levels {
        let (old, new) = (notifications.0.as_ref(), notifications.1.as_ref());
        check_map("notifications", old, new, own, |_, level| level > own)?;
    }
    check_map("users", users.0, users.1, own, |user_id, level| &**user_id != sender && level >= own)
}

fn above(level: Option<Int>, own: UserPowerLevel) -> bool {
    level.is_some_and(|level| level > own)
}

/// Checks the entries of a map that are added, changed or removed; `is_fixed` tells whether an
/// old one is out of reach.
fn check_map<K: Ord>(
    name: &str,
    old: Option<&BTreeMap<K, Int>>,
    new: Option<&BTreeMap<K, Int>>,
    own: UserPowerLevel,
    is_fixed: impl Fn(&K, Int) -> bool,
) -> Result<(), String> {
    let keys: BTreeSet<&K> = old.into_iter().chain(new).flat_map(BTreeMap::keys).collect();
    for key in keys {
        let level_in = |map: Option<&BTreeMap<K, Int>>| map.and_then(|map| map.get(key)).copied();
        let (old, new) = (level_in(old), level_in(new));
        if old != new && (old.is_some_and(|level| is_fixed(key, level)) || above(new, own)) {
            return Err(format!("sender does not have enough power to change `{name}`"));
        }
    }
    Ok(())
}
