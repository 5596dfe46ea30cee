//! What does an operator learn of rooms, and what do they do with them? ([room admin API], as Synapse has it)
//!
//! There are no numbers of states, and it is not kept when an event came: forward extremities are told without these.
//!
//! [room admin API]: https://element-hq.github.io/synapse/latest/admin_api/rooms.html

mod blocking;
mod deletion;
mod list;
mod members;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, RoomId};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::{admin, devices_of, if_used, must_be_admin};
use crate::{
    error::{Error, Result, invalid_param, not_found},
    http::{
        auth::user_object, client::rooms::aliases, endpoint::json_response, query, router::Router,
    },
    objects::{
        room::messages::{
            Extremities, JoinedMembers, Overview, OverviewReply, Refusal, WholeState,
        },
        room_object,
        user_sync::messages::Forgotten,
    },
};

const ONE: &str = "/_synapse/admin/v1/rooms/{room_id}";
const MEMBERS: &str = "/_synapse/admin/v1/rooms/{room_id}/members";
const STATE: &str = "/_synapse/admin/v1/rooms/{room_id}/state";
const EXTREMITIES: &str = "/_synapse/admin/v1/rooms/{room_id}/forward_extremities";

/// How many users are asked at once.
const AT_ONCE: usize = 20;
/// Of how many local users of a room their objects are asked.
const MOST_ASKED: usize = 400;

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ONE, show);
    router.page(&Method::GET, MEMBERS, joined);
    router.page(&Method::GET, STATE, state);
    router.page(&Method::GET, EXTREMITIES, extremities);
    list::routes(router);
    blocking::routes(router);
    deletion::routes(router);
    members::routes(router);
}

async fn show(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let overview = world.ask(&room_object(&room_id), &Overview { locals: true }).await;
    let overview = overview.map_err(unknown)?;
    let mut shown = shown(&room_id, &overview)?;
    // Of each local user an object is asked: of very many that is more than one request may do.
    let (devices, forgotten) = match overview.locals.len() <= MOST_ASKED {
        true => {
            let forgotten = is_forgotten(&world, &room_id, &overview).await?;
            (Some(count_devices(&world, &overview).await?), Some(forgotten))
        }
        false => (None, None),
    };
    let more = [
        ("topic", json!(overview.topic)),
        ("avatar", json!(overview.avatar)),
        ("joined_local_devices", json!(devices)),
        ("forgotten", json!(forgotten)),
        ("tombstoned", json!(overview.tombstoned)),
        ("replacement_room", json!(overview.replacement_room)),
    ];
    shown.extend(more.map(|(name, value)| (name.to_owned(), value)));
    json_response(StatusCode::OK, &shown)
}

/// How many devices the local users have who are in the room.
async fn count_devices(world: &World, overview: &OverviewReply) -> Result<usize> {
    let joined = overview.locals.iter().filter(|(_, membership)| *membership == Membership::Join);
    let counts = stream::iter(joined)
        .map(|(user, _)| async { Ok::<_, Error>(devices_of(world, user).await?.len()) });
    let sum = |all: usize, some| async move { Ok(all.saturating_add(some)) };
    counts.buffer_unordered(AT_ONCE).try_fold(0, sum).await
}

/// Whether every local user has left the room and forgotten it.
async fn is_forgotten(world: &World, room_id: &RoomId, overview: &OverviewReply) -> Result<bool> {
    let is_out = |(_, membership): &(_, Membership)| membership.is_out();
    if !overview.locals.iter().all(is_out) {
        return Ok(false);
    }
    let forgotten = |user| async move {
        let ask = Forgotten { room_id: room_id.to_owned() };
        if_used(world.ask(&user_object(user), &ask).await)
    };
    let forgotten = stream::iter(&overview.locals).map(|(user, _)| forgotten(user));
    forgotten.buffer_unordered(AT_ONCE).try_all(|forgotten| async move { forgotten }).await
}

async fn joined(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let members = world.ask(&room_object(&room_id), &JoinedMembers {}).await;
    let members = members.map_err(unknown)?;
    json_response(StatusCode::OK, &json!({ "members": members, "total": members.len() }))
}

#[derive(serde::Serialize)]
struct Shown {
    state: Vec<Box<RawValue>>,
}

async fn state(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let user = admin(&world, &request).await?.user;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let event_type = query::first(&pairs, "type").filter(|kind| !kind.is_empty());
    let ask = WholeState { user, event_type: event_type.map(ToOwned::to_owned) };
    let state = world.ask(&room_object(&room_id), &ask).await;
    let state = state.map_err(unknown)?;
    json_response(StatusCode::OK, &Shown { state })
}

async fn extremities(
    world: World,
    request: Request<Bytes>,
    room: String,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let (room_id, _) = resolve(&world, &room).await?;
    let found = match world.ask(&room_object(&room_id), &Extremities {}).await {
        Ok(found) => found,
        Err(AskError::Refused(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let shown: Vec<Value> = found
        .iter()
        .map(|found| {
            let depth = found.depth;
            json!({ "event_id": found.event_id, "depth": depth, "state_group": null, "received_ts": null })
        })
        .collect();
    json_response(StatusCode::OK, &json!({ "count": shown.len(), "results": shown }))
}

/// The room that a path names by its ID or an alias, and servers through which it may be joined.
async fn resolve(world: &World, room: &str) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
    if let Ok(room_id) = RoomId::parse(room) {
        return Ok((room_id, Vec::new()));
    }
    let alias = RoomAliasId::parse(room);
    let alias = alias.map_err(|_| invalid_param("This is neither a room ID nor an alias"))?;
    let found = aliases::resolve(world, &alias).await?;
    let found = found.ok_or_else(|| not_found("There is no such alias"))?;
    Ok((found.room_id, found.servers))
}

/// What a list tells of a room.
fn shown(room_id: &RoomId, overview: &OverviewReply) -> Result<Map<String, Value>> {
    let mut shown: Map<String, Value> =
        serde_json::from_value(serde_json::to_value(&overview.known)?)?;
    let more = [
        ("room_id", json!(room_id)),
        ("joined_members", json!(overview.joined_members)),
        ("joined_local_members", json!(overview.joined_local_members)),
        ("state_events", json!(overview.state_events)),
    ];
    shown.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Ok(shown)
}

/// How it is said that a room is not known.
fn unknown(error: AskError<Refusal>) -> Error {
    match error {
        AskError::Refused(_) => not_found("Room not found"),
        error => error.into(),
    }
}
