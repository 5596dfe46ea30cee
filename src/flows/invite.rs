//! How does a user of another server learn that they are invited?
//! ([inviting](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room))
//!
//! The invite is an event of the room already; their server gets it, with the state shown to them. If that server is
//! away, the invite stands: it is part of the room's state and is seen when they join.

use ruma::{OwnedUserId, RoomId};
use serde::{Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tombolo_platform::World;

use super::{receive::encode, room};
use crate::{
    config::Config,
    objects::room::messages::{InviteFor, InviteForReply},
    remote::{
        RemoteError,
        client::{self, Ask},
    },
};

/// Tells the server of an invited user, if it is not this one.
pub async fn tell_server(world: &World, room_id: &RoomId, user: &OwnedUserId) {
    if Config::of(world).is_ok_and(|config| user.server_name() == config.server_name) {
        return;
    }
    let invite = match world.ask(&room(room_id), &InviteFor { user: user.clone() }).await {
        Ok(invite) => invite,
        Err(error) => return tracing::warn!(%error, "an invite cannot be read back"),
    };
    if let Err(error) = put(world, room_id, user, &invite).await {
        tracing::info!(%user, %error, "an invite was not delivered");
    }
}

#[derive(Serialize)]
struct Body<'a> {
    room_version: &'a str,
    event: &'a RawValue,
    invite_room_state: &'a [Box<RawValue>],
}

async fn put(
    world: &World,
    room_id: &RoomId,
    user: &OwnedUserId,
    invite: &InviteForReply,
) -> Result<(), RemoteError> {
    let (room_id, event_id) = (encode(room_id.as_str()), encode(invite.event_id.as_str()));
    let InviteForReply { version, event, stripped, .. } = invite;
    let body = Body { room_version: version, event, invite_room_state: stripped };
    let body = client::content(&body)?;
    let path = format!("/_matrix/federation/v2/invite/{room_id}/{event_id}");
    client::ask::<IgnoredAny>(world, user.server_name(), Ask::put(&path, &body)).await.map(|_| ())
}
