//! What does a caller learn when a request fails?
//!
//! Below, each question has a small error of its own that says what went wrong. Here, at the edge, they become a status
//! and an `errcode` ([standard error response]). Handlers return [`Result`], with one of the constructors; `?` converts
//! what objects and stores refuse. A failure of ours is logged once, where it becomes a response.
//!
//! [standard error response]: https://spec.matrix.org/v1.19/client-server-api/#standard-error-response

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tombolo_platform::{AskError, KvError, SqlError};

use crate::objects::{message::Never, room, user_keys, user_sync};

/// What a handler answers.
pub type Result<T> = std::result::Result<T, Error>;

/// An error response. Its status and `errcode` are for the other side: nothing of ours decides by them.
#[derive(Clone, Debug)]
pub struct Error {
    status: StatusCode,
    errcode: &'static str,
    pub message: String,
    /// Further members of the body.
    more: Map<String, Value>,
}

impl Error {
    pub fn new(status: StatusCode, errcode: &'static str, message: impl Into<String>) -> Self {
        Self { status, errcode, message: message.into(), more: Map::new() }
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    #[cfg(test)]
    pub fn errcode(&self) -> &str {
        self.errcode
    }

    /// The body of the response.
    pub fn into_body(self) -> Value {
        let mut body = self.more;
        body.insert("errcode".to_owned(), json!(self.errcode));
        body.insert("error".to_owned(), json!(self.message));
        Value::Object(body)
    }

    /// The response, with `Retry-After` where it says when to come again.
    pub fn into_response(self) -> Response<Bytes> {
        let retry = self.more.get("retry_after_ms").and_then(Value::as_u64);
        let status = self.status;
        let mut response = Response::new(Bytes::from(self.into_body().to_string()));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(ms) = retry {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from(ms.div_ceil(1000)));
        }
        response
    }
}

/// The given status: nothing is built at this path (404), or not for this method (405).
pub fn unrecognized(status: StatusCode) -> Error {
    Error::new(status, "M_UNRECOGNIZED", "Unrecognized request")
}

/// 404: there is no such thing, or none the caller may know of.
pub fn not_found(message: impl Into<String>) -> Error {
    Error::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", message)
}

/// 403: the caller may not do that.
pub fn forbidden(message: impl Into<String>) -> Error {
    Error::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", message)
}

/// 403: the invited user does not want the invite.
pub fn invite_blocked() -> Error {
    Error::new(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", "This user does not want this invite")
}

/// 400: a parameter is malformed or out of range.
pub fn invalid_param(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", message)
}

/// 400: a required parameter is not there.
pub fn missing_param(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", message)
}

/// 400: the body is JSON, but not what was expected.
pub fn bad_json(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", message)
}

/// 400: the body is not JSON.
pub fn not_json(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", message)
}

/// 413: there is too much of it.
pub fn too_large(message: impl Into<String>) -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
}

/// 400: the room has a version that is not supported, by us or by whoever was to join it.
pub fn incompatible(message: impl Into<String>, room_version: Option<&str>) -> Error {
    let error = Error::new(StatusCode::BAD_REQUEST, "M_INCOMPATIBLE_ROOM_VERSION", message);
    match room_version {
        Some(version) => error.with("room_version", version),
        None => error,
    }
}

/// 401: the access token names no live session; the client has to log in anew.
pub fn unknown_token() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", "Unknown access token")
        .with("soft_logout", false)
}

/// 400: the name is for an application service alone, or the service has nothing to do with it.
pub fn exclusive(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_EXCLUSIVE", message)
}

/// 401: an operator has locked the account, whose session stays.
fn locked() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "M_USER_LOCKED", "This account has been locked")
        .with("soft_logout", true)
}

/// 403: an operator has suspended the account, which may not do that.
pub fn suspended() -> Error {
    let message = "You cannot perform this action while suspended.";
    Error::new(StatusCode::FORBIDDEN, "M_USER_SUSPENDED", message)
}

/// 401: there is no access token.
pub fn missing_token() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN", "Missing access token")
}

/// 502: another server could not be asked, or answered nonsense. Never its own words: an `M_UNKNOWN_TOKEN` of theirs
/// would log our client out.
pub fn bad_gateway(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message)
}

/// 429: too many requests; `retry_after_ms` says how long to wait.
pub fn limited(retry_after_ms: u64) -> Error {
    let error = Error::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "Too many requests");
    error.with("retry_after_ms", retry_after_ms)
}

/// 500: something of ours is broken, for a moment or for good.
pub fn internal(cause: impl std::fmt::Display) -> Error {
    tracing::error!(%cause, "request failed");
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "Internal server error")
}

/// 503: a part of ours did not answer; the same request may succeed in a moment.
pub fn unavailable(cause: impl std::fmt::Display) -> Error {
    tracing::warn!(%cause, "a part of the server is unreachable");
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", "Try again in a moment")
}

impl From<room::messages::Refusal> for Error {
    fn from(refusal: room::messages::Refusal) -> Self {
        use room::messages::Refusal;
        let message = refusal.to_string();
        match refusal {
            Refusal::Absent | Refusal::NotFound => not_found(message),
            Refusal::Forbidden(_) => forbidden(message),
            Refusal::BadState(_) => Self::new(StatusCode::FORBIDDEN, "M_BAD_STATE", message),
            Refusal::TooLarge(_) => too_large(message),
            Refusal::Invalid(_) => bad_json(message),
            Refusal::Incompatible(version) => incompatible(message, Some(&version)),
            Refusal::DuplicateAnnotation => {
                Self::new(StatusCode::BAD_REQUEST, "M_DUPLICATE_ANNOTATION", message)
            }
            Refusal::Unrelatable(_) => Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message),
            Refusal::UnableToAuthorise(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_UNABLE_TO_AUTHORISE_JOIN", message)
            }
            Refusal::UnableToGrant(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_UNABLE_TO_GRANT_JOIN", message)
            }
            Refusal::Unfit(_) => invalid_param(message),
            Refusal::Joining(_) | Refusal::AlreadyLive | Refusal::Behind => unavailable(message),
        }
    }
}

impl From<user_sync::messages::Refusal> for Error {
    fn from(refusal: user_sync::messages::Refusal) -> Self {
        use user_sync::messages::Refusal;
        match refusal {
            Refusal::NoSession => unknown_token(),
            Refusal::Expired => unknown_token().with("soft_logout", true),
            Refusal::NotFound => not_found("Not found"),
            Refusal::Invalid(message) => invalid_param(message),
            Refusal::Forbidden(message) => forbidden(message),
            Refusal::Limited(ms) => limited(ms),
            Refusal::Deactivated => Self::new(
                StatusCode::FORBIDDEN,
                "M_USER_DEACTIVATED",
                "This account was deactivated",
            ),
            Refusal::InviteBlocked => invite_blocked(),
            Refusal::UnknownPos => Self::new(
                StatusCode::BAD_REQUEST,
                "M_UNKNOWN_POS",
                "This connection is not known: begin a new one",
            ),
            Refusal::Locked => locked(),
            Refusal::Suspended => suspended(),
            Refusal::UnknownDevice => Self::new(
                StatusCode::BAD_REQUEST,
                "M_UNKNOWN_DEVICE",
                "The user has no device of this name",
            ),
        }
    }
}

impl From<user_keys::messages::Refusal> for Error {
    fn from(refusal: user_keys::messages::Refusal) -> Self {
        use user_keys::messages::Refusal;
        let bad = |errcode, message| Self::new(StatusCode::BAD_REQUEST, errcode, message);
        match refusal {
            Refusal::NotFound => not_found("Not found"),
            Refusal::Invalid(message) => invalid_param(message),
            Refusal::Malformed(message) => bad_json(message),
            Refusal::Missing(message) => missing_param(message),
            Refusal::Forbidden(message) => forbidden(message),
            Refusal::BadSignature(message) => bad("M_INVALID_SIGNATURE", message),
            Refusal::WrongVersion(version) => {
                let message = "This is not the newest backup";
                Self::new(StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION", message)
                    .with("current_version", version)
            }
        }
    }
}

impl From<Never> for Error {
    fn from(refusal: Never) -> Self {
        match refusal {}
    }
}

impl<R: Into<Self> + std::fmt::Debug> From<AskError<R>> for Error {
    fn from(error: AskError<R>) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Unreachable(cause) => unavailable(cause),
        }
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unreachable(cause) => unavailable(cause),
            other => internal(other),
        }
    }
}

impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        unavailable(error)
    }
}

impl From<crate::config::Misconfigured> for Error {
    fn from(error: crate::config::Misconfigured) -> Self {
        internal(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        internal(error)
    }
}
