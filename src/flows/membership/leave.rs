//! How does a local user leave a room, or decline an invite to one?
//! ([leaving rooms](https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites))
//!
//! In a room that is live here a leave is an event like any other. An invite to a room we are not in is declined
//! through a server in it; the user is rid of it whether or not that server answers, and the room's alarm tells it
//! again.

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

/// Leaves the room.
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
    if here.is_some_and(|membership| membership != Membership::Leave) {
        return send::membership(world, room_id, user, &content, Vec::new()).await;
    }
    let invite = match world.ask(&address, &OutOfBand { user: user.to_owned() }).await {
        Ok(invite) if invite.membership.is_waiting() => invite,
        // Leaving twice is no mistake.
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

/// Rids the user of an invite or knock, and tells a server in the room, if one of those that know of it answers.
async fn withdraw(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    let news = world.ask(&room_object(room_id), &Withdraw { user: user.to_owned() }).await?;
    tell::tell_now(world, room_id, news).await;
    carry(world, user, room_id, via, content).await
}

/// Has one of these servers take the leave, if one does.
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

/// Tells these servers again of a leave of which none has heard.
pub async fn resume(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<(), Unsent> {
    let content = Map::from_iter([("membership".to_owned(), json!(Membership::Leave))]);
    carry(world, user, room_id, via, &content).await
}

/// Has the server take the leave; not if the user has joined meanwhile.
async fn decline(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    server: &OwnedServerName,
    content: &Map<String, Value>,
) -> Result<bool, Unsent> {
    let template = template::ask(world, server, Membership::Leave, room_id, user).await?;
    // The server may have taken its time.
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
