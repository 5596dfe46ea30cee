//! Who is in a room, and in which rooms is the user?
//! ([members](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedUserId, RoomId,
    api::client::membership::{
        get_member_events::v3 as get_member_events, joined_members::v3 as joined_members,
        joined_rooms::v3 as joined_rooms,
    },
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{event::field, membership::Membership};

use super::{ask_room, is_joined, not_in_room};
use crate::{
    error::Result,
    flows::appservices::Appservice,
    http::{
        auth::{self, Reader, Session, user_object},
        client::tokens,
        endpoint::{decode, json_response, paths_of},
        router::Router,
    },
    objects::{
        room::messages::{JoinedMembers, Members, Refusal},
        room_object,
        user_sync::messages::{Cost, JoinedRooms},
    },
};

pub fn routes(router: &mut Router) {
    router.reading::<get_member_events::Request, _, _>(not_in_room, member_events);
    for path in paths_of::<joined_members::Request>() {
        router.page(&Method::GET, path, joined);
    }
    router.endpoint::<joined_rooms::Request, _, _>(rooms);
}

async fn member_events(
    world: World,
    Reader { session: caller, .. }: Reader,
    request: get_member_events::Request,
) -> Result<get_member_events::Response> {
    let at = match &request.at {
        Some(token) => Some(tokens::place(&world, &caller, &request.room_id, token).await?),
        None => None,
    };
    let members = Members {
        user: caller.user,
        at,
        membership: request.membership.map(|membership| membership.to_string()),
        not_membership: request.not_membership.map(|membership| membership.to_string()),
    };
    let events = ask_room(&world, &request.room_id, &members).await?;
    Ok(get_member_events::Response::new(events.into_iter().map(Raw::from_json).collect()))
}

/// Who has no name or no avatar has `null` there, as with Synapse: clients look for both. Ruma's type leaves them out.
async fn joined(world: World, request: Request<Bytes>, room: String) -> Result<Response<Bytes>> {
    // Who is joined has not forgotten the room.
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let joined_members::Request { room_id, .. } = decode(&request, &[room])?;
    let mut user = caller.user;
    if !is_joined(&world, &user, &room_id).await? {
        let service = caller.appservice.ok_or_else(not_in_room)?;
        user = one_of(&world, &service, &room_id).await?;
    }
    let members = Members {
        user,
        at: None,
        membership: Some(Membership::Join.to_string()),
        not_membership: None,
    };
    let events = ask_room(&world, &room_id, &members).await?;
    let joined: Map<String, Value> = events.iter().filter_map(|event| member(event)).collect();
    json_response(StatusCode::OK, &json!({ "joined": joined }))
}

/// A user of a service who is in the room: any of them will do.
async fn one_of(world: &World, service: &Appservice, room_id: &RoomId) -> Result<OwnedUserId> {
    let joined = world.ask(&room_object(room_id), &JoinedMembers {}).await;
    let joined = joined.or_else(|error| match error {
        AskError::Refused(Refusal::Absent) => Ok(Vec::new()),
        error => Err(error),
    })?;
    joined.into_iter().find(|user| service.has_user(user)).ok_or_else(not_in_room)
}

async fn rooms(
    world: World,
    caller: Session,
    _: joined_rooms::Request,
) -> Result<joined_rooms::Response> {
    let rooms = world.ask(&user_object(&caller.user), &JoinedRooms {}).await?;
    Ok(joined_rooms::Response::new(rooms))
}

/// The user and the profile of a member event. Fields that cannot be read are left out: the content is whatever its
/// sender wrote.
fn member(event: &RawValue) -> Option<(String, Value)> {
    #[derive(Deserialize)]
    struct Event {
        state_key: OwnedUserId,
        content: Box<RawValue>,
    }
    let event: Event = serde_json::from_str(event.get()).ok()?;
    let text = |name| serde_json::from_str::<String>(field(&event.content, name)?.get()).ok();
    let member = json!({ "display_name": text("displayname"), "avatar_url": text("avatar_url") });
    Some((event.state_key.into(), member))
}
