//! What may another server read of our rooms?
//! ([retrieving events](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use http::Method;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName,
    api::federation::event::get_room_state_ids::v1 as state_ids,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::{AskError, Body, MAX_INTEGER, World};

use super::{lists::Lists, signed::Signed};
use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows,
    http::{arguments::Argument, router::Router},
    objects::{
        room::messages::{
            Asker, AuthChain, Backfill, EventById, EventByTime, MissingEvents, StateBefore,
        },
        room_object,
    },
    stores::room_servers,
};

/// How many rooms are asked at once whether they have an event.
const ROOMS_AT_ONCE: usize = 16;
/// The most rooms asked for one event: one request may make a thousand requests of its own.
const MAX_ROOMS: usize = 500;
/// How many earliest and how many latest events of `get_missing_events` are looked at.
const MAX_ENDS: usize = 20;

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, "/_matrix/federation/v1/event/{event_id}", event);
    router.federation_stream(&Method::GET, "/_matrix/federation/v1/state/{room_id}", state);
    router.endpoint::<state_ids::Request, _, _>(ids_of_state);
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
    router.federation(&Method::GET, "/_matrix/federation/v1/timestamp_to_event/{room_id}", by_time);
}

/// One event. The request names no room, so all rooms are asked that the origin is in.
async fn event(world: World, signed: Signed, event_id: OwnedEventId) -> Result<Pdus> {
    let rooms = room_servers::rooms_of(&world, &signed.origin).await?;
    let asker = Asker::Server(signed.origin.clone());
    let mut answers = stream::iter(rooms.into_iter().take(MAX_ROOMS))
        .map(|room_id| {
            let ask = EventById::of(event_id.clone(), asker.clone());
            let world = &world;
            async move { world.ask(&room_object(&room_id), &ask).await }
        })
        .buffer_unordered(ROOMS_AT_ONCE);
    let mut failure = not_found("No such event in a room you are in");
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(found) => return pdus(&world, vec![found]),
            Err(AskError::Refused(_)) => {}
            Err(unreachable) => failure = unreachable.into(),
        }
    }
    Err(failure)
}

/// The answer to `/state` beside its events: nothing.
#[derive(Serialize)]
struct State {}

/// The state before an event.
async fn state(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Body> {
    let ask = StateBefore {
        event_id: signed.parameter("event_id")?,
        origin: signed.origin.clone(),
        bodies: false,
        by_number: true,
    };
    let numbers = world.ask(&room_object(&room_id), &ask).await?.numbers;
    Ok(Lists::new(&world, &room_id, &State {}, ["pdus", "auth_chain"], numbers)?.body())
}

async fn ids_of_state(
    world: World,
    signed: Signed,
    request: state_ids::Request,
) -> Result<state_ids::Response> {
    let (event_id, origin) = (request.event_id, signed.origin);
    let ask = StateBefore { event_id, origin, bodies: false, by_number: false };
    let reply = world.ask(&room_object(&request.room_id), &ask).await?;
    Ok(state_ids::Response::new(reply.auth_chain, reply.state))
}

#[derive(Serialize)]
struct Chain {
    auth_chain: Vec<Box<RawValue>>,
}

async fn event_auth(
    world: World,
    signed: Signed,
    (room_id, event_id): (OwnedRoomId, OwnedEventId),
) -> Result<Chain> {
    let ask = AuthChain { event_id, origin: signed.origin };
    let auth_chain = world.ask(&room_object(&room_id), &ask).await?;
    Ok(Chain { auth_chain })
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

#[derive(Serialize)]
struct Missing {
    events: Vec<Box<RawValue>>,
}

async fn missing_events(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Missing> {
    let Between { mut earliest_events, mut latest_events, limit, min_depth } = signed.body()?;
    earliest_events.truncate(MAX_ENDS);
    latest_events.truncate(MAX_ENDS);
    let origin = signed.origin.clone();
    let ask = MissingEvents {
        origin,
        earliest: earliest_events,
        latest: latest_events,
        limit,
        min_depth,
    };
    let events = world.ask(&room_object(&room_id), &ask).await?;
    Ok(Missing { events })
}

async fn backfill(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Pdus> {
    let from = signed.all("v").into_iter().map(OwnedEventId::read).collect::<Result<Vec<_>>>()?;
    let ask = Backfill { origin: signed.origin.clone(), from, limit: signed.parameter("limit")? };
    let events = world.ask(&room_object(&room_id), &ask).await?;
    pdus(&world, events)
}

#[derive(Serialize)]
struct Sent {
    event_id: OwnedEventId,
    origin_server_ts: i64,
}

/// The event closest to a time, of those that are held here.
async fn by_time(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Sent> {
    let ts: i64 = signed.parameter("ts")?;
    let backwards = match signed.parameter::<String>("dir")?.as_str() {
        "b" => true,
        "f" => false,
        _ => return Err(invalid_param("dir is neither f nor b")),
    };
    if ts.unsigned_abs() >= MAX_INTEGER.unsigned_abs() {
        return Err(invalid_param("ts is no time"));
    }
    let asker = Asker::Server(signed.origin.clone());
    let ask = EventByTime { asker, ignored: BTreeSet::new(), ts, backwards, after: None };
    let found = flows::by_time::for_server(&world, &room_id, &ask).await?;
    let (event_id, origin_server_ts) = found.ok_or_else(|| not_found("No event was sent then"))?;
    Ok(Sent { event_id, origin_server_ts })
}

/// Events, in the shape of a transaction.
#[derive(Serialize)]
struct Pdus {
    origin: OwnedServerName,
    origin_server_ts: u64,
    pdus: Vec<Box<RawValue>>,
}

fn pdus(world: &World, pdus: Vec<Box<RawValue>>) -> Result<Pdus> {
    let origin = Config::of(world)?.server_name.clone();
    Ok(Pdus { origin, origin_server_ts: world.now(), pdus })
}
