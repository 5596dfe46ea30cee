//! How does history get below what we hold?
//! ([backfilling](https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events))

use ruma::{OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;

use super::{
    receive::{encode, version},
    room,
    verify::verified,
};
use crate::{
    error::Result,
    objects::room::messages::{Hole, Outcome, Purpose, Receive, Received},
    remote::{
        RemoteError,
        client::{self, Ask},
    },
};

/// How many events are asked for.
const LIMIT: usize = 100;
/// How many servers are tried.
const MAX_SERVERS: usize = 5;

#[derive(Deserialize)]
struct Events {
    pdus: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct AuthChain {
    auth_chain: Vec<Box<RawValue>>,
}

/// Fills a hole from one of the servers in the room; answers whether anything came.
pub async fn backfill(world: &World, room_id: &RoomId, hole: &Hole) -> Result<bool> {
    for server in hole.servers.iter().take(MAX_SERVERS) {
        match fill(world, room_id, hole, server).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => tracing::info!(%server, %error, "no history from there"),
        }
    }
    Ok(false)
}

async fn fill(
    world: &World,
    room_id: &RoomId,
    hole: &Hole,
    server: &OwnedServerName,
) -> std::result::Result<bool, RemoteError> {
    let wanted: Vec<String> =
        hole.below.iter().map(|id| format!("v={}", encode(id.as_str()))).collect();
    let path = format!(
        "/_matrix/federation/v1/backfill/{}?{}&limit={LIMIT}",
        encode(room_id.as_str()),
        wanted.join("&")
    );
    let events: Events = client::ask(world, server, Ask::get(&path)).await?;
    let received = give(world, room_id, server, Purpose::Backfill, &events.pdus).await?;
    let came = any(&received);
    let Some(lack) = received.lacking.first() else { return Ok(came) };
    let path = format!(
        "/_matrix/federation/v1/event_auth/{}/{}",
        encode(room_id.as_str()),
        encode(lack.event_id.as_str())
    );
    let chain: AuthChain = client::ask(world, server, Ask::get(&path)).await?;
    give(world, room_id, server, Purpose::Outlier, &chain.auth_chain).await?;
    let again = give(world, room_id, server, Purpose::Backfill, &events.pdus).await?;
    Ok(came || any(&again))
}

fn any(received: &Received) -> bool {
    received.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted))
}

async fn give(
    world: &World,
    room_id: &RoomId,
    server: &OwnedServerName,
    purpose: Purpose,
    events: &[Box<RawValue>],
) -> std::result::Result<Received, RemoteError> {
    let ours = |error: String| RemoteError::Refused(error);
    let version = version(world, room_id).await.map_err(|error| ours(error.message))?;
    let version = version.ok_or_else(|| ours("the room is unknown here".to_owned()))?;
    let events = verified(world, version, events).await;
    let receive = Receive { origin: server.clone(), events, purpose };
    world.ask(&room(room_id), &receive).await.map_err(|error| ours(error.to_string()))
}
