//! What does another server send us? ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))

use http::Method;
use serde_json::Value;
use tombolo_platform::World;

use super::signed::Signed;
use crate::{error::Result, flows::receive, http::router::Router};

pub fn routes(router: &mut Router) {
    router.federation(&Method::PUT, "/_matrix/federation/v1/send/{txn_id}", send);
}

async fn send(world: World, signed: Signed, _: ()) -> Result<Value> {
    receive::receive(&world, &signed.origin, signed.body()?).await
}
