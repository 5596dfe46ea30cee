//! How does a local user invite a user of another server?
//! ([inviting](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room))
//!
//! The room builds the event, the invited user's server signs it, and only then does the room insert it. If that server
//! refuses or does not answer, there is no invite, and the client learns why.

use ruma::{OwnedEventId, RoomId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{admission::Checked, room_version::RoomVersion};

use crate::{
    flows::{ours::Ours, receive::verify::countersigned, sending::unsent::Unsent, telling::tell},
    objects::{
        room::messages::{DraftInvite, InviteForReply, Send, SendInvite},
        room_object,
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
};

/// Invites a user of `server`; `send` is the invite.
pub async fn invite(
    world: &World,
    room_id: &RoomId,
    server: &ServerName,
    send: Send,
) -> Result<OwnedEventId, Unsent> {
    let (address, transaction) = (room_object(room_id), send.transaction.clone());
    let invite = world.ask(&address, &DraftInvite { send }).await?;
    if invite.stands {
        return Ok(invite.event_id);
    }
    let answer = put(world, room_id, server, &invite).await.map_err(Unsent::Uninvited)?;
    let version = RoomVersion::of(&invite.version)
        .ok_or_else(|| Ours::broken("a room of unknown version"))?;
    let ours = Checked { event_id: invite.event_id, json: invite.event };
    let event = countersigned(world, version, &ours, (server, answer.event.get().as_bytes()))
        .await
        .map_err(|dropped| Unsent::Nonsense(dropped.reason))?;
    let sent = world.ask(&address, &SendInvite { event, transaction }).await?;
    tell::tell_now(world, room_id, sent.news).await;
    Ok(sent.event_id)
}

/// The invite with the signature of the invited user's server.
#[derive(Deserialize)]
struct Countersigned {
    event: Box<RawValue>,
}

async fn put(
    world: &World,
    room_id: &RoomId,
    server: &ServerName,
    invite: &InviteForReply,
) -> Result<Countersigned, RemoteError> {
    let InviteForReply { version, event, stripped, .. } = invite;
    let body = api::Invite { room_version: version, event, invite_room_state: stripped };
    let body = client::content(&body)?;
    let path = api::invite(room_id, &invite.event_id);
    client::ask(world, server, Ask::put(&path, &body)).await
}
