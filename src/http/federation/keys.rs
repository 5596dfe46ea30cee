//! What are our signing keys, and what runs here?
//! ([publishing keys](https://spec.matrix.org/v1.19/server-server-api/#publishing-keys))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use tombolo_platform::World;
use tombolo_protocol::{canonical_json::CanonicalJsonValue, server_keys};

use crate::{
    config::Config,
    error::Result,
    http::{endpoint::json_response, router::Router},
};

/// How long our keys may be believed without asking again (ms).
const VALID: u64 = 24 * 3600 * 1000;

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_matrix/key/v2/server", server);
    router.page(&Method::GET, "/_matrix/key/v2/server/{key_id}", server);
    router.page(&Method::GET, "/_matrix/federation/v1/version", version);
}

async fn server(world: World, _: Request<Bytes>, _: Vec<String>) -> Result<Response<Bytes>> {
    let config = Config::of(&world)?;
    let valid_until_ts = i64::try_from(world.now() + VALID).unwrap_or(i64::MAX);
    let keys = server_keys::publish(
        &config.server_name,
        &config.signing_key,
        &config.old_keys,
        valid_until_ts,
    );
    json_response(StatusCode::OK, &CanonicalJsonValue::Object(keys))
}

async fn version(_: World, _: Request<Bytes>, _: Vec<String>) -> Result<Response<Bytes>> {
    let version = json!({ "server": { "name": "Tombolo", "version": env!("CARGO_PKG_VERSION") } });
    json_response(StatusCode::OK, &version)
}
