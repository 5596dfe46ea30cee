//! How do the keys of a device go that was removed?
//!
//! The user's object holds which devices are gone, and its alarm comes again until their keys are dropped.

use ruma::UserId;
use tombolo_platform::World;

use super::{failed, telling, unless_gone};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{DropDevices, DropKeys},
        user_object,
        user_sync::messages::{KeysDropped, RemovedDevices},
    },
};

/// Drops the keys of devices that are gone, within a request. What fails here the alarm does.
pub async fn drop_now(world: &World, user: &UserId) {
    if let Err(error) = drop_keys(world, user).await {
        tracing::info!(%user, %error, "keys of a removed device are still held");
    }
}

/// Drops the keys of devices that are gone, and tells those who share a room with the user.
pub async fn drop_keys(world: &World, user: &UserId) -> Result<(), Ours> {
    let devices = unless_gone(world.ask(&user_object(user), &RemovedDevices {}).await)?;
    let devices = devices.unwrap_or_default();
    if devices.is_empty() {
        return Ok(());
    }
    let drop = DropDevices { devices };
    let changed = world.ask(&keys_object(user), &drop).await.map_err(failed)?;
    let dropped = KeysDropped { devices: drop.devices };
    world.ask(&user_object(user), &dropped).await.map_err(failed)?;
    if changed {
        telling::tell_now(world, user).await;
    }
    Ok(())
}

/// Drops all keys of a user whose account is deactivated.
pub async fn drop_all(world: &World, user: &UserId) -> Result<(), Ours> {
    world.ask(&keys_object(user), &DropKeys {}).await.map_err(failed)?;
    telling::tell_now(world, user).await;
    Ok(())
}
