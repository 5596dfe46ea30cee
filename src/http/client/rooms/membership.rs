//! How do users get into rooms, and out of them?
//! ([room membership](https://spec.matrix.org/v1.19/client-server-api/#room-membership))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedServerName, RoomId, RoomOrAliasId, UserId,
    api::client::knock::knock_room::v3 as knock_room,
    api::client::membership::{
        ban_user::v3 as ban_user,
        forget_room::v3 as forget_room,
        invite_user::v3::{self as invite_user, InvitationRecipient},
        join_room_by_id::v3 as join_room_by_id,
        join_room_by_id_or_alias::v3 as join_room_by_id_or_alias,
        kick_user::v3 as kick_user,
        leave_room::v3 as leave_room,
        unban_user::v3 as unban_user,
    },
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{json::parse_object, membership::Membership};

use super::{aliases, events::send};
use crate::{
    config::Config,
    error::{Error, Result, forbidden},
    flows,
    http::{
        auth::{self, Session, user_object},
        endpoint::{decode, encode, fault_response, paths_of},
        router::Router,
    },
    objects::{
        room::messages::{Draft, MembershipOf, Send},
        room_object,
        user_sync::messages::{Cost, Forget},
    },
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<join_room_by_id::Request>() {
        router.page(&Method::POST, path, join_by_id);
    }
    for path in paths_of::<join_room_by_id_or_alias::Request>() {
        router.page(&Method::POST, path, join_by_id_or_alias);
    }
    router.costly::<knock_room::Request, _, _>(Cost::Membership, knock);
    router.costly::<invite_user::Request, _, _>(Cost::Membership, invite);
    router.costly::<leave_room::Request, _, _>(Cost::Event, leave);
    router.endpoint::<forget_room::Request, _, _>(forget);
    router.costly::<kick_user::Request, _, _>(Cost::Event, kick);
    router.costly::<ban_user::Request, _, _>(Cost::Event, ban);
    router.costly::<unban_user::Request, _, _>(Cost::Event, unban);
}

/// A change of somebody's membership.
struct Change<'a> {
    room_id: &'a RoomId,
    user: &'a UserId,
    membership: Membership,
    /// The memberships that the change is for; empty: any.
    of: &'static [Membership],
    reason: Option<String>,
}

async fn join_by_id(
    world: World,
    request: Request<Bytes>,
    room_id: String,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Membership).await?;
    let asked: join_room_by_id::Request = decode(&request, &[room_id])?;
    let content = content_of_join(&request)?;
    flows::membership::join::join(&world, &caller.user, &asked.room_id, &[], content).await?;
    encode(join_room_by_id::Response::new(asked.room_id))
}

async fn join_by_id_or_alias(
    world: World,
    request: Request<Bytes>,
    name: String,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Membership).await?;
    let asked: join_room_by_id_or_alias::Request = decode(&request, &[name])?;
    let content = content_of_join(&request)?;
    let (room_id, via) = named_room(&world, &asked.room_id_or_alias, asked.via).await?;
    flows::membership::join::join(&world, &caller.user, &room_id, &via, content).await?;
    encode(join_room_by_id_or_alias::Response::new(room_id))
}

/// The body of a join, as content of the member event: a client may say more there than the specification names. What
/// only servers may say of a join is left out.
fn content_of_join(request: &Request<Bytes>) -> Result<Map<String, Value>> {
    if request.body().is_empty() {
        return Ok(Map::new());
    }
    let object = parse_object(request.body()).map_err(|fault| fault_response(&fault))?;
    let mut content: Map<String, Value> =
        object.into_iter().map(|(name, value)| (name, value.into())).collect();
    for name in ["third_party_signed", "join_authorised_via_users_server"] {
        content.remove(name);
    }
    // No reason is none.
    content.retain(|name, value| name != "reason" || !value.is_null());
    Ok(content)
}

async fn knock(
    world: World,
    caller: Session,
    request: knock_room::Request,
) -> Result<knock_room::Response> {
    let (room_id, via) = named_room(&world, &request.room_id_or_alias, request.via).await?;
    flows::membership::knock::knock(&world, &caller.user, &room_id, &via, request.reason).await?;
    Ok(knock_room::Response::new(room_id))
}

/// The room that an ID or alias names, and servers that may be in it.
async fn named_room(
    world: &World,
    name: &RoomOrAliasId,
    mut via: Vec<OwnedServerName>,
) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
    match <&RoomId>::try_from(name) {
        Ok(room_id) => Ok((room_id.to_owned(), via)),
        Err(alias) => {
            let found = aliases::resolve(world, alias).await?.ok_or_else(aliases::unknown)?;
            via.extend(found.servers);
            Ok((found.room_id, via))
        }
    }
}

async fn invite(
    world: World,
    caller: Session,
    request: invite_user::Request,
) -> Result<invite_user::Response> {
    let InvitationRecipient::UserId(invitee) = request.recipient else {
        return Err(forbidden("Third-party invites are not supported"));
    };
    let change = Change {
        room_id: &request.room_id,
        user: &invitee.user_id,
        membership: Membership::Invite,
        of: &[],
        reason: invitee.reason,
    };
    change.send(&world, &caller).await?;
    Ok(invite_user::Response::new())
}

async fn leave(
    world: World,
    caller: Session,
    request: leave_room::Request,
) -> Result<leave_room::Response> {
    flows::membership::leave::leave(&world, &caller.user, &request.room_id, request.reason).await?;
    Ok(leave_room::Response::new())
}

async fn forget(
    world: World,
    caller: Session,
    request: forget_room::Request,
) -> Result<forget_room::Response> {
    let room_id = request.room_id;
    let membership = world
        .ask(&room_object(&room_id), &MembershipOf { user: caller.user.clone(), live: false })
        .await;
    match membership {
        Ok(Some(membership)) if !membership.is_out() => {
            return Err(Error::new(
                StatusCode::BAD_REQUEST,
                "M_UNKNOWN",
                "You are still in this room",
            ));
        }
        Ok(_) | Err(AskError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    world.ask(&user_object(&caller.user), &Forget { room_id }).await?;
    Ok(forget_room::Response::new())
}

async fn kick(
    world: World,
    caller: Session,
    request: kick_user::Request,
) -> Result<kick_user::Response> {
    let change = Change {
        room_id: &request.room_id,
        user: &request.user_id,
        membership: Membership::Leave,
        of: &[Membership::Join, Membership::Invite, Membership::Knock],
        reason: request.reason,
    };
    change.send(&world, &caller).await?;
    Ok(kick_user::Response::new())
}

async fn ban(
    world: World,
    caller: Session,
    request: ban_user::Request,
) -> Result<ban_user::Response> {
    let change = Change {
        room_id: &request.room_id,
        user: &request.user_id,
        membership: Membership::Ban,
        of: &[],
        reason: request.reason,
    };
    change.send(&world, &caller).await?;
    Ok(ban_user::Response::new())
}

async fn unban(
    world: World,
    caller: Session,
    request: unban_user::Request,
) -> Result<unban_user::Response> {
    let change = Change {
        room_id: &request.room_id,
        user: &request.user_id,
        membership: Membership::Leave,
        of: &[Membership::Ban],
        reason: request.reason,
    };
    change.send(&world, &caller).await?;
    Ok(unban_user::Response::new())
}

impl Change<'_> {
    async fn send(self, world: &World, caller: &Session) -> Result<()> {
        let mut content = with_reason(self.reason);
        if self.membership == Membership::Invite
            && self.user.server_name() == Config::of(world)?.server_name
        {
            content.extend(flows::membership::join::member_content(world, self.user).await?);
        }
        content.insert("membership".to_owned(), json!(self.membership));
        let draft = Draft::membership(self.user, to_raw_value(&content)?);
        let memberships = self.of.to_vec();
        let message = Send { memberships, ..Send::of(caller.user.clone(), draft) };
        send(world, self.room_id, message).await.map(|_| ())
    }
}

fn with_reason(reason: Option<String>) -> Map<String, Value> {
    reason.into_iter().map(|reason| ("reason".to_owned(), json!(reason))).collect()
}
