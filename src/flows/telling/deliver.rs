//! How are events and EDUs delivered to another server?
//! ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))
//!
//! A destination's alarm runs this flow: it sends one transaction at a time, and asks the rooms for the events just
//! before, until nothing is owed or the server fails.

use ruma::{OwnedRoomId, OwnedServerName};
use serde_json::{Value, value::RawValue};
use tombolo_platform::{Address, AskError, Fault, World};

use crate::{
    config::Config,
    objects::{
        destination::{
            DestinationClass,
            messages::{Batch, Delivered, Failed, MAX_PDUS, NextBatch},
        },
        room::messages::{Outbound, Position},
        room_object,
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
        failing, resolve,
    },
};

/// How many transactions one alarm sends before it is armed anew: no alarm runs for ever.
const TRANSACTIONS: usize = 20;
/// If the back-off has grown to this length (ms), the server's address is looked up anew: it may have moved.
const LOOKED_UP_AFTER: u64 = 3_600_000;
/// How soon a room that did not answer is asked again (ms).
const AGAIN: u64 = 1_000;

/// Sends what is owed; answers when to come again (ms).
pub async fn deliver(
    world: World,
    address: Address<DestinationClass>,
) -> Result<Option<u64>, Fault> {
    for _ in 0..TRANSACTIONS {
        let batch = ask(world.ask(&address, &NextBatch {}).await)?;
        let Some(server) = batch.server.clone() else { return Ok(batch.next) };
        let Ok((pdus, rooms)) = gather(&world, &server, &batch).await else {
            return Ok(Some(world.now() + AGAIN));
        };
        // The destination's own back-off says when this server is tried: the resolver's must not delay it.
        resolve::forgive(&world, &server);
        let began = Some(world.now());
        if (!pdus.is_empty() || !batch.edus.is_empty())
            && let Err(error) = send(&world, &server, &batch, &pdus).await
        {
            tracing::info!(%server, %error, "a transaction failed");
            failing::note(&world, &server);
            let retry_at = ask(world.ask(&address, &Failed { began }).await)?;
            if retry_at.saturating_sub(world.now()) >= LOOKED_UP_AFTER {
                resolve::doubt(&world, &server).await;
            }
            return Ok(Some(retry_at));
        }
        let edus = batch.edus.iter().map(|(id, _)| *id).collect();
        if ask(world.ask(&address, &Delivered { rooms, edus }).await)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(world.now()))
}

/// Reads the owed events from their rooms, as many as fit; returns the events, and up to which position of each room
/// they reach.
async fn gather(
    world: &World,
    server: &OwnedServerName,
    batch: &Batch,
) -> Result<(Vec<Box<RawValue>>, Vec<(OwnedRoomId, Position)>), String> {
    let (mut pdus, mut rooms) = (Vec::new(), Vec::new());
    for (room_id, from, to) in &batch.rooms {
        let left = MAX_PDUS - pdus.len();
        if left == 0 {
            break;
        }
        let limit = u32::try_from(left).unwrap_or_default();
        let outbound = Outbound { server: server.clone(), from: *from, to: *to, limit };
        match world.ask(&room_object(room_id), &outbound).await {
            Ok(reply) => {
                pdus.extend(reply.events);
                rooms.push((room_id.clone(), reply.upto));
            }
            // A room that is gone owes nothing.
            Err(AskError::Refused(_)) => rooms.push((room_id.clone(), *to)),
            Err(AskError::Unreachable(cause)) => return Err(cause),
        }
    }
    Ok((pdus, rooms))
}

/// Sends a batch. A server that finds it malformed or too large may mean a single EDU, and would get nothing any more;
/// nor would it where we cannot write one of them. Each is sent alone then, and dropped where that fails, too.
async fn send(
    world: &World,
    server: &OwnedServerName,
    batch: &Batch,
    pdus: &[Box<RawValue>],
) -> Result<(), RemoteError> {
    let edus: Vec<&RawValue> = batch.edus.iter().map(|(_, edu)| &**edu).collect();
    match transact(world, server, (&batch.txn_id, pdus, &edus)).await {
        Err(error) if is_of_content(&error) && !edus.is_empty() => {
            transact(world, server, (&format!("{}-", batch.txn_id), pdus, &[])).await?;
            for (index, edu) in edus.iter().enumerate() {
                let txn_id = format!("{}-{index}", batch.txn_id);
                match transact(world, server, (&txn_id, &[], &[edu])).await {
                    Err(error) if is_of_content(&error) => {
                        tracing::warn!(%server, %error, "an EDU cannot be sent, and is dropped");
                    }
                    sent => sent?,
                }
            }
            Ok(())
        }
        sent => sent,
    }
}

/// Whether the fault may lie in what is sent. Where nothing can be sent to the server, the transaction without EDUs says it.
fn is_of_content(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Answered { status: 400 | 413, .. } | RemoteError::Refused(_))
}

/// Sends one transaction.
async fn transact(
    world: &World,
    server: &OwnedServerName,
    (txn_id, pdus, edus): (&str, &[Box<RawValue>], &[&RawValue]),
) -> Result<(), RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    let (origin, origin_server_ts) = (&*config.server_name, world.now());
    let edus = edus.to_vec();
    let body = client::content(&api::Transaction { origin, origin_server_ts, pdus, edus })?;
    let path = api::send(txn_id);
    let answer: Value = client::ask(world, server, Ask::put(&path, &body)).await?;
    // The server's verdict on a single event is its own: no event is sent again because of it.
    for (event, result) in answer["pdus"].as_object().into_iter().flatten() {
        if let Some(error) = result["error"].as_str() {
            tracing::debug!(%server, %event, error, "the server did not take an event");
        }
    }
    Ok(())
}

fn ask<T, R: std::fmt::Debug>(answer: Result<T, AskError<R>>) -> Result<T, Fault> {
    answer.map_err(|error| Fault(format!("{error:?}")))
}
