//! How does a local user's event get into a room, and to whom must it be told at once?

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{json::parse_object, membership::Membership};

use super::unsent::Unsent;
use crate::{
    config::Config,
    flows::{membership::invite, ours::Ours, telling::tell},
    objects::{
        room::messages::{Draft, Send},
        room_object, user_object,
        user_sync::messages::{MayInvite, Refusal},
    },
};

/// Sends an event; an invite of another server's user goes through that server. Once an event is stored, nothing that
/// follows makes the call fail: the room's alarm repeats the telling.
pub async fn send(world: &World, room_id: &RoomId, message: Send) -> Result<OwnedEventId, Unsent> {
    if let Some(user) = invited(&message) {
        if user.server_name() != Config::of(world)?.server_name {
            return invite::invite(world, room_id, user.server_name(), message).await;
        }
        if !wants_invite(world, room_id, (&message.sender, &user)).await? {
            return Err(Unsent::Unwanted);
        }
    }
    let sent = world.ask(&room_object(room_id), &message).await?;
    tell::tell_meanwhile(world, room_id, sent.others);
    tell::tell_now(world, room_id, sent.news).await;
    Ok(sent.event_id)
}

/// Whether a local user may be invited, by their own rules.
pub async fn wants_invite(
    world: &World,
    room_id: &RoomId,
    (inviter, invited): (&UserId, &UserId),
) -> Result<bool, Ours> {
    let may_invite = MayInvite { room_id: room_id.to_owned(), inviter: Some(inviter.to_owned()) };
    match world.ask(&user_object(invited), &may_invite).await {
        Ok(()) => Ok(true),
        Err(AskError::Refused(Refusal::InviteBlocked)) => Ok(false),
        Err(AskError::Refused(refusal)) => Err(Ours::broken(refusal)),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

/// Sends a user's own membership event; `member_of` names the rooms that let a restricted join in.
pub async fn membership(
    world: &World,
    room_id: &RoomId,
    user: &UserId,
    content: &Map<String, Value>,
    member_of: Vec<OwnedRoomId>,
) -> Result<(), Unsent> {
    let draft = Draft::membership(user, to_raw_value(content)?);
    let message = Send { member_of, ..Send::of(user.to_owned(), draft) };
    send(world, room_id, message).await?;
    Ok(())
}

/// The user whom this event invites. It is read as the room reads it, which refuses what cannot be read.
fn invited(message: &Send) -> Option<OwnedUserId> {
    let Draft { event_type, state_key, content, .. } = &message.draft;
    invited_by(event_type, state_key.as_deref()?, content)
}

/// The user whom a state event invites.
pub fn invited_by(event_type: &str, state_key: &str, content: &RawValue) -> Option<OwnedUserId> {
    let content = parse_object(content.get().as_bytes()).ok()?;
    let is_invite = event_type == "m.room.member"
        && Membership::of_content(&content) == Some(Membership::Invite);
    if is_invite { UserId::parse(state_key).ok() } else { None }
}
