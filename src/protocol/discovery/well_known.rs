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

/// Where a redirect leads: only to HTTPS, since what is read on the way elsewhere could name any server.
#[must_use]
pub fn redirected(from: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    let (authority, path) = match from.strip_prefix("https://")?.split_once('/') {
        Some((authority, path)) => (authority, path.split('?').next().unwrap_or_default()),
        None => (from.strip_prefix("https://")?, ""),
    };
    let is_https = |start: &str| start.eq_ignore_ascii_case("https://");
    if location.get(..8).is_some_and(is_https) {
        return Some(format!("https://{}", location.get(8..)?));
    }
    // What comes before the first colon is a scheme, unless it belongs to a path or query.
    let before = location.split([':', '/', '?']).next().unwrap_or_default();
    if location.get(before.len()..)?.starts_with(':') {
        return None;
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(match location {
        "" => return None,
        _ if location.starts_with("//") => format!("https:{location}"),
        _ if location.starts_with('/') => format!("https://{authority}{location}"),
        _ if location.starts_with('?') => format!("https://{authority}/{path}{location}"),
        _ if folder.is_empty() => format!("https://{authority}/{location}"),
        _ => format!("https://{authority}/{folder}/{location}"),
    })
}

/// How long a good answer holds, by its `Cache-Control`, else by its `Expires`, in milliseconds.
#[must_use]
pub fn lifetime(cache_control: Option<&str>, expires: Option<&str>, now: i64) -> i64 {
    // What is no date has expired, says HTTP.
    let until = expires.map(|expires| date(expires).unwrap_or_default());
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

/// The milliseconds since the Unix epoch of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`
/// ([HTTP dates](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)).
fn date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace().skip(1);
    let day = number(words.next()?, 31)?;
    let name = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year = number(words.next()?, 9999)?;
    let mut parts = words.next()?.split(':');
    let hour = number(parts.next()?, 23)?;
    let (minute, second) = (number(parts.next()?, 59)?, number(parts.next()?, 60)?);
    if (words.next(), words.next(), parts.next()) != (Some("GMT"), None, None) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

fn number(digits: &str, most: i64) -> Option<i64> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    number.filter(|number| *number <= most)
}

/// How many days lie between the Unix epoch and the first day of a month. Years are counted from March, so that the day
/// that only leap years have is the last one.
fn days_before(year: i64, month: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 - 719_468
}
