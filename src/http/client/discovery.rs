//! What does this server offer?
//! ([API versions](https://spec.matrix.org/v1.19/client-server-api/#api-versions),
//! [capabilities](https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation))

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::api::client::discovery::{discover_homeserver, get_capabilities::v3 as get_capabilities};
use serde_json::json;
use tombolo_platform::World;
use tombolo_protocol::room_version::{DEFAULT, SUPPORTED, UNSTABLE};

use crate::{
    config::Config,
    error::{Result, not_found},
    http::{
        admin::is_admin,
        auth,
        endpoint::{json_response, paths_of},
        router::Router,
    },
    objects::user_sync::{MAX_SCHEDULED, messages::Cost},
};

/// The versions of the specification whose rules are followed, in the endpoints that are built.
const VERSIONS: &[&str] = &[
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11",
    "v1.12",
];

/// What clients may use of proposals, by the names that the proposals give: those that no version above has.
const FEATURES: &[&str] = &[
    "org.matrix.msc3391",
    "org.matrix.msc3890",
    "org.matrix.msc4155",
    "org.matrix.msc4380",
    "org.matrix.msc4380.stable",
    "org.matrix.simplified_msc3575",
    "uk.tcpip.msc4133.stable",
];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_matrix/client/versions", versions);
    for path in paths_of::<discover_homeserver::Request>() {
        router.page(&Method::GET, path, homeserver);
    }
    router.page(&Method::GET, "/.well-known/matrix/support", support);
    for path in paths_of::<get_capabilities::Request>() {
        router.page(&Method::GET, path, capabilities);
    }
}

// Not read by ruma's type, which refuses an invalid token: clients ask this before they log in anew.
async fn versions(world: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let mut features: BTreeMap<_, _> = FEATURES.iter().map(|name| (*name, true)).collect();
    features.insert("org.matrix.msc4306", Config::of(&world)?.thread_subscriptions);
    if Config::of(&world)?.max_event_delay.is_some() {
        features.insert("org.matrix.msc4140", true);
    }
    json_response(StatusCode::OK, &json!({ "versions": VERSIONS, "unstable_features": features }))
}

/// Not ruma's type, which has no word for dehydrated devices (MSC3814): Element uses them only where it finds it here.
async fn homeserver(world: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let base_url = Config::of(&world)?.public_baseurl.clone();
    let base_url = base_url.ok_or_else(|| not_found("This server has no public address"))?;
    let found = json!({ "m.homeserver": { "base_url": base_url }, "org.matrix.msc3814": true });
    json_response(StatusCode::OK, &found)
}

/// Whom to turn to. ([spec](https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport))
///
/// Not ruma's type, which takes a contact without any address.
async fn support(world: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let config = Config::of(&world)?;
    let support = config.support.as_ref();
    let support = support.ok_or_else(|| not_found("This server names nobody to turn to"))?;
    json_response(StatusCode::OK, support)
}

// Not written by ruma's type, which leaves out a capability that is as the specification lets clients assume.
async fn capabilities(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let stable = SUPPORTED.iter().map(|id| (id, "stable"));
    let unstable = UNSTABLE.iter().map(|id| (id, "unstable"));
    let available: BTreeMap<_, _> = stable.chain(unstable).collect();
    let mut capabilities = json!({
        "m.room_versions": { "default": DEFAULT, "available": available },
        "m.change_password": { "enabled": true },
        "m.get_login_token": { "enabled": true },
        "m.3pid_changes": { "enabled": false },
        "m.profile_fields": { "enabled": true },
    });
    if is_admin(&world, &caller).await? {
        capabilities["m.account_moderation"] = json!({ "suspend": true, "lock": true });
    }
    if let Some(most) = Config::of(&world)?.max_event_delay {
        let limits = json!({ "max_delay_ms": most, "max_scheduled": MAX_SCHEDULED });
        capabilities["org.matrix.msc4140.delayed_events"] = limits;
    }
    json_response(StatusCode::OK, &json!({ "capabilities": capabilities }))
}
