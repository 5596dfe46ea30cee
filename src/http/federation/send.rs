//! What does another server send us? ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))

use std::collections::BTreeMap;

use http::Method;
use ruma::OwnedEventId;
use serde::Serialize;
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    error::{Result, bad_json},
    flows::receive::{self, Transaction},
    http::router::Router,
    objects::{
        destination::messages::{MAX_EDUS, MAX_PDUS},
        room::messages::Outcome,
    },
};

pub fn routes(router: &mut Router) {
    router.federation(&Method::PUT, "/_matrix/federation/v1/send/{txn_id}", send);
}

/// What became of the events of a transaction.
#[derive(Serialize)]
struct Taken {
    pdus: BTreeMap<OwnedEventId, Processed>,
}

/// What became of one event.
#[derive(Serialize)]
struct Processed {
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn send(world: World, signed: Signed, _: ()) -> Result<Taken> {
    let transaction: Transaction = signed.body()?;
    if transaction.pdus.len() > MAX_PDUS || transaction.edus.len() > MAX_EDUS {
        return Err(bad_json("A transaction holds at most 50 PDUs and 100 EDUs"));
    }
    let outcomes = receive::receive(&world, &signed.origin, transaction).await?;
    let pdus = outcomes.into_iter().map(|(id, outcome)| (id, processed(outcome))).collect();
    Ok(Taken { pdus })
}

fn processed(outcome: Outcome) -> Processed {
    let error = match outcome {
        Outcome::Accepted | Outcome::SoftFailed(_) | Outcome::Known | Outcome::Parked => None,
        Outcome::Rejected(reason) | Outcome::Dropped(reason) => Some(reason),
    };
    Processed { error }
}
