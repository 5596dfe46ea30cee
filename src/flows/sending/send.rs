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
    flows::{appservices, membership::invite, ours::Ours, telling::tell},
    objects::{
        room::messages::{Draft, MembershipOf, Send},
        room_object, user_object,
        user_sync::messages::{MayInvite, NoticeRoom, Refusal},
    },
};

/// Sends an event; an invite of another server's user goes through that server. Once an event is stored, nothing that
/// follows makes the call fail: the room's alarm repeats the telling.
pub async fn send(world: &World, room_id: &RoomId, message: Send) -> Result<OwnedEventId, Unsent> {
    Ok(send_once(world, room_id, message).await?.0)
}

/// The same; answers, too, whether the same transaction had sent it before.
pub async fn send_once(
    world: &World,
    room_id: &RoomId,
    message: Send,
) -> Result<(OwnedEventId, bool), Unsent> {
    let Draft { event_type, state_key, content, .. } = &message.draft;
    if let Some(user) = state_key.as_deref().and_then(|key| invited_by(event_type, key, content)) {
        if user.server_name() != Config::of(world)?.server_name {
            let event_id = invite::invite(world, room_id, user.server_name(), message).await?;
            return Ok((event_id, false));
        }
        if !wants_invite(world, room_id, (&message.sender, &user)).await? {
            return Err(Unsent::Unwanted);
        }
    }
    if leaves(&message) && !may_decline(world, &message.sender, room_id).await? {
        return Err(Unsent::Undeclinable);
    }
    let sent = world.ask(&room_object(room_id), &message).await?;
    tell::tell_meanwhile(world, room_id, sent.others);
    appservices::tell::tell_meanwhile(world, room_id);
    tell::tell_now(world, room_id, sent.news).await;
    Ok((sent.event_id, sent.again))
}

/// Whether a local user may be invited, by their own rules.
pub async fn wants_invite(
    world: &World,
    room_id: &RoomId,
    (inviter, invited): (&UserId, &UserId),
) -> Result<bool, Ours> {
    appservices::queries::ask_for_user(world, invited).await?;
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

/// The user whom a state event invites. It is read as the room reads it, which refuses what cannot be read.
pub fn invited_by(event_type: &str, state_key: &str, content: &RawValue) -> Option<OwnedUserId> {
    let is_invite = membership_in(event_type, content) == Some(Membership::Invite);
    if is_invite { UserId::parse(state_key).ok() } else { None }
}

/// Whether a user leaves by this event.
fn leaves(message: &Send) -> bool {
    let Draft { event_type, state_key, content, .. } = &message.draft;
    state_key.as_deref() == Some(message.sender.as_str())
        && membership_in(event_type, content) == Some(Membership::Leave)
}

fn membership_in(event_type: &str, content: &RawValue) -> Option<Membership> {
    let content = parse_object(content.get().as_bytes()).ok()?;
    Membership::of_content(&content).filter(|_| event_type == "m.room.member")
}

/// Whether a user may leave a room: not by declining the invite to the room in which the server writes to them
/// ([server notices](https://spec.matrix.org/v1.19/client-server-api/#server-notices)).
async fn may_decline(world: &World, user: &UserId, room_id: &RoomId) -> Result<bool, Unsent> {
    let Some(sender) = Config::of(world)?.server_notices.clone() else { return Ok(true) };
    let known = NoticeRoom { sender, made: None, instead_of: None };
    let of_notices = match world.ask(&user_object(user), &known).await {
        Ok(room) => room,
        Err(AskError::Refused(refusal)) => return Err(Ours::broken(refusal).into()),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause).into()),
    };
    if of_notices.as_deref() != Some(room_id) {
        return Ok(true);
    }
    let of_user = MembershipOf { user: user.to_owned(), live: false };
    Ok(world.ask(&room_object(room_id), &of_user).await? != Some(Membership::Invite))
}
