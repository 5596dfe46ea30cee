//! With which servers is this one in rooms, and which of them fail? ([federation API], as Synapse's admin API has it)
//!
//! For a server that fails we keep since when it fails and when it is tried again (`retry_at`), but not when it was tried
//! last. Only the server's own object knows whether it fails, so every order of the list is the order of the names.
//! `last_successful_stream_ordering` is `null`: no one order has the events of all rooms.
//!
//! [federation API]: https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html

#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedServerName;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{
    must_be_admin,
    paging::{Paging, note_next},
};
use crate::{
    config::Config,
    error::{Error, Result, not_found},
    http::{endpoint::json_response, router::Router},
    objects::{
        destination::messages::{Reset, State, StateReply},
        destination_object,
    },
    stores::room_servers,
};

const ALL: &str = "/_synapse/admin/v1/federation/destinations";
const ONE: &str = "/_synapse/admin/v1/federation/destinations/{server}";
const ROOMS: &str = "/_synapse/admin/v1/federation/destinations/{server}/rooms";
const RESET: &str = "/_synapse/admin/v1/federation/destinations/{server}/reset_connection";

/// How many items a page has at most.
const MOST: u32 = 500;
/// How many servers' objects are asked at once.
const AT_ONCE: usize = 20;

const ORDERS: [&str; 5] = [
    "destination",
    "retry_last_ts",
    "retry_interval",
    "failure_ts",
    "last_successful_stream_ordering",
];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ALL, list);
    router.page(&Method::GET, ONE, show);
    router.page(&Method::GET, ROOMS, rooms);
    router.page(&Method::POST, RESET, reset);
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let paging = Paging::of(request.uri().query());
    let (page, backwards) = (paging.page(MOST)?, paging.backwards()?);
    paging.order(&ORDERS, "destination")?;
    let own = &Config::of(&world)?.server_name;
    let term = paging.first("destination").map(str::to_lowercase);
    let wanted = (term.as_deref(), backwards);
    let (servers, total) =
        room_servers::others(&world, own, wanted, (page.from, page.limit)).await?;
    let shown = stream::iter(servers).map(|server| {
        let world = &world;
        async move {
            let state = world.ask(&destination_object(&server), &State {}).await?;
            Ok::<_, Error>(shown(&server, state))
        }
    });
    let shown: Vec<Value> = shown.buffered(AT_ONCE).try_collect().await?;
    let mut answer = json!({ "total": total });
    note_next(&mut answer, page.next(shown.len(), total).map(|next| next.to_string()));
    answer["destinations"] = json!(shown);
    json_response(StatusCode::OK, &answer)
}

async fn show(
    world: World,
    request: Request<Bytes>,
    server: OwnedServerName,
) -> Result<Response<Bytes>> {
    let state = known(&world, &request, &server).await?;
    json_response(StatusCode::OK, &shown(&server, state))
}

async fn rooms(
    world: World,
    request: Request<Bytes>,
    server: OwnedServerName,
) -> Result<Response<Bytes>> {
    known(&world, &request, &server).await?;
    let paging = Paging::of(request.uri().query());
    let (page, backwards) = (paging.page(MOST)?, paging.backwards()?);
    let (found, total) =
        room_servers::page_of(&world, &server, backwards, (page.from, page.limit)).await?;
    let shown: Vec<Value> =
        found.iter().map(|room| json!({ "room_id": room, "stream_ordering": null })).collect();
    let mut answer = json!({ "rooms": shown, "total": total });
    note_next(&mut answer, page.next(shown.len(), total).map(|next| next.to_string()));
    json_response(StatusCode::OK, &answer)
}

/// Has the server tried again now.
async fn reset(
    world: World,
    request: Request<Bytes>,
    server: OwnedServerName,
) -> Result<Response<Bytes>> {
    known(&world, &request, &server).await?;
    if !world.ask(&destination_object(&server), &Reset {}).await? {
        let message = "The retry timing does not need to be reset for this destination.";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
    }
    json_response(StatusCode::OK, &json!({}))
}

/// How it stands with a server, of which an operator asks. It is known where it was ever owed something, or is in a room.
async fn known(
    world: &World,
    request: &Request<Bytes>,
    server: &OwnedServerName,
) -> Result<StateReply> {
    must_be_admin(world, request).await?;
    let state = world.ask(&destination_object(server), &State {}).await?;
    let is_own = *server == Config::of(world)?.server_name;
    let is_known = state.known || room_servers::is_in_any(world, server).await?;
    if is_known && !is_own { Ok(state) } else { Err(not_found("Unknown destination")) }
}

fn shown(server: &OwnedServerName, state: StateReply) -> Value {
    let fails = state.failing_since.is_some();
    let unknown = if fails { Value::Null } else { json!(0) };
    json!({
        "destination": server,
        "retry_last_ts": unknown,
        "retry_interval": unknown,
        "retry_at": fails.then_some(state.retry_at),
        "failure_ts": state.failing_since,
        "last_successful_stream_ordering": null,
    })
}
