//! How is an application service asked?
//! ([application services](https://spec.matrix.org/v1.19/application-service-api/#homeserver---application-service-api))
//!
//! The operator says where it listens: any address will do, and that it fails says nothing of a server.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use tombolo_platform::{Limits, World};

use super::reach;
use crate::config::Config;

/// The service of the deployment over which requests go, where it has one: the launcher's reaches this machine.
const NETWORK: &str = "APPSERVICES";
/// A service answers when it has worked the transaction off.
const LIMITS: Limits = Limits { time: Duration::from_secs(60), bytes: 1 << 20 };
/// How much of the answer of a service that fails is read (bytes).
const MAX_ERROR: usize = 8 << 10;

/// Where a service listens, and the token by which it knows us.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub url: &'a str,
    pub hs_token: &'a str,
}

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    #[error("its URL cannot be used: {0}")]
    Refused(String),
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it answers {status}: {body}")]
    Answered { status: u16, body: String },
}

/// Has a service take a transaction
/// ([`/transactions`](https://spec.matrix.org/v1.19/application-service-api/#put_matrixappv1transactionstxnid)). One
/// that does not know the path is asked at the older one.
pub async fn send(world: &World, place: Place<'_>, id: u64, body: Bytes) -> Result<(), Undone> {
    let path = format!("/_matrix/app/v1/transactions/{id}");
    match ask(world, place, (Method::PUT, &path), body.clone()).await {
        Err(Undone::Answered { status: 404 | 405, .. }) => {
            ask(world, place, (Method::PUT, &format!("/transactions/{id}")), body).await
        }
        sent => sent,
    }
}

/// Asks a service whether it is there
/// ([`/ping`](https://spec.matrix.org/v1.19/application-service-api/#post_matrixappv1ping)).
pub async fn ping(world: &World, place: Place<'_>, body: Bytes) -> Result<(), Undone> {
    ask(world, place, (Method::POST, "/_matrix/app/v1/ping"), body).await
}

async fn ask(
    world: &World,
    place: Place<'_>,
    (method, path): (Method, &str),
    body: Bytes,
) -> Result<(), Undone> {
    let config = Config::of(world).map_err(|error| Undone::Refused(error.to_string()))?;
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", place.url))
        .header(header::AUTHORIZATION, format!("Bearer {}", place.hs_token))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, reach::server(&config))
        .body(body)
        .map_err(|error| Undone::Refused(error.to_string()))?;
    let until = world.now().saturating_add(LIMITS.time.as_secs() * 1_000);
    let answer = world.open_through(NETWORK, request, LIMITS).await;
    let answer = answer.map_err(|error| match world.now() >= until {
        true => Undone::TimedOut,
        false => Undone::Unreachable(error.to_string()),
    })?;
    let status = answer.status().as_u16();
    if status == 200 {
        return Ok(());
    }
    // What it says is only for the operator.
    let body = answer.into_body().whole(MAX_ERROR).await.unwrap_or_default();
    Err(Undone::Answered { status, body: String::from_utf8_lossy(&body).into_owned() })
}
