//! How does a local user join a room?
//! ([joining rooms](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms))
//!
//! If the room is live here, a join is an event like any other. Otherwise we build our own event from the template of a
//! resident server, store the intention in the room, send the event, verify the state that the server answers with, and
//! make the room live in one transaction. Several servers are tried in turn.

mod attempt;

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedServerName, RoomId, UserId};
use serde_json::{Map, Value, json};
use tombolo_platform::{AskError, SqlError, World};
use tombolo_protocol::membership::Membership;

use self::attempt::Attempt;
pub use self::attempt::resume;
use crate::{
    config::Config,
    flows::{
        ours::Ours,
        sending::{send, unsent::Unsent},
    },
    objects::{
        room::messages::{Describe, Description, MembershipOf, OutOfBand, Participants, Refusal},
        room_object,
    },
    stores::profiles,
};

/// The most rooms of a restricted join rule that are asked whether the user is joined to them.
const MAX_ALLOWING: usize = 20;
/// How many servers are tried.
const MAX_SERVERS: usize = 5;

/// Joins a room; `content` holds further keys of the event's content, such as a reason.
pub async fn join(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: Map<String, Value>,
) -> Result<(), Unsent> {
    let mut content: Map<String, Value> = content;
    content.extend(member_content(world, user).await?);
    content.insert("membership".to_owned(), json!(Membership::Join));
    match world.ask(&room_object(room_id), &Describe {}).await {
        Ok(description) if description.live => {
            join_here(world, user, room_id, (&description, via), &content).await
        }
        Ok(_) | Err(AskError::Refused(Refusal::Absent)) => {
            join_through(world, user, room_id, via, &content).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The display name and avatar that a local user's member events carry.
pub async fn member_content(world: &World, user: &UserId) -> Result<Map<String, Value>, SqlError> {
    let profile = profiles::find(world, user.localpart()).await?.unwrap_or_default();
    let fields = [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)];
    Ok(fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
        .collect())
}

/// In which of several rooms a user is joined, as far as this server knows.
#[derive(Default)]
pub struct MemberOf {
    pub joined: Vec<OwnedRoomId>,
    /// Whether a room is unknown here or was not asked: the user may be joined to it.
    pub blind: bool,
}

/// Finds out in which of these rooms a user is joined.
pub async fn member_of(
    world: &World,
    user: &UserId,
    rooms: &[OwnedRoomId],
) -> Result<MemberOf, Ours> {
    let mut member_of = MemberOf { joined: Vec::new(), blind: rooms.len() > MAX_ALLOWING };
    for room_id in rooms.iter().take(MAX_ALLOWING) {
        let ask = MembershipOf { user: user.to_owned(), live: true };
        match world.ask(&room_object(room_id), &ask).await {
            Ok(Some(Membership::Join)) => member_of.joined.push(room_id.clone()),
            Ok(_) => {}
            Err(AskError::Refused(_)) => member_of.blind = true,
            Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
        }
    }
    Ok(member_of)
}

async fn join_here(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    (description, via): (&Description, &[OwnedServerName]),
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    let ask = MembershipOf { user: user.to_owned(), live: true };
    let membership = world.ask(&room_object(room_id), &ask).await?;
    if membership == Some(Membership::Join) {
        return Ok(());
    }
    // No other server may let the user in either.
    if description.closed {
        return Err(Unsent::Refused(Refusal::blocked()));
    }
    let MemberOf { joined, blind } = member_of(world, user, &description.allow_rooms).await?;
    // Another resident server may be able to authorise a restricted join that we cannot.
    let others_may = (blind || !joined.is_empty()) && membership != Some(Membership::Ban);
    let refused = match send::membership(world, room_id, user, content, joined).await {
        Err(Unsent::Refused(refusal @ Refusal::Forbidden(_))) if others_may => refusal,
        ended => return ended,
    };
    let mut servers = residents(world, user, room_id, via).await?;
    let own = &Config::of(world)?.server_name;
    for server in world.ask(&room_object(room_id), &Participants {}).await?.servers {
        if server != *own && !servers.contains(&server) {
            servers.push(server);
        }
    }
    for server in servers.iter().take(MAX_SERVERS) {
        let attempt = Attempt { world, user, room_id, server, repeats: false };
        match attempt.be_authorised(content).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::info!(%server, room = %room_id, %error, "a join was not authorised");
            }
        }
    }
    Err(Unsent::Refused(refused))
}

async fn join_through(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    let servers = residents(world, user, room_id, via).await?;
    let mut failure = Unsent::NobodyThere;
    for server in servers.into_iter().take(MAX_SERVERS) {
        let attempt = Attempt { world, user, room_id, server: &server, repeats: false };
        match attempt.run(content).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::info!(%server, room = %room_id, %error, "a join failed");
                failure = error;
            }
        }
        // Another user's join may have made the room live meanwhile.
        if let Ok(description) = world.ask(&room_object(room_id), &Describe {}).await
            && description.live
        {
            return join_here(world, user, room_id, (&description, via), content).await;
        }
    }
    Err(failure)
}

/// Servers that may be in the room: those the client named, and those that the user's invite or knock came through. The
/// one in the room ID may never have been in it: it is asked if there are no others
/// ([room IDs](https://spec.matrix.org/v1.19/appendices/#room-ids)).
pub async fn residents(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Vec<OwnedServerName>, Ours> {
    let own = &Config::of(world)?.server_name;
    let mut servers = via.to_vec();
    match world.ask(&room_object(room_id), &OutOfBand { user: user.to_owned() }).await {
        Ok(invite) => servers.extend(invite.via),
        Err(AskError::Refused(_)) => {}
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    }
    let mut seen = BTreeSet::new();
    servers.retain(|server| server != own && seen.insert(server.clone()));
    if servers.is_empty() {
        let named = room_id.server_name().filter(|server| *server != own);
        servers.extend(named.map(ToOwned::to_owned));
    }
    Ok(servers)
}
