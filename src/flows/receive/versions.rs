//! Which version does a room have?

use std::{cell::RefCell, collections::BTreeMap};

use ruma::{OwnedRoomId, RoomId};
use tombolo_platform::{AskError, World};
use tombolo_protocol::room_version::RoomVersion;

use crate::{
    flows::ours::Ours,
    objects::{room::messages::Describe, room_object},
};

#[derive(Default)]
struct Versions(RefCell<BTreeMap<OwnedRoomId, &'static RoomVersion>>);

/// The version of a room that is known here. Once the room is live its version never changes, so an isolate asks once;
/// before, the version is only what another server said.
pub async fn version(
    world: &World,
    room_id: &RoomId,
) -> Result<Option<&'static RoomVersion>, Ours> {
    let versions = world.isolate(|_| Versions::default());
    let held = versions.0.borrow().get(room_id).copied();
    if held.is_some() {
        return Ok(held);
    }
    let description = match world.ask(&room_object(room_id), &Describe {}).await {
        Ok(description) => description,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    };
    let version = RoomVersion::of(&description.version)
        .ok_or_else(|| Ours::broken("a room of unknown version"))?;
    if description.live {
        versions.0.borrow_mut().insert(room_id.to_owned(), version);
    }
    Ok(Some(version))
}
