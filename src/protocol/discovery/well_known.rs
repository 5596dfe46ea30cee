//! What does a server's well-known file say, and for how long?
//! ([`GET /.well-known/matrix/server`](https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver))

use serde_json::Value;

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

/// How long a good answer holds, by its `Cache-Control`, in milliseconds.
#[must_use]
pub fn lifetime(cache_control: Option<&str>) -> i64 {
    let mut lifetime = DEFAULT_LIFETIME;
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
