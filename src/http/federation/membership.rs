//! How do users of other servers join, leave and knock through us?
//! ([joining](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms),
//! [leaving](https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites),
//! [knocking](https://spec.matrix.org/v1.19/server-server-api/#knocking-upon-a-room))

use http::Method;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{Body, World};
use tombolo_protocol::{
    admission::Checked,
    canonical_json::{self, CanonicalJsonObject, CanonicalJsonValue},
    json::parse_object,
    membership::Membership,
    room_version::RoomVersion,
};

use super::{lists::Lists, signed::Signed};
use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows::{
        membership::join::{MemberOf, member_of},
        receive::{verify, version},
        telling::tell,
    },
    http::{endpoint::fault_response, router::Router},
    objects::{
        room::messages::{Accept, Accepted, Describe, Template},
        room_object,
    },
};

/// The arguments of the paths: a room and a user, or a room and an event.
type OfUser = (OwnedRoomId, OwnedUserId);
type OfEvent = (OwnedRoomId, OwnedEventId);

pub fn routes(router: &mut Router) {
    router.federation(
        &Method::GET,
        "/_matrix/federation/v1/make_join/{room_id}/{user_id}",
        make_join,
    );
    router.federation(
        &Method::GET,
        "/_matrix/federation/v1/make_leave/{room_id}/{user_id}",
        make_leave,
    );
    router.federation(
        &Method::GET,
        "/_matrix/federation/v1/make_knock/{room_id}/{user_id}",
        make_knock,
    );
    router.federation_stream(
        &Method::PUT,
        "/_matrix/federation/v1/send_join/{room_id}/{event_id}",
        send_join_v1,
    );
    router.federation_stream(
        &Method::PUT,
        "/_matrix/federation/v2/send_join/{room_id}/{event_id}",
        send_join,
    );
    router.federation(
        &Method::PUT,
        "/_matrix/federation/v1/send_leave/{room_id}/{event_id}",
        send_leave_v1,
    );
    router.federation(
        &Method::PUT,
        "/_matrix/federation/v2/send_leave/{room_id}/{event_id}",
        send_leave,
    );
    router.federation(
        &Method::PUT,
        "/_matrix/federation/v1/send_knock/{room_id}/{event_id}",
        send_knock,
    );
}

/// A template of an event that we would accept once it is signed.
#[derive(Serialize)]
struct Made {
    room_version: String,
    event: Box<RawValue>,
}

async fn make_join(world: World, signed: Signed, path: OfUser) -> Result<Made> {
    make(&world, &signed, path, Membership::Join).await
}

async fn make_leave(world: World, signed: Signed, path: OfUser) -> Result<Made> {
    make(&world, &signed, path, Membership::Leave).await
}

async fn make_knock(world: World, signed: Signed, path: OfUser) -> Result<Made> {
    make(&world, &signed, path, Membership::Knock).await
}

async fn make(
    world: &World,
    signed: &Signed,
    (room_id, user): OfUser,
    membership: Membership,
) -> Result<Made> {
    let address = room_object(&room_id);
    let description = world.ask(&address, &Describe {}).await?;
    let versions = signed.all("ver").into_iter().map(str::to_owned).collect();
    let MemberOf { joined, blind } = member_of(world, &user, &description.allow_rooms).await?;
    let template = Template {
        origin: signed.origin.clone(),
        user,
        membership,
        member_of: joined,
        blind,
        versions: (membership != Membership::Leave).then_some(versions),
    };
    let template = world.ask(&address, &template).await?;
    Ok(Made { room_version: template.version, event: template.event })
}

/// The answer to `send_join` beside its lists: the state before the join, and the auth chain.
#[derive(Serialize)]
struct SendJoin {
    origin: OwnedServerName,
    event: Box<RawValue>,
    members_omitted: bool,
    servers_in_room: Vec<OwnedServerName>,
}

async fn send_join(world: World, signed: Signed, path: OfEvent) -> Result<Body> {
    Ok(joined(&world, &signed, path).await?.body())
}

async fn send_join_v1(world: World, signed: Signed, path: OfEvent) -> Result<Body> {
    Ok(joined(&world, &signed, path).await?.with_status(200).body())
}

async fn joined(world: &World, signed: &Signed, path: OfEvent) -> Result<Lists> {
    let room_id = path.0.clone();
    let Accepted { event, servers: servers_in_room, numbers, .. } =
        take(world, signed, path, Membership::Join).await?;
    let origin = Config::of(world)?.server_name.clone();
    let head = SendJoin { origin, event, members_omitted: false, servers_in_room };
    Lists::new(world, &room_id, &head, ["state", "auth_chain"], numbers)
}

#[derive(Serialize)]
struct SendLeave {}

async fn send_leave(world: World, signed: Signed, path: OfEvent) -> Result<SendLeave> {
    take(&world, &signed, path, Membership::Leave).await.map(|_| SendLeave {})
}

async fn send_leave_v1(world: World, signed: Signed, path: OfEvent) -> Result<(u16, SendLeave)> {
    Ok((200, send_leave(world, signed, path).await?))
}

#[derive(Serialize)]
struct SendKnock {
    knock_room_state: Vec<Box<RawValue>>,
}

async fn send_knock(world: World, signed: Signed, path: OfEvent) -> Result<SendKnock> {
    let accepted = take(&world, &signed, path, Membership::Knock).await?;
    Ok(SendKnock { knock_room_state: accepted.state })
}

async fn take(
    world: &World,
    signed: &Signed,
    (room_id, event_id): OfEvent,
    membership: Membership,
) -> Result<Accepted> {
    let version = version(world, &room_id).await?.ok_or_else(|| not_found("Unknown room"))?;
    let object = parse_object(signed.bytes()).map_err(|fault| fault_response(&fault))?;
    let member_of = if authorised_here(&object, &*Config::of(world)?) {
        lets_in(world, &room_id, &object).await?
    } else {
        Vec::new()
    };
    let event = verified(world, version, object).await?;
    if event.event_id != event_id {
        return Err(invalid_param("The event is not the one named"));
    }
    let origin = signed.origin.clone();
    let accept = Accept { origin, membership, event, member_of, by_number: true };
    let accepted = world.ask(&room_object(&room_id), &accept).await?;
    tell::tell_locals(world, &room_id).await;
    Ok(accepted)
}

/// Verifies the event, with our signature added if one of our users authorises the join. The room returns it only if it
/// accepts it, so our signature leaves this server on no other event.
async fn verified(
    world: &World,
    version: &'static RoomVersion,
    mut object: CanonicalJsonObject,
) -> Result<Checked> {
    let config = Config::of(world)?;
    if authorised_here(&object, &config) {
        config.signing_key.sign_event(version, &mut object, config.server_name.as_str());
    }
    let raw = RawValue::from_string(canonical_json::to_string(&object))?;
    let mut verdicts = verify::verify(world, [(version, &*raw)]).await;
    verdicts.pop().ok_or_else(|| invalid_param("There is no event"))?.map_err(Into::into)
}

/// Whether this is a restricted join in the name of one of our users.
fn authorised_here(event: &CanonicalJsonObject, config: &Config) -> bool {
    let content = event.get("content").and_then(CanonicalJsonValue::as_object);
    let authoriser =
        content.and_then(|content| content.get("join_authorised_via_users_server")?.as_str());
    let authoriser = authoriser.and_then(|user| UserId::parse(user).ok());
    authoriser.is_some_and(|user| user.server_name() == config.server_name)
}

/// The rooms of a restricted join rule that the sender is joined to, as far as this server knows.
async fn lets_in(
    world: &World,
    room_id: &RoomId,
    event: &CanonicalJsonObject,
) -> Result<Vec<OwnedRoomId>> {
    let sender = event.get("sender").and_then(CanonicalJsonValue::as_str);
    let Some(sender) = sender.and_then(|sender| UserId::parse(sender).ok()) else {
        return Ok(Vec::new());
    };
    let description = world.ask(&room_object(room_id), &Describe {}).await?;
    Ok(member_of(world, &sender, &description.allow_rooms).await?.joined)
}
