//! How does a local user's event get into a room, and to whom must it be told at once?

use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId};
use serde_json::{Map, Value, value::to_raw_value};
use tombolo_platform::World;
use tombolo_protocol::membership::Membership;

use super::unsent::Unsent;
use crate::{
    config::Config,
    flows::{membership::invite, telling::tell},
    objects::{
        room::messages::{Draft, Send},
        room_object,
    },
};

/// Sends an event; an invite of another server's user goes through that server. Once an event is stored, nothing that
/// follows makes the call fail: the room's alarm repeats the telling.
pub async fn send(world: &World, room_id: &RoomId, message: Send) -> Result<OwnedEventId, Unsent> {
    if let Some(user) = invited(&message)
        && user.server_name() != Config::of(world)?.server_name
    {
        return invite::invite(world, room_id, user.server_name(), message).await;
    }
    let sent = world.ask(&room_object(room_id), &message).await?;
    tell::tell_meanwhile(world, room_id, sent.others);
    tell::tell_now(world, room_id, sent.news).await;
    Ok(sent.event_id)
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

/// The user whom this event invites.
fn invited(message: &Send) -> Option<ruma::OwnedUserId> {
    #[derive(serde::Deserialize)]
    struct Member {
        membership: Membership,
    }
    let user = message
        .draft
        .state_key
        .as_deref()
        .filter(|_| message.draft.event_type == "m.room.member")?;
    let content: Member = serde_json::from_str(message.draft.content.get()).ok()?;
    (content.membership == Membership::Invite).then(|| UserId::parse(user).ok()).flatten()
}
