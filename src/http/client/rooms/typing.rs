//! How does a client say that its user is typing?
//! ([typing notifications](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;

use super::ask_room;
use crate::{
    error::Result,
    flows::telling::tell,
    http::{
        auth,
        client::must_be,
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::{room::messages, user_sync::messages::Cost},
};

const PATHS: [&str; 2] = [
    "/_matrix/client/v3/rooms/{room_id}/typing/{user_id}",
    "/_matrix/client/r0/rooms/{room_id}/typing/{user_id}",
];

/// The longest time for which one request says that a user is typing (ms).
const LONGEST: u64 = 120_000;

/// The time for a request that names none (ms).
const USUAL: u64 = 30_000;

#[derive(Deserialize)]
struct Typing {
    typing: bool,
    timeout: Option<u64>,
}

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::PUT, path, typing);
    }
}

/// Read without ruma's type: `timeout` may be absent.
async fn typing(
    world: World,
    request: Request<Bytes>,
    (room_id, user_id): (OwnedRoomId, OwnedUserId),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user_id)?;
    let told: Typing = json_body(&request)?;
    let until = told.typing.then(|| world.now() + told.timeout.unwrap_or(USUAL).min(LONGEST));
    let user = caller.user.clone();
    let now = ask_room(&world, &room_id, &messages::Typing { user, until }).await?;
    tell::tell_typing(&world, &room_id, &now).await;
    tell::tell_servers_typing(&world, &room_id, &caller.user, until.is_some(), now.servers).await;
    json_response(StatusCode::OK, &json!({}))
}
