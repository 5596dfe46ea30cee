//! From where was an account used?
//! ([`/admin/whois`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid))
//!
//! Of a device is kept when it was seen last. Neither its address nor its program is kept, so neither is told.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde_json::{Map, Value, json};
use tombolo_platform::World;

use super::{devices_of, is_admin, local_account};
use crate::{
    error::{Result, forbidden},
    http::{auth, endpoint::json_response, router::Router},
    objects::user_sync::messages::{Cost, Device},
};

/// The specification's paths, and Synapse's.
const PATHS: [&str; 3] = [
    "/_matrix/client/v3/admin/whois/{user_id}",
    "/_matrix/client/r0/admin/whois/{user_id}",
    "/_synapse/admin/v1/whois/{user_id}",
];

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::GET, path, whois);
    }
}

async fn whois(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    if caller.user != user && !is_admin(&world, &caller).await? {
        return Err(forbidden("You are not a server admin"));
    }
    local_account(&world, &user).await?;
    let devices: Map<String, Value> =
        devices_of(&world, &user).await?.into_iter().map(shown).collect();
    json_response(StatusCode::OK, &json!({ "user_id": user, "devices": devices }))
}

fn shown(device: Device) -> (String, Value) {
    let seen = device.last_seen_ts.map(|seen| json!({ "last_seen": seen }));
    let connections = Vec::from_iter(seen);
    (device.device_id, json!({ "sessions": [{ "connections": connections }] }))
}
