//! How is a push gateway told of something?
//! ([push gateway API](https://spec.matrix.org/v1.19/push-gateway-api/))

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use tombolo_platform::{Limits, World};

use super::{RemoteError, reach, resolve};
use crate::config::Config;

/// The path that every gateway has.
const PATH: &str = "/_matrix/push/v1/notify";

const LIMITS: Limits = Limits { time: Duration::from_secs(20), bytes: 64 << 10 };

/// The longest URL of a gateway, in bytes.
const MAX_URL: usize = 2048;

/// Whether a gateway may have this URL: `https`, and the path that the specification gives it. Where private addresses
/// are allowed, `http` is too.
pub fn may_be_at(world: &World, url: &str) -> Result<bool, RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    let Ok(uri) = url.parse::<Uri>() else { return Ok(false) };
    let scheme = uri.scheme_str().unwrap_or_default();
    let secure = scheme == "https" || config.allow_private_addresses && scheme == "http";
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    Ok(secure && plain && uri.path() == PATH && url.len() <= MAX_URL)
}

/// Sends a notification; answers which keys the gateway knows no more.
pub async fn notify(
    world: &World,
    url: &str,
    notification: &impl Serialize,
) -> Result<Vec<String>, RemoteError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        rejected: Vec<String>,
    }
    let refused = |error: String| RemoteError::Refused(error);
    let body = serde_json::to_vec(notification).map_err(|error| refused(error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|error| refused(error.to_string()))?;
    resolve::guard(world, request.uri().host().unwrap_or_default()).await?;
    let response = reach::fetch(world, request, LIMITS).await?;
    if response.status() != StatusCode::OK {
        let (errcode, message) = (String::new(), "the push gateway refuses".to_owned());
        let status = response.status().as_u16();
        return Err(RemoteError::Answered { status, errcode, message, room_version: None });
    }
    let answer: Answer = serde_json::from_slice(response.body())
        .map_err(|error| RemoteError::Nonsense(error.to_string()))?;
    Ok(answer.rejected)
}
