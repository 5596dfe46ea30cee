//! How often may a user do something, by an operator's word?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{asked, if_used};
use crate::{
    error::{Result, invalid_param},
    http::{
        auth::user_object,
        endpoint::{json_body_if_any, json_response},
        router::Router,
    },
    objects::user_sync::messages::{OverrideRateLimit, RateLimit, RateLimitOf},
};

const LIMIT: &str = "/_synapse/admin/v1/users/{user_id}/override_ratelimit";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, LIMIT, show);
    router.page(&Method::POST, LIMIT, set);
    router.page(&Method::DELETE, LIMIT, end);
}

#[derive(Default, Deserialize)]
struct Wanted {
    messages_per_second: Option<Value>,
    burst_count: Option<Value>,
}

async fn show(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    match if_used(world.ask(&user_object(&user), &RateLimitOf {}).await)? {
        Some(limit) => json_response(StatusCode::OK, &limit),
        None => json_response(StatusCode::OK, &json!({})),
    }
}

async fn set(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let wanted: Wanted = json_body_if_any(&request)?;
    let limit = RateLimit {
        messages_per_second: count(wanted.messages_per_second.as_ref())?,
        burst_count: count(wanted.burst_count.as_ref())?,
    };
    let message = OverrideRateLimit { limit: Some(limit) };
    world.ask(&user_object(&user), &message).await?;
    json_response(StatusCode::OK, &limit)
}

async fn end(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    if_used(world.ask(&user_object(&user), &OverrideRateLimit { limit: None }).await)?;
    json_response(StatusCode::OK, &json!({}))
}

fn count(value: Option<&Value>) -> Result<u32> {
    let count = match value {
        None => Some(0),
        Some(value) => value.as_u64().and_then(|count| u32::try_from(count).ok()),
    };
    count.ok_or_else(|| invalid_param("Both parameters are positive integers"))
}
