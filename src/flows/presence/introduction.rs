//! Who learns the presence of our users when somebody joins a room?
//!
//! Servers that come into a room are told of those of ours who are there; servers in a room that a user of ours joins, of
//! that user. Our own users ask D1's copy of whoever comes ([`crate::flows::sync`]). The room's telling asks for it, once
//! D1's copies of who is in the room are there.

use ruma::{OwnedServerName, OwnedUserId, RoomId};
use tombolo_platform::World;

use super::{briefly, read, tell_servers};
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        room::messages::UndeliveredReply,
        user_sync::messages::{Presence, PresenceState},
    },
    stores::{presences, room_members},
};

/// The most servers that are told of somebody who joins, and the most who join at once of whom it is told.
const MOST_SERVERS: usize = 100;
const MOST_JOINED: usize = 20;

/// Tells servers of users whom they have not met, and does not wait for long: the room has more to do. Where that fails
/// they hear of the next change.
pub async fn introduce(world: &World, room_id: &RoomId, undelivered: &UndeliveredReply) {
    let config = match Config::of(world) {
        Ok(config) if config.presence => config,
        Ok(_) => return,
        Err(error) => return tracing::warn!(%error, "servers do not hear who is online"),
    };
    let came =
        undelivered.moved.iter().filter(|(server, came)| *came && *server != config.server_name);
    let came = came.map(|(server, _)| server.clone()).take(MOST_SERVERS).collect();
    let joined = undelivered.members.iter().flat_map(|moved| &moved.joined);
    let joined = joined.filter(|user| user.server_name() == config.server_name);
    let joined = joined.take(MOST_JOINED).cloned().collect();
    let (telling, room_id) = (world.clone(), room_id.to_owned());
    let introducing = async move {
        if let Err(error) = tell(&telling, &room_id, came, joined).await {
            tracing::info!(room = %room_id, %error, "servers do not hear who is online");
        }
    };
    briefly(world, introducing).await;
}

/// Tells servers that came of our users in a room, and others there of ours who joined.
async fn tell(
    world: &World,
    room_id: &RoomId,
    came: Vec<OwnedServerName>,
    joined: Vec<OwnedUserId>,
) -> Result<(), Ours> {
    if !came.is_empty() {
        let here = presences::of_room(world, room_id).await?;
        let here: Vec<Presence> =
            here.into_iter().map(|stored| read(stored, world.now())).collect();
        tell_servers(world, came, room_id.as_str(), &here).await?;
    }
    for stored in presences::of_users(world, &joined).await?.into_values() {
        let presence = read(stored, world.now());
        if presence.state != PresenceState::Offline {
            let mut servers = room_members::servers_only_in(world, &presence.user, room_id).await?;
            servers.truncate(MOST_SERVERS);
            let whose = presence.user.as_str();
            tell_servers(world, servers, whose, std::slice::from_ref(&presence)).await?;
        }
    }
    Ok(())
}
