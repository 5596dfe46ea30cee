//! Which devices and keys do users have?
//! ([keys/query](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery))

use std::{collections::BTreeMap, time::Duration};

use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::World;
use tombolo_protocol::{canonical_json, json::parse_object, signing::add_signature};

use super::{
    Homes, copies, failed,
    lists::{self, Found, Wanted},
};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{
            DeviceShown, NoteHolder, QueryKeys, SignatureOn, SignaturesOn, UserKeysShown,
        },
    },
    stores::accounts,
};

/// Finds the keys of users for a local user, with the signatures that this user made on the others' master keys.
pub async fn query(
    world: &World,
    asker: &UserId,
    wanted: Wanted,
    timeout: Option<Duration>,
) -> Result<Found, Ours> {
    let Homes { ours, others } = Homes::of(world, wanted)?;
    let mut found = lists::of_others(world, others, timeout).await?;
    found.users.extend(of_ours(world, ours, Some(asker)).await?);
    add_signatures(world, asker, &mut found).await?;
    Ok(found)
}

/// The keys of users of this server. Only `asker` sees their own user-signing key.
pub async fn of_ours(
    world: &World,
    wanted: Wanted,
    asker: Option<&UserId>,
) -> Result<BTreeMap<OwnedUserId, UserKeysShown>, Ours> {
    let mut all: BTreeMap<_, _> =
        wanted.keys().map(|user| (user.clone(), UserKeysShown::default())).collect();
    let others = wanted.keys().filter(|user| asker != Some(&***user)).cloned().collect();
    for (user, shown) in copies::of(world, others).await? {
        let devices = wanted.get(&user).map_or(&[][..], Vec::as_slice);
        all.insert(user, lists::only(UserKeysShown::clone(&shown), devices));
    }
    if let Some((user, devices)) = asker.and_then(|asker| wanted.get_key_value(asker)) {
        let query = QueryKeys { devices: devices.clone(), own: true };
        let shown = world.ask(&keys_object(user), &query).await.map_err(failed)?;
        all.insert(user.clone(), shown);
    }
    Ok(all)
}

/// The whole list of a user of this server, for another server that may hold it from now on: it is noted before the list
/// is read, so that every later change is told.
pub async fn to_hold(
    world: &World,
    user: &UserId,
    server: OwnedServerName,
) -> Result<UserKeysShown, Ours> {
    let mut note = NoteHolder { server, is_there: false };
    if !world.ask(&keys_object(user), &note).await.map_err(failed)? {
        if !accounts::existing(world, &[user.localpart()]).await?.contains(user.localpart()) {
            return Ok(UserKeysShown::default());
        }
        note.is_there = true;
        world.ask(&keys_object(user), &note).await.map_err(failed)?;
    }
    let query = QueryKeys { devices: Vec::new(), own: false };
    world.ask(&keys_object(user), &query).await.map_err(failed)
}

/// The keys of a device with its name, which nobody signed. Keys that cannot be read stay without.
pub fn with_name(device: DeviceShown) -> Box<RawValue> {
    let DeviceShown { keys, display_name } = device;
    let Some(name) = display_name else { return keys };
    let named = || {
        let mut named: Map<String, Value> = serde_json::from_str(keys.get())?;
        named.insert("unsigned".to_owned(), json!({ "device_display_name": name }));
        to_raw_value(&named)
    };
    named().unwrap_or(keys)
}

/// Adds the signatures of the asker to the master keys of others.
async fn add_signatures(world: &World, asker: &UserId, found: &mut Found) -> Result<(), Ours> {
    let signable =
        found.users.iter().filter(|(user, shown)| **user != asker && shown.master_key.is_some());
    let users: Vec<OwnedUserId> = signable.map(|(user, _)| user.clone()).collect();
    if users.is_empty() {
        return Ok(());
    }
    let signatures = world.ask(&keys_object(asker), &SignaturesOn { users }).await;
    for SignatureOn { user, target, key_id, signature } in signatures.map_err(failed)? {
        let Some(shown) = found.users.get_mut(&user) else { continue };
        let Some(master) = &shown.master_key else { continue };
        // A key of another server's user may have any form, and nothing is added to it then.
        let Ok(mut key) = parse_object(master.get().as_bytes()) else { continue };
        let named = key.get("keys").and_then(|keys| keys.as_object());
        if !named.is_some_and(|keys| keys.values().any(|key| key.as_str() == Some(&target))) {
            continue;
        }
        add_signature(&mut key, asker.as_str(), &key_id, signature);
        shown.master_key = Some(RawValue::from_string(canonical_json::to_string(&key))?);
    }
    Ok(())
}
