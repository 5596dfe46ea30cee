//! How does a user whose account was deactivated leave their rooms?
//!
//! The user's object holds what is left to do, and its alarm comes again until all is done: a room that cannot be
//! reached now keeps no other from being left.

use futures_util::{StreamExt, stream};
use ruma::{RoomId, UserId};
use tombolo_platform::{AskError, World};

use super::leave;
use crate::{
    flows::{keys::removed, ours::Ours, sending::unsent::Unsent},
    objects::{
        room::messages::{Erase, Refusal},
        room_object, user_object,
        user_sync::messages::{Departed, DueDeparture},
    },
    stores::{accounts, presences, profiles},
};

/// How many rooms are left at once.
const AT_ONCE: usize = 5;

/// Goes on with a user's departure, if it is due; answers when to come again (ms).
pub async fn depart(world: &World, user: &UserId) -> Result<Option<u64>, Ours> {
    let departure = match world.ask(&user_object(user), &DueDeparture {}).await {
        Ok(departure) => departure,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    };
    if !departure.due {
        return Ok(departure.next);
    }
    // The request that began it may not have lived to do this.
    accounts::deactivate(world, user.localpart()).await?;
    profiles::remove(world, user.localpart()).await?;
    removed::drop_all(world, user).await?;
    let left = stream::iter(departure.rooms)
        .map(|(room_id, is_in)| async move {
            let left = leave_room(world, user, &room_id, (is_in, departure.erase)).await;
            if let Err(error) = &left {
                tracing::info!(%user, room = %room_id, %error, "a room could not be left");
            }
            left.is_ok()
        })
        .buffer_unordered(AT_ONCE)
        .fold(true, |all, left| async move { all && left })
        .await;
    if !left {
        return Ok(departure.next);
    }
    presences::remove(world, user).await?;
    match world.ask(&user_object(user), &Departed {}).await {
        // The user may have got into another room meanwhile, by a join that was under way.
        Ok(()) | Err(AskError::Refused(_)) => Ok(departure.next),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

/// Erases what the user said in a room, if they asked for that, and then leaves the room, if they are in it. The erasure
/// does not depend on other servers, the leave may.
async fn leave_room(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    (is_in, erase): (bool, bool),
) -> Result<(), Unsent> {
    if erase {
        match world.ask(&room_object(room_id), &Erase { user: user.to_owned() }).await {
            Ok(()) | Err(AskError::Refused(Refusal::Absent)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if is_in {
        match leave::leave(world, user, room_id, None).await {
            Ok(()) | Err(Unsent::NotThere) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
