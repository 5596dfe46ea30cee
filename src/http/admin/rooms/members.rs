//! How does an operator bring a user into a room, or give them power there?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, json, value::to_raw_value};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::{admin, resolve};
use crate::{
    config::Config,
    error::{Error, Result},
    flows::{membership::join, sending::send, sending::unsent::Unsent},
    http::{
        admin::local_account,
        endpoint::{json_body, json_body_if_any, json_response},
        query,
        router::Router,
    },
    objects::{
        room::messages::{Draft, Granting, GrantingReply, Overview, Refusal, Send},
        room_object,
    },
};

const JOIN: &str = "/_synapse/admin/v1/join/{room}";
const MAKE_ADMIN: &str = "/_synapse/admin/v1/rooms/{room_id}/make_room_admin";

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, JOIN, join_user);
    router.page(&Method::POST, MAKE_ADMIN, make_room_admin);
}

#[derive(Deserialize)]
struct Joiner {
    user_id: OwnedUserId,
}

#[derive(Default, Deserialize)]
struct Granted {
    user_id: Option<OwnedUserId>,
}

/// Joins a local user. Into a room that they may not join by themselves the operator invites them first, who has to be in
/// it.
async fn join_user(world: World, request: Request<Bytes>, room: String) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let Joiner { user_id } = json_body(&request)?;
    if user_id.server_name() != Config::of(&world)?.server_name {
        return Err(bad("This endpoint can only be used with local users"));
    }
    local_account(&world, &user_id).await?;
    let (room_id, mut via) = resolve(&world, &room).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let named = pairs.iter().filter(|(name, _)| name == "server_name" || name == "via");
    via.extend(named.filter_map(|(_, server)| server.as_str().try_into().ok()));
    let is_closed = match world.ask(&room_object(&room_id), &Overview { locals: true }).await {
        Ok(overview) => {
            let is_in = overview.locals.iter().any(|(user, membership)| {
                *user == user_id && matches!(membership, Membership::Join | Membership::Invite)
            });
            let rule = overview.known.join_rules.as_deref();
            overview.joined_local_members > 0 && !is_in && rule.is_some_and(|rule| rule != "public")
        }
        Err(AskError::Refused(_)) => false,
        Err(error) => return Err(error.into()),
    };
    // Who may join because they are in another room, needs no invite.
    let join = || join::join(&world, &user_id, &room_id, &via, Map::new());
    match join().await {
        Err(Unsent::Refused(Refusal::Forbidden(_))) if is_closed => {
            invite(&world, &room_id, (operator, &user_id)).await?;
            join().await?;
        }
        joined => joined?,
    }
    json_response(StatusCode::OK, &json!({ "room_id": room_id }))
}

/// Gives a user the power that the most powerful local user has, and invites them where they have to be.
async fn make_room_admin(
    world: World,
    request: Request<Bytes>,
    room: String,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let body: Granted = json_body_if_any(&request)?;
    let user = body.user_id.unwrap_or(operator);
    let (room_id, _) = resolve(&world, &room).await?;
    let granting = match world.ask(&room_object(&room_id), &Granting { user: user.clone() }).await {
        Ok(granting) => granting,
        Err(AskError::Refused(Refusal::Absent)) => return Err(bad("Server not in room")),
        Err(AskError::Refused(Refusal::NotFound)) => {
            return Err(bad("No local admin user in room with power to update power levels."));
        }
        Err(error) => return Err(error.into()),
    };
    let GrantingReply { by, levels, invite: is_outside } = granting;
    let draft = Draft {
        event_type: "m.room.power_levels".to_owned(),
        state_key: Some(String::new()),
        content: levels,
        redacts: None,
    };
    match send::send(&world, &room_id, Send::of(by.clone(), draft)).await {
        Ok(_) => {}
        Err(Unsent::Refused(Refusal::Forbidden(_))) => {
            return Err(bad("No local admin user in room with power to update power levels."));
        }
        Err(error) => return Err(error.into()),
    }
    if is_outside {
        invite(&world, &room_id, (by, &user)).await?;
    }
    json_response(StatusCode::OK, &json!({}))
}

async fn invite(world: &World, room_id: &RoomId, (by, user): (OwnedUserId, &UserId)) -> Result<()> {
    let mut content = Map::new();
    if user.server_name() == Config::of(world)?.server_name {
        content = join::member_content(world, user).await?;
    }
    content.insert("membership".to_owned(), json!(Membership::Invite));
    let draft = Draft::membership(user, to_raw_value(&content)?);
    send::send(world, room_id, Send::of(by, draft)).await?;
    Ok(())
}

fn bad(message: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message)
}
