//! How is an application service asked?
//! ([application services](https://spec.matrix.org/v1.19/application-service-api/#homeserver---application-service-api))
//!
//! The operator says where it listens: any address will do, and that it fails says nothing of a server.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use tombolo_platform::{Body, Limits, World};

use super::{api, reach};
use crate::config::Config;

/// The service of the deployment over which requests go, where it has one: the launcher's reaches this machine.
const NETWORK: &str = "APPSERVICES";
/// A service answers when it has worked the transaction off.
const LIMITS: Limits = Limits { time: Duration::from_secs(60), bytes: 1 << 20 };
/// A service makes what it is asked for before it answers, while somebody waits.
const QUERY: Limits = Limits { time: Duration::from_secs(15), bytes: 64 << 10 };
/// What a service knows of its network.
const LOOK_UP: Limits = Limits { time: Duration::from_secs(10), bytes: 64 << 10 };
/// By which member an answer says what is wrong, and what it says where the service does not know the path.
const ERRCODE: &str = "\"errcode\"";
const UNRECOGNIZED: &str = "M_UNRECOGNIZED";
/// How much of the answer of a service that fails is read (bytes).
const MAX_ERROR: usize = 8 << 10;

/// Where a service listens, and the token by which it knows us.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub url: &'a str,
    /// None where it cannot be read.
    pub hs_token: Option<&'a str>,
}

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    #[error("its URL cannot be used: {0}")]
    Refused(String),
    #[error("its `hs_token` cannot be read: register it anew")]
    Tokenless,
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it answers {status}: {body}")]
    Answered { status: u16, body: String },
    #[error("its answer cannot be read: {0}")]
    Unread(String),
}

/// Has a service take a transaction
/// ([`/transactions`](https://spec.matrix.org/v1.19/application-service-api/#put_matrixappv1transactionstxnid)). One
/// that does not know the path is asked at the older one.
pub async fn send(world: &World, place: Place<'_>, id: u64, body: Bytes) -> Result<(), Undone> {
    let path = format!("/_matrix/app/v1/transactions/{id}");
    match ask(world, place, (Method::PUT, &path), body.clone()).await {
        Err(Undone::Answered { status: 404 | 405 | 501, .. }) => {
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

/// Whether a service has a user or an alias that is asked for
/// ([querying](https://spec.matrix.org/v1.19/application-service-api/#querying)). One that does not know the path is
/// asked at the older one.
pub async fn has(
    world: &World,
    place: Place<'_>,
    (kind, name): (&str, &str),
) -> Result<bool, Undone> {
    let name = escaped(name);
    let paths = [format!("/_matrix/app/v1/{kind}/{name}"), format!("/{kind}/{name}")];
    Ok(answer_at(world, place, paths, QUERY).await?.is_some())
}

/// What a service says of its third-party network, if it says anything
/// ([third-party networks](https://spec.matrix.org/v1.19/application-service-api/#third-party-networks)). `what` is the
/// path and the query, escaped.
pub async fn look_up(world: &World, place: Place<'_>, what: &str) -> Result<Option<Value>, Undone> {
    let paths = ["v1", "unstable"].map(|at| format!("/_matrix/app/{at}/thirdparty/{what}"));
    let Some(answer) = answer_at(world, place, paths, LOOK_UP).await? else { return Ok(None) };
    let body = answer.into_body().whole(LOOK_UP.bytes).await;
    let body = body.map_err(|error| Undone::Unread(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| Undone::Unread(error.to_string()))
}

/// A segment of a path.
pub fn escaped(segment: &str) -> impl Display {
    utf8_percent_encode(segment, api::ESCAPED)
}

/// What a service answers at the first of these paths that it knows; `None` where it has nothing there.
async fn answer_at(
    world: &World,
    place: Place<'_>,
    paths: [String; 2],
    limits: Limits,
) -> Result<Option<Response<Body>>, Undone> {
    for path in paths {
        match ask_within(world, place, (Method::GET, &path), Bytes::new(), limits).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(Undone::Answered { status: 404, body })
                if body.contains(ERRCODE) && !body.contains(UNRECOGNIZED) =>
            {
                return Ok(None);
            }
            Err(Undone::Answered { status: 404 | 405 | 501, .. }) => {}
            Err(undone) => return Err(undone),
        }
    }
    Ok(None)
}

async fn ask(
    world: &World,
    place: Place<'_>,
    question: (Method, &str),
    body: Bytes,
) -> Result<(), Undone> {
    ask_within(world, place, question, body, LIMITS).await.map(drop)
}

async fn ask_within(
    world: &World,
    place: Place<'_>,
    (method, path): (Method, &str),
    body: Bytes,
    limits: Limits,
) -> Result<Response<Body>, Undone> {
    let config = Config::of(world).map_err(|error| Undone::Refused(error.to_string()))?;
    let hs_token = place.hs_token.ok_or(Undone::Tokenless)?;
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", place.url))
        .header(header::AUTHORIZATION, format!("Bearer {hs_token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, reach::server(&config))
        .body(body)
        .map_err(|error| Undone::Refused(error.to_string()))?;
    let until = world.now().saturating_add(limits.time.as_secs() * 1_000);
    let answer = world.open_through(NETWORK, request, limits).await;
    let answer = answer.map_err(|error| match world.now() >= until {
        true => Undone::TimedOut,
        false => Undone::Unreachable(error.to_string()),
    })?;
    // Services in use answer 201, 202 or 204, too.
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    // What it says is only for the operator.
    let body = answer.into_body().whole(MAX_ERROR).await.unwrap_or_default();
    Err(Undone::Answered { status, body: String::from_utf8_lossy(&body).into_owned() })
}
