//! Whose devices has a client to ask for again, and whose may it forget?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user))
//!
//! The user's object says in which ranges of which rooms somebody came or went, each room who that was, and D1's copy
//! with whom the user shares another room.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{
    StreamExt, TryStreamExt,
    future::{Either, select},
    stream,
};
use ruma::{OwnedRoomId, OwnedUserId};
use tombolo_platform::{AskError, World};

use super::{ROOMS_AT_ONCE, Result};
use crate::{
    objects::{
        room::messages::{Moves, MovesReply, Position, Refusal, Sharing},
        room_object, user_object,
        user_sync::messages::{Changes, ChangesBetween, JoinedRooms, StreamPosition},
    },
    stores::room_members,
};

/// How long D1 may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Users whose devices a client knows, or has to know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeviceLists {
    /// Whose devices changed, and who shares a room with the user now, and may not have before.
    pub changed: BTreeSet<OwnedUserId>,
    /// Who shares no room with the user any more.
    pub left: BTreeSet<OwnedUserId>,
}

impl DeviceLists {
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}

/// What changed between two positions of a user's stream.
pub async fn between(
    world: &World,
    user: &OwnedUserId,
    from: StreamPosition,
    to: StreamPosition,
) -> Result<DeviceLists> {
    let changes = world.ask(&user_object(user), &ChangesBetween { from, to }).await?;
    let Changes { shares, devices_changed } = changes;
    device_lists(world, user, shares, devices_changed).await
}

/// What changed for a user in these ranges of rooms (exclusive, inclusive), where also the devices of `changed` did.
pub async fn device_lists(
    world: &World,
    user: &OwnedUserId,
    shares: Vec<(OwnedRoomId, Position, Position)>,
    changed: BTreeSet<OwnedUserId>,
) -> Result<DeviceLists> {
    let mut lists = DeviceLists { changed, left: BTreeSet::new() };
    let replies: Vec<MovesReply> = stream::iter(shares)
        .map(|(room_id, from, to)| async move {
            let moves = Moves { user: user.clone(), from, to };
            match world.ask(&room_object(&room_id), &moves).await {
                // An operator deleted the room, and nobody knows any more who was in it. Whoever shares a room with the
                // user again counts as new then.
                Err(AskError::Refused(Refusal::Absent)) => Ok(MovesReply::default()),
                reply => reply,
            }
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    let mut came = BTreeSet::new();
    for reply in replies {
        // Those of a room that the user has joined ask for the user's devices: the user's own clients are told as well.
        if reply.anew && !reply.came.is_empty() {
            came.insert(user.clone());
        }
        came.extend(reply.came);
        lists.left.extend(reply.gone);
    }
    lists.left.retain(|gone| !came.contains(gone));
    let still = still_sharing(world, user, &lists.left).await?;
    lists.left.retain(|gone| !still.contains(gone));
    lists.changed.extend(came);
    lists.changed.retain(|changed| !lists.left.contains(changed));
    Ok(lists)
}

/// Who of these shares a room with the user still. Where D1 cannot say, the user's rooms are asked: they are many, but
/// nobody waits with their news for D1.
async fn still_sharing(
    world: &World,
    user: &OwnedUserId,
    gone: &BTreeSet<OwnedUserId>,
) -> Result<BTreeSet<OwnedUserId>> {
    if gone.is_empty() {
        return Ok(BTreeSet::new());
    }
    let gone: Vec<OwnedUserId> = gone.iter().cloned().collect();
    let asking = Box::pin(room_members::sharing(world, user, &gone));
    match select(asking, Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(sharing), _)) => return Ok(sharing),
        Either::Left((Err(error), _)) => {
            tracing::warn!(%user, %error, "D1 does not say who shares a room with the user");
        }
        Either::Right(_) => {
            tracing::warn!(%user, "D1 takes long to say who shares a room with the user");
        }
    }
    let rooms = world.ask(&user_object(user), &JoinedRooms {}).await?;
    let asked = &Sharing { user: user.clone(), with: gone };
    let sharing: Vec<Vec<OwnedUserId>> = stream::iter(rooms)
        .map(|room_id| async move { world.ask(&room_object(&room_id), asked).await })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(sharing.into_iter().flatten().collect())
}
