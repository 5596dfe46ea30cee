//! Which build answers? ([version API], as Synapse has it)
//!
//! [version API]: https://element-hq.github.io/synapse/latest/admin_api/version_api.html

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use tombolo_platform::World;

use crate::{
    error::Result,
    http::{endpoint::json_response, router::Router},
};

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_synapse/admin/v1/server_version", version);
}

async fn version(_: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let version = concat!("Tombolo ", env!("CARGO_PKG_VERSION"));
    json_response(StatusCode::OK, &json!({ "server_version": version }))
}
