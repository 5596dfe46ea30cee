//! What may another server read of our rooms?
//! ([retrieving events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))

use futures_util::{StreamExt, stream};
use http::Method;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows::room,
    http::router::Router,
    objects::room::messages::{Asker, AuthChain, Backfill, EventById, MissingEvents, StateBefore},
    stores::room_servers,
};

/// How many rooms are asked at once whether an event is theirs.
const ROOMS_AT_ONCE: usize = 16;

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, "/_matrix/federation/v1/event/{event_id}", event);
    router.federation(&Method::GET, "/_matrix/federation/v1/state/{room_id}", state);
    router.federation(&Method::GET, "/_matrix/federation/v1/state_ids/{room_id}", state_ids);
    router.federation(
        &Method::GET,
        "/_matrix/federation/v1/event_auth/{room_id}/{event_id}",
        event_auth,
    );
    router.federation(
        &Method::POST,
        "/_matrix/federation/v1/get_missing_events/{room_id}",
        missing_events,
    );
    router.federation(&Method::GET, "/_matrix/federation/v1/backfill/{room_id}", backfill);
}

/// The room's ID of a path.
pub fn room_id(argument: &str) -> Result<OwnedRoomId> {
    RoomId::parse(argument).map_err(|_| invalid_param("The room ID has no form"))
}

/// The event's ID of a path.
pub fn event_id(argument: &str) -> Result<OwnedEventId> {
    EventId::parse(argument).map_err(|_| invalid_param("The event ID has no form"))
}

/// One event. The request names no room, so the rooms the asker is in are asked.
async fn event(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let event_id = event_id(&arguments[0])?;
    let rooms = room_servers::rooms_of(&world, &signed.origin).await?;
    let asker = Asker::Server(signed.origin.clone());
    let mut answers = stream::iter(rooms)
        .map(|room_id| {
            let ask = EventById { event_id: event_id.clone(), asker: asker.clone(), device: None };
            let world = &world;
            async move { world.ask(&room(&room_id), &ask).await.ok() }
        })
        .buffer_unordered(ROOMS_AT_ONCE);
    while let Some(answer) = answers.next().await {
        if let Some(found) = answer {
            return pdus(&world, &[found]);
        }
    }
    Err(not_found("No such event in a room you are in"))
}

async fn state(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let ask = StateBefore {
        event_id: signed.parameter("event_id")?,
        origin: signed.origin.clone(),
        bodies: true,
    };
    let reply = world.ask(&room(&room_id(&arguments[0])?), &ask).await?;
    Ok(json!({ "pdus": reply.state_bodies, "auth_chain": reply.auth_chain_bodies }))
}

async fn state_ids(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let ask = StateBefore {
        event_id: signed.parameter("event_id")?,
        origin: signed.origin.clone(),
        bodies: false,
    };
    let reply = world.ask(&room(&room_id(&arguments[0])?), &ask).await?;
    Ok(json!({ "pdu_ids": reply.state, "auth_chain_ids": reply.auth_chain }))
}

async fn event_auth(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let ask = AuthChain { event_id: event_id(&arguments[1])?, origin: signed.origin.clone() };
    let auth_chain = world.ask(&room(&room_id(&arguments[0])?), &ask).await?;
    Ok(json!({ "auth_chain": auth_chain }))
}

#[derive(Deserialize)]
struct Between {
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
    #[serde(default = "ten")]
    limit: u32,
    #[serde(default)]
    min_depth: u64,
}

fn ten() -> u32 {
    10
}

async fn missing_events(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let Between { earliest_events, latest_events, limit, min_depth } = signed.body()?;
    let origin = signed.origin.clone();
    let ask = MissingEvents {
        origin,
        earliest: earliest_events,
        latest: latest_events,
        limit,
        min_depth,
    };
    let events = world.ask(&room(&room_id(&arguments[0])?), &ask).await?;
    Ok(json!({ "events": events }))
}

async fn backfill(world: World, signed: Signed, arguments: Vec<String>) -> Result<Value> {
    let from = signed.all("v").into_iter().map(event_id).collect::<Result<Vec<_>>>()?;
    let ask = Backfill { origin: signed.origin.clone(), from, limit: signed.parameter("limit")? };
    let events = world.ask(&room(&room_id(&arguments[0])?), &ask).await?;
    pdus(&world, &events)
}

/// Events, in the shape of a transaction.
fn pdus(world: &World, events: &[Box<RawValue>]) -> Result<Value> {
    let origin = &Config::of(world)?.server_name;
    Ok(json!({ "origin": origin, "origin_server_ts": world.now(), "pdus": events }))
}
