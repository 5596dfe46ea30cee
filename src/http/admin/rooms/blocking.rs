//! How does an operator keep our users out of a room, known or not?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;

use super::{admin, must_be_admin};
use crate::{
    error::Result,
    http::{
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::{
        room::messages::{Block, BlockedBy},
        room_object,
    },
};

const BLOCK: &str = "/_synapse/admin/v1/rooms/{room_id}/block";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, BLOCK, is_blocked);
    router.page(&Method::PUT, BLOCK, set_blocked);
}

#[derive(Deserialize)]
struct Wanted {
    block: bool,
}

async fn is_blocked(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let shown = match world.ask(&room_object(&room_id), &BlockedBy {}).await? {
        Some(by) => json!({ "block": true, "user_id": by }),
        None => json!({ "block": false }),
    };
    json_response(StatusCode::OK, &shown)
}

async fn set_blocked(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let Wanted { block } = json_body(&request)?;
    let by = block.then_some(operator);
    world.ask(&room_object(&room_id), &Block { by }).await?;
    json_response(StatusCode::OK, &json!({ "block": block }))
}
