//! How is a pusher set and removed?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset))

use ruma::{OwnedUserId, UserId, api::client::push::PusherIds};
use tombolo_platform::{AskError, World};

use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        user_object,
        user_sync::messages::{Pushers, Refusal, RemovePusher, SetPusher},
    },
    stores::pushkeys,
};

/// Why a pusher was not set.
#[derive(Debug, thiserror::Error)]
pub enum Unset {
    #[error("{0}")]
    User(Refusal),
    #[error("{0}")]
    Ours(#[from] Ours),
}

/// Sets a pusher. Unless it is to stand beside them (`append`), those of other users with its key are removed.
pub async fn set(
    world: &World,
    user: &UserId,
    (pusher, append): (SetPusher, bool),
) -> Result<(), Unset> {
    match world.ask(&user_object(user), &pusher).await {
        Ok(()) => {}
        Err(AskError::Refused(refusal)) => return Err(Unset::User(refusal)),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause).into()),
    }
    let SetPusher { app_id, pushkey, .. } = pusher;
    let key = [app_id.as_str(), pushkey.as_str()];
    let others = pushkeys::note(world, key, user.localpart()).await.map_err(Ours::from)?;
    keep(world, user).await?;
    if append {
        return Ok(());
    }
    let server = Config::of(world).map_err(Ours::from)?.server_name.clone();
    for other in others {
        let other: OwnedUserId =
            UserId::parse_with_server_name(other, &server).map_err(Ours::broken)?;
        remove(world, &other, &app_id, &pushkey).await?;
    }
    Ok(())
}

/// Forgets the keys of pushers that went with their sessions, or were rejected.
async fn keep(world: &World, user: &UserId) -> Result<(), Ours> {
    let held = match world.ask(&user_object(user), &Pushers {}).await {
        Ok(held) => held,
        Err(AskError::Refused(_)) => return Ok(()),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    };
    let ids = held.iter().map(|pusher| serde_json::from_str::<PusherIds>(pusher.get()));
    let ids = ids.collect::<serde_json::Result<Vec<_>>>()?;
    let keys: Vec<_> = ids.iter().map(|ids| (&ids.app_id, &ids.pushkey)).collect();
    Ok(pushkeys::keep(world, &serde_json::to_string(&keys)?, user.localpart()).await?)
}

/// Removes a pusher, if there is one.
pub async fn remove(world: &World, user: &UserId, app_id: &str, pushkey: &str) -> Result<(), Ours> {
    let remove = RemovePusher { app_id: app_id.to_owned(), pushkey: pushkey.to_owned() };
    match world.ask(&user_object(user), &remove).await {
        Ok(()) | Err(AskError::Refused(_)) => {}
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    }
    Ok(pushkeys::forget(world, [app_id, pushkey], user.localpart()).await?)
}
