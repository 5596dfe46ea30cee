//! How do D1's copy of who is in a room, and our users who have to know of it, follow the room?
//!
//! First the copy, then the users: what changed for a user is worked out with the copy. Both may be repeated.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, ready, select},
    stream,
};
use ruma::{OwnedUserId, RoomId};
use tombolo_platform::World;

use crate::{
    config::Config,
    flows::{keys::telling, ours::Ours},
    objects::{
        room::messages::{MembersMoved, UndeliveredReply},
        user_object,
        user_sync::messages::Shares,
    },
    stores::room_members::{self, Moved},
};

/// How many users are told at once.
const AT_ONCE: usize = 20;
/// How long the copy may take: so long, and a second more for so many members.
const PATIENCE: Duration = Duration::from_secs(2);
const A_SECOND: usize = 5_000;

/// Copies to D1 who came into the room and left it, and tells our users; answers whether all that succeeded. If not, the
/// room's alarm does it again: a D1 that is slow or down delays nobody's news. Users in `lagging` do not have the news
/// yet of who came and went, and wait for that.
pub async fn follow(
    world: &World,
    room_id: &RoomId,
    undelivered: &UndeliveredReply,
    lagging: &[OwnedUserId],
) -> bool {
    let Some(moved) = &undelivered.members else { return true };
    let many = (moved.joined.len() + moved.invited.len() + moved.out.len()) / A_SECOND;
    let patience = PATIENCE + Duration::from_secs(many as u64);
    match select(Box::pin(copy(world, room_id, moved)), Box::pin(world.sleep(patience))).await {
        Either::Left((Ok(()), _)) => {
            let shares =
                Shares { room_id: room_id.to_owned(), from: moved.from, to: undelivered.to };
            let lagging: BTreeSet<&OwnedUserId> = lagging.iter().collect();
            let (waiting, others): (Vec<&OwnedUserId>, Vec<&OwnedUserId>) =
                moved.tell.iter().partition(|user| lagging.contains(user));
            tell(world, &shares, others).await && waiting.is_empty()
        }
        Either::Left((Err(error), _)) => {
            tracing::warn!(room = %room_id, %error, "who is in the room was not copied");
            false
        }
        Either::Right(_) => {
            tracing::warn!(room = %room_id, "who is in the room is still being copied");
            false
        }
    }
}

async fn copy(world: &World, room_id: &RoomId, moved: &MembersMoved) -> Result<(), Ours> {
    let config = Config::of(world)?;
    let MembersMoved { joined, invited, out, .. } = moved;
    let moved = Moved { joined, invited, out };
    Ok(room_members::save(world, room_id, &config.server_name, &moved).await?)
}

/// Tells the servers in the room of the devices of our users who have joined it; answers whether all were told.
pub async fn introduce(world: &World, room_id: &RoomId, undelivered: &UndeliveredReply) -> bool {
    let Some(moved) = &undelivered.members else { return true };
    let Ok(config) = Config::of(world) else { return false };
    for user in moved.joined.iter().filter(|user| user.server_name() == config.server_name) {
        if let Err(error) = telling::introduce(world, user, room_id).await {
            tracing::warn!(room = %room_id, %user, %error, "servers do not know of devices");
            return false;
        }
    }
    true
}

/// Tells our users that others came or went; answers whether all were told.
async fn tell(world: &World, shares: &Shares, users: Vec<&OwnedUserId>) -> bool {
    let failed = stream::iter(users)
        .map(|user| async move { world.ask(&user_object(user), shares).await })
        .buffer_unordered(AT_ONCE)
        .filter(|told| ready(told.is_err()))
        .count();
    failed.await == 0
}
