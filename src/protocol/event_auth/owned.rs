//! Whose state is it, in rooms whose users own state?
//! ([MSC3757](https://github.com/matrix-org/matrix-spec-proposals/pull/3757))
//!
//! A state key that begins with a user's ID, alone or before a `_`, is of that user. It is 255 bytes long at most like any
//! other, as in Synapse: the proposal lets what follows the ID be as long by itself.

use ruma::{
    OwnedUserId, UserId,
    events::room::power_levels::UserPowerLevel,
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent},
};

use crate::{event::Pdu, room_version::RoomVersion};

/// The user who owns the state under a key that begins with `@`; `None` if the key names none.
#[must_use]
pub fn owner(state_key: &str) -> Option<OwnedUserId> {
    let colon = state_key.char_indices().skip(1).find(|(_, each)| *each == ':')?.0;
    // No server name has a `_`.
    let (_, server) = state_key.split_at_checked(colon + 1)?;
    let end = server.find('_').map_or(state_key.len(), |at| colon + 1 + at);
    UserId::parse(state_key.get(..end)?).ok()
}

/// Whether an event is state of a key that says whose it is.
pub(super) fn is_owned(version: &RoomVersion, pdu: &Pdu) -> bool {
    let is_named = pdu.state_key.as_deref().is_some_and(|key| key.starts_with('@'));
    // Of these, the rules say more before they look at the state key.
    let is_decided =
        matches!(pdu.kind(), "m.room.create" | "m.room.member" | "m.room.third_party_invite");
    version.users_own_state && is_named && !is_decided
}

/// Checks that the sender owns the state, or has more power than who does.
pub(super) fn check(
    version: &RoomVersion,
    (create, levels): (&Pdu, Option<&Pdu>),
    pdu: &Pdu,
) -> Result<(), String> {
    let owner = pdu.state_key.as_deref().and_then(owner).ok_or("the state key is of no user")?;
    if owner == pdu.sender {
        return Ok(());
    }
    let level = |user: &UserId| level(version, (create, levels), user);
    match level(&pdu.sender)? > level(&owner)? {
        true => Ok(()),
        false => Err("the state is of a user with as much power".to_owned()),
    }
}

fn level(
    version: &RoomVersion,
    (create, levels): (&Pdu, Option<&Pdu>),
    user: &UserId,
) -> Result<UserPowerLevel, String> {
    let rules = &version.rules.authorization;
    let creators = RoomCreateEvent::new(create).creators(rules)?;
    let is_creator = creators.contains(user);
    if is_creator && rules.explicitly_privilege_room_creators {
        return Ok(UserPowerLevel::Infinite);
    }
    Ok(match levels {
        Some(levels) => RoomPowerLevelsEvent::new(levels).user_power_level(user, rules)?.into(),
        None if is_creator => UserPowerLevel::Int(100.into()),
        None => UserPowerLevel::Int(0.into()),
    })
}
