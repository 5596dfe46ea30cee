//! What does an application service ask of its homeserver alone?
//! ([ping](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1appserviceappserviceidping))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;

use crate::{
    error::{Result, forbidden, missing_token},
    flows::appservices::{ping, registrations},
    http::{
        auth,
        endpoint::{json_body_if_any, json_response},
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

const PING: &str = "/_matrix/client/v1/appservice/{appserviceId}/ping";

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, PING, ping);
}

#[derive(Default, Deserialize)]
struct Asked {
    transaction_id: Option<String>,
}

/// A page: ruma's type has the caller be a user, and here it is the service that has the token.
async fn ping(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    let token = auth::token(&request).ok_or_else(missing_token)?;
    let Some(service) = registrations::by_token(&world, &token).await? else {
        auth::session(&world, &request, Cost::Free).await?;
        return Err(forbidden("This is not the token of an application service"));
    };
    if service.id() != id {
        return Err(forbidden("This is the token of another application service"));
    }
    let asked: Asked = json_body_if_any(&request)?;
    let took = ping::ping(&world, &service, asked.transaction_id.as_deref()).await?;
    json_response(StatusCode::OK, &json!({ "duration_ms": took }))
}
