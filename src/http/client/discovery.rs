//! What does this server offer?
//! ([API versions](https://spec.matrix.org/v1.19/client-server-api/#api-versions),
//! [capabilities](https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation))

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    RoomVersionId,
    api::client::discovery::{
        discover_homeserver::{self, HomeserverInfo},
        get_capabilities::v3::{
            self as get_capabilities, Capabilities, RoomVersionStability, RoomVersionsCapability,
            ThirdPartyIdChangesCapability,
        },
    },
};
use serde_json::json;
use tombolo_platform::World;
use tombolo_protocol::room_version::{DEFAULT, SUPPORTED};

use crate::{
    config::Config,
    error::{Result, internal, not_found},
    http::{auth::Session, endpoint::json_response, rate_limit::Stranger, router::Router},
};

/// The versions of the specification whose rules are followed, in the endpoints that are built.
const VERSIONS: &[&str] = &[
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11",
    "v1.12",
];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_matrix/client/versions", versions);
    router.endpoint::<discover_homeserver::Request, _, _>(homeserver);
    router.endpoint::<get_capabilities::Request, _, _>(capabilities);
}

// Not read by ruma's type, which refuses an invalid token: clients ask this before they log in anew.
async fn versions(_: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    json_response(StatusCode::OK, &json!({ "versions": VERSIONS, "unstable_features": {} }))
}

async fn homeserver(
    world: World,
    _: Stranger,
    _: discover_homeserver::Request,
) -> Result<discover_homeserver::Response> {
    let config = Config::of(&world)?;
    let base_url = config
        .public_baseurl
        .clone()
        .ok_or_else(|| not_found("This server has no public address"))?;
    Ok(discover_homeserver::Response::new(HomeserverInfo::new(base_url)))
}

async fn capabilities(
    _: World,
    _: Session,
    _: get_capabilities::Request,
) -> Result<get_capabilities::Response> {
    let version = |id: &str| RoomVersionId::try_from(id).map_err(internal);
    let mut available = BTreeMap::new();
    for id in SUPPORTED {
        available.insert(version(id)?, RoomVersionStability::Stable);
    }
    let mut capabilities = Capabilities::new();
    capabilities.room_versions = RoomVersionsCapability::new(version(DEFAULT)?, available);
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    Ok(get_capabilities::Response::new(capabilities))
}
