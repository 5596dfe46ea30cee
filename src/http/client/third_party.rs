//! What do clients ask about the networks that application services bridge to?
//! ([third-party networks](https://spec.matrix.org/v1.19/client-server-api/#third-party-networks))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tombolo_platform::World;

use crate::{
    error::{Result, missing_param, not_found},
    flows::appservices::third_party::{self, Kind},
    http::{auth, endpoint::json_response, masquerade::DEVICES, query, router::Router},
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    for version in ["v3", "r0"] {
        let at = |path: &str| format!("/_matrix/client/{version}/thirdparty/{path}");
        router.page(&Method::GET, &at("protocols"), protocols);
        router.page(&Method::GET, &at("protocol/{protocol}"), protocol);
        router.page(&Method::GET, &at("user"), |world, request, (): ()| {
            find(world, request, Kind::User, None)
        });
        router.page(&Method::GET, &at("location"), |world, request, (): ()| {
            find(world, request, Kind::Location, None)
        });
        router.page(&Method::GET, &at("user/{protocol}"), |world, request, protocol: String| {
            find(world, request, Kind::User, Some(protocol))
        });
        router.page(
            &Method::GET,
            &at("location/{protocol}"),
            |world, request, protocol: String| find(world, request, Kind::Location, Some(protocol)),
        );
    }
}

async fn protocols(world: World, request: Request<Bytes>, (): ()) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    json_response(StatusCode::OK, &third_party::protocols(&world, None).await?)
}

async fn protocol(
    world: World,
    request: Request<Bytes>,
    protocol: String,
) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    let found = third_party::protocols(&world, Some(&protocol)).await?.remove(&protocol);
    let found = found.ok_or_else(|| not_found("No application service serves this protocol"))?;
    json_response(StatusCode::OK, &found)
}

async fn find(
    world: World,
    request: Request<Bytes>,
    kind: Kind,
    protocol: Option<String>,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Search).await?;
    let mut fields = query::pairs(request.uri().query().unwrap_or_default());
    // An application service says so as whom it asks.
    let is_of_service = |name: &str| name == "user_id" || DEVICES.contains(&name);
    let is_for_us =
        |name: &str| name == "access_token" || caller.appservice.is_some() && is_of_service(name);
    fields.retain(|(name, _)| !is_for_us(name));
    let required = kind.of_matrix();
    if protocol.is_none() && query::first(&fields, required).is_none() {
        return Err(missing_param(format!("`{required}` is missing")));
    }
    let found = third_party::find(&world, kind, protocol.as_deref(), &fields).await?;
    if found.is_empty() {
        return Err(not_found("No application service knows of one"));
    }
    json_response(StatusCode::OK, &found)
}
