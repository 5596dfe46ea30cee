//! What does another server send us? ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))

use http::Method;
use serde_json::Value;
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    error::{Result, bad_json},
    flows::receive::{self, Transaction},
    http::router::Router,
    objects::destination::messages::{MAX_EDUS, MAX_PDUS},
};

pub fn routes(router: &mut Router) {
    router.federation(&Method::PUT, "/_matrix/federation/v1/send/{txn_id}", send);
}

async fn send(world: World, signed: Signed, _: ()) -> Result<Value> {
    let transaction: Transaction = signed.body()?;
    if transaction.pdus.len() > MAX_PDUS || transaction.edus.len() > MAX_EDUS {
        return Err(bad_json("A transaction holds at most 50 PDUs and 100 EDUs"));
    }
    Ok(receive::receive(&world, &signed.origin, transaction).await?)
}
