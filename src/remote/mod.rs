//! How does this server talk to other homeservers? Only the I/O is here; the rules are in [`tombolo_protocol`].

pub mod api;
pub mod appservices;
pub mod client;
pub mod dns;
pub mod failing;
pub mod gateways;
pub mod keys;
mod known_keys;
mod notaries;
pub mod origins;
pub mod pages;
pub mod pieces;
pub mod reach;
pub mod resolve;

use tombolo_platform::Unread;

/// The error code of an endpoint that a server does not know.
const UNRECOGNIZED: &str = "M_UNRECOGNIZED";

/// Why another server did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// We do not send the request, for example because the server name is invalid or leads to a private address.
    #[error("{0}")]
    Refused(String),
    /// It could not be reached, or did not answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// We did not get to ask, which says nothing of it: too much is asked at once, or our resolver does not answer.
    #[error("{0}")]
    Unasked(String),
    /// It answered with an error: status, `errcode`, message, and the room version if that is the reason.
    #[error("{status} {errcode}: {message}")]
    Answered { status: u16, errcode: String, message: String, room_version: Option<String> },
    /// Its answer cannot be used.
    #[error("nonsense: {0}")]
    Nonsense(String),
}

impl RemoteError {
    /// Whether the server says that the thing does not exist. A server that does not know the endpoint
    /// (`M_UNRECOGNIZED`) says nothing of that.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answered { status: 404, errcode, .. } if errcode == "M_NOT_FOUND")
    }

    /// Whether the server does not know the endpoint.
    pub fn is_unrecognized(&self) -> bool {
        matches!(self, Self::Answered { errcode, .. } if errcode == UNRECOGNIZED)
    }
}

impl From<Unread> for RemoteError {
    fn from(unread: Unread) -> Self {
        Self::Unreachable(unread.to_string())
    }
}

/// The answer; `None` if it is an error or nonsense, since the server may still answer other requests.
pub fn answered<T>(answer: Result<T, RemoteError>) -> Result<Option<T>, RemoteError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RemoteError::Answered { .. } | RemoteError::Nonsense(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
