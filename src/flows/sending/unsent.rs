//! Why is a local user's event not sent? Changes of membership are such events too.

use tombolo_platform::AskError;

use crate::{
    flows::{ours::Ours, receive},
    objects::room::messages::Refusal,
    remote::RemoteError,
};

/// Why an event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// The room refused it.
    #[error("{0}")]
    Refused(Refusal),
    /// The user has nothing to leave.
    #[error("You are not in this room")]
    NotThere,
    /// The room is not live here, and no server in it is known.
    #[error("No server is known that is in this room")]
    NobodyThere,
    /// The room is not live here, and has a version that is not supported.
    #[error("Unsupported room version")]
    Incompatible(String),
    /// The event would be larger than an event may be.
    #[error("{0}")]
    TooLarge(String),
    /// The invited user's server did not take the invite.
    #[error("{0}")]
    Uninvited(RemoteError),
    /// The invited user, who is ours, does not want the invite.
    #[error("This user does not want this invite")]
    Unwanted,
    /// The user may not decline this invite: it is the server's own.
    #[error("You cannot decline this invite: the server has something to tell you")]
    Undeclinable,
    /// The resident server through which the event should get into the room failed.
    #[error("{0}")]
    Remote(RemoteError),
    /// Another server gave a useless answer.
    #[error("{0}")]
    Nonsense(String),
    #[error("{0}")]
    Ours(Ours),
}

impl<E: Into<Ours>> From<E> for Unsent {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

impl From<RemoteError> for Unsent {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

/// A failure to receive our own event with another server's signature.
impl From<receive::Failure> for Unsent {
    fn from(failure: receive::Failure) -> Self {
        match failure {
            receive::Failure::Remote(error) => Self::Remote(error),
            receive::Failure::Room(refusal) => Self::Refused(refusal),
            receive::Failure::Ours(error) => Self::Ours(error),
        }
    }
}

impl From<AskError<Refusal>> for Unsent {
    fn from(error: AskError<Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::Refused(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}
