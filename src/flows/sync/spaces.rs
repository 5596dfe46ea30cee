//! Which rooms does a list of a sliding sync show that asks for those of some spaces?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::{ROOMS_AT_ONCE, Result};
use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{Asker, Look},
        room_object, user_object,
        user_sync::messages::{JoinedRooms, ListWanted},
    },
};

/// A list that a client asks for.
#[derive(Debug)]
pub struct List {
    pub wanted: ListWanted,
    /// Only rooms of these spaces, as far as the user is in the spaces.
    pub spaces: Option<Vec<OwnedRoomId>>,
}

/// The lists, with the rooms of their spaces.
pub async fn lists(
    world: &World,
    user: &OwnedUserId,
    lists: &BTreeMap<String, List>,
) -> Result<BTreeMap<String, ListWanted>> {
    let named = lists.values().flat_map(|list| list.spaces.iter().flatten());
    let spaces = spaces(world, user, named.cloned().collect()).await?;
    let of_spaces = |list: &List| {
        let mut wanted = list.wanted.clone();
        wanted.filter.within = list.spaces.as_ref().map(|named| {
            let rooms = named.iter().filter_map(|space| spaces.get(space));
            rooms.flatten().cloned().collect()
        });
        wanted
    };
    Ok(lists.iter().map(|(name, list)| (name.clone(), of_spaces(list))).collect())
}

/// The rooms that each of these spaces names; spaces that the user is not in name none.
async fn spaces(
    world: &World,
    user: &OwnedUserId,
    mut named: BTreeSet<OwnedRoomId>,
) -> Result<BTreeMap<OwnedRoomId, Vec<OwnedRoomId>>> {
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    let joined = world.ask(&user_object(user), &JoinedRooms {}).await?;
    named.retain(|space| joined.contains(space));
    let asks = named.into_iter().map(|space| children(world, user, space));
    stream::iter(asks).buffer_unordered(ROOMS_AT_ONCE).try_collect().await
}

/// The rooms that a space names; none where the user is not in it.
async fn children(
    world: &World,
    user: &OwnedUserId,
    space: OwnedRoomId,
) -> Result<(OwnedRoomId, Vec<OwnedRoomId>)> {
    let asker = Some(Asker::User(user.clone()));
    let look = Look { asker, children: true, suggested_only: false };
    let children = match world.ask(&room_object(&space), &look).await {
        Ok(looked) if looked.membership == Some(Membership::Join) => {
            looked.children.into_iter().map(|child| child.room_id).collect()
        }
        Ok(_) | Err(AskError::Refused(_)) => Vec::new(),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause).into()),
    };
    Ok((space, children))
}
