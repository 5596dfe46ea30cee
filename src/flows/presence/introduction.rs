//! Who learns the presence of our users when somebody joins a room?
//!
//! Servers that come into a room are told of those of ours who are there; servers in a room that a user of ours joins, of
//! that user. Our own users ask D1's copy of whoever comes ([`crate::flows::sync`]). The room's telling asks for it, once
//! D1's copies of who is in the room are there.

use ruma::{OwnedServerName, OwnedUserId, RoomId};
use tombolo_platform::World;

use super::{read, tell_servers};
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

/// Tells servers of users whom they have not met. Where that fails they hear of the next change.
pub async fn introduce(world: &World, room_id: &RoomId, undelivered: &UndeliveredReply) {
    if let Err(error) = try_introduce(world, room_id, undelivered).await {
        tracing::info!(room = %room_id, %error, "servers do not hear who is online");
    }
}

async fn try_introduce(
    world: &World,
    room_id: &RoomId,
    undelivered: &UndeliveredReply,
) -> Result<(), Ours> {
    let config = Config::of(world)?;
    if !config.presence {
        return Ok(());
    }
    let came =
        undelivered.moved.iter().filter(|(server, came)| *came && *server != config.server_name);
    let came: Vec<OwnedServerName> =
        came.map(|(server, _)| server.clone()).take(MOST_SERVERS).collect();
    if !came.is_empty() {
        let here = presences::of_room(world, room_id).await?;
        let here: Vec<Presence> =
            here.into_iter().map(|stored| read(stored, world.now())).collect();
        tell_servers(world, came, &here).await?;
    }
    let joined = undelivered.members.iter().flat_map(|moved| &moved.joined);
    let ours = joined.filter(|user| user.server_name() == config.server_name);
    let ours: Vec<&OwnedUserId> = ours.take(MOST_JOINED).collect();
    for stored in presences::of_users(world, ours).await?.into_values() {
        let presence = read(stored, world.now());
        if presence.state != PresenceState::Offline {
            let mut servers = room_members::servers_only_in(world, &presence.user, room_id).await?;
            servers.truncate(MOST_SERVERS);
            tell_servers(world, servers, &[presence]).await?;
        }
    }
    Ok(())
}
