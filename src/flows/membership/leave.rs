//! How does a local user leave a room, or decline an invite to one?
//! ([leaving rooms](https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites))
//!
//! If the room is live here, a leave is an event like any other. An invite to a room we are not in is declined through
//! a resident server. The user is rid of the invite at once, even if that server does not answer: the room's alarm
//! sends the leave again.

use ruma::{OwnedServerName, RoomId, UserId};
use serde_json::{Map, Value, json};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::template;
use crate::{
    flows::{
        sending::{send, unsent::Unsent},
        telling::tell,
    },
    objects::{
        room::messages::{MembershipOf, OutOfBand, Refusal, Withdraw, Withdrawn},
        room_object,
    },
    remote::{
        api,
        client::{self, Ask, BRIEF},
    },
};

/// Leaves a room, declines an invite or takes a knock back.
pub async fn leave(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    reason: Option<String>,
) -> Result<(), Unsent> {
    let address = room_object(room_id);
    let here = match world.ask(&address, &MembershipOf { user: user.to_owned(), live: false }).await
    {
        Ok(membership) => membership,
        Err(AskError::Refused(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut content = Map::from_iter([("membership".to_owned(), json!(Membership::Leave))]);
    content.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
    if here.is_some_and(|membership| !membership.is_out()) {
        return send::membership(world, room_id, user, &content, Vec::new()).await;
    }
    let invite = match world.ask(&address, &OutOfBand { user: user.to_owned() }).await {
        Ok(invite) if invite.membership.is_waiting() => invite,
        Ok(_) | Err(AskError::Refused(_)) if here == Some(Membership::Ban) => {
            let refusal = Refusal::Forbidden("You are banned from this room".to_owned());
            return Err(Unsent::Refused(refusal));
        }
        // Leaving twice is no error.
        Ok(_) => return Ok(()),
        Err(AskError::Refused(Refusal::Absent | Refusal::NotFound))
            if here == Some(Membership::Leave) =>
        {
            return Ok(());
        }
        Err(AskError::Refused(_)) => return Err(Unsent::NotThere),
        Err(error) => return Err(error.into()),
    };
    withdraw(world, user, room_id, &invite.via, &content).await
}

/// Removes the user's invite or knock here, and then sends the leave to a server that knows of it.
async fn withdraw(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    let reason = content.get("reason").and_then(Value::as_str).map(ToOwned::to_owned);
    let withdraw = Withdraw { user: user.to_owned(), reason };
    let news = world.ask(&room_object(room_id), &withdraw).await?;
    tell::tell_now(world, room_id, news).await;
    carry(world, user, room_id, via, content).await
}

/// Sends the leave through the first of these servers that takes it. If one does, the alarm does not repeat it.
async fn carry(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    for server in via {
        match decline(world, user, room_id, server, content).await {
            Ok(true) => {
                world.ask(&room_object(room_id), &Withdrawn { user: user.to_owned() }).await?;
                break;
            }
            Ok(false) => break,
            Err(error) => tracing::info!(%server, %error, "an invite was not declined there"),
        }
    }
    Ok(())
}

/// Sends a leave again that no server has taken.
pub async fn resume(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<(), Unsent> {
    let content = Map::from_iter([("membership".to_owned(), json!(Membership::Leave))]);
    carry(world, user, room_id, via, &content).await
}

/// Sends the leave through one server. Answers `false` if there is nothing to send any more, for example because the
/// user has joined.
async fn decline(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    server: &OwnedServerName,
    content: &Map<String, Value>,
) -> Result<bool, Unsent> {
    let template = template::ask(world, server, Membership::Leave, room_id, user).await?;
    // The template may have taken long: the user may have joined meanwhile.
    let held = world.ask(&room_object(room_id), &OutOfBand { user: user.to_owned() }).await?;
    if !held.leaving {
        return Ok(false);
    }
    let (_, pdu) = template::build(world, user, room_id, (Membership::Leave, template), content)?;
    let path = api::send_leave(room_id, &pdu.event_id);
    let body: Value = serde_json::from_str(&pdu.json)?;
    client::ask::<Value>(world, server, Ask::put(&path, &body).within(BRIEF)).await?;
    Ok(true)
}
