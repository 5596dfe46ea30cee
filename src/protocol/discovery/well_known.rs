//! What does a server's well-known file say, and for how long?
//! ([`GET /.well-known/matrix/server`](https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver))

use std::time::UNIX_EPOCH;

use serde_json::Value;
use url::Url;

use crate::{json::parse_value, server_name::split};

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 50 * 1024;

/// How many redirects are followed.
pub const MAX_REDIRECTS: usize = 5;

/// How long an answer holds where it does not say so itself, in milliseconds.
pub const DEFAULT_LIFETIME: i64 = 24 * HOUR;

/// The longest an answer holds, in milliseconds.
pub const MAX_LIFETIME: i64 = 48 * HOUR;

/// The shortest an answer holds, in milliseconds.
pub const MIN_LIFETIME: i64 = 5 * 60 * 1000;

/// How long a failure holds, in milliseconds.
pub const ERROR_LIFETIME: i64 = HOUR;

const HOUR: i64 = 60 * 60 * 1000;

/// Why a well-known file counts as absent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WellKnownFault {
    /// It is larger than it may be.
    #[error("it is too large")]
    TooLarge,
    /// It is not an object with an `m.server`.
    #[error("it names no server")]
    NoServer,
    /// What it names is not a server that could be reached.
    #[error("it names {0:?}, which is not a server")]
    NotAServer(String),
}

/// The server name that a well-known file delegates to.
pub fn delegated(body: &[u8]) -> Result<String, WellKnownFault> {
    if body.len() > MAX_BODY {
        return Err(WellKnownFault::TooLarge);
    }
    let body = parse_value(body).map_err(|_| WellKnownFault::NoServer)?;
    let name = body.get("m.server").and_then(Value::as_str).ok_or(WellKnownFault::NoServer)?;
    match split(name) {
        Ok((_, port)) if port != Some(0) => Ok(name.to_owned()),
        _ => Err(WellKnownFault::NotAServer(name.chars().take(300).collect())),
    }
}

/// Where a redirect leads: only to HTTPS, since what is read on the way elsewhere could name any server.
#[must_use]
pub fn redirected(from: &str, location: &str) -> Option<String> {
    let from = Url::parse(from).ok()?;
    let mut next = from.join(location).ok()?;
    next.set_fragment(None);
    let is_https = |url: &Url| url.scheme() == "https";
    (is_https(&from) && is_https(&next) && next != from).then(|| next.into())
}

/// How long a good answer holds, by its `Cache-Control`, else by its `Expires`, in milliseconds.
#[must_use]
pub fn lifetime(cache_control: Option<&str>, expires: Option<&str>, now: i64) -> i64 {
    // What is no date has expired, says HTTP.
    let until = expires.map(|expires| milliseconds(expires).unwrap_or_default());
    let mut lifetime = until.map_or(DEFAULT_LIFETIME, |until| until.saturating_sub(now));
    for directive in cache_control.unwrap_or_default().split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return MIN_LIFETIME;
        }
        let seconds = directive.strip_prefix("max-age=").map(|value| value.trim_matches('"'));
        if let Some(seconds) = seconds.and_then(|seconds| seconds.parse::<i64>().ok()) {
            lifetime = seconds.saturating_mul(1000);
        }
    }
    lifetime.clamp(MIN_LIFETIME, MAX_LIFETIME)
}

/// The milliseconds between the Unix epoch and a date
/// ([HTTP dates](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)).
fn milliseconds(date: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}
