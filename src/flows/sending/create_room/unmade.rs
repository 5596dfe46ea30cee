//! Why is a room not made?

use tombolo_platform::AskError;

use crate::{flows::ours::Ours, objects::room::messages::Refusal};

/// Why a room was not made.
#[derive(Debug, thiserror::Error)]
pub enum Unmade {
    #[error("The alias is taken")]
    AliasTaken,
    #[error("additional_creators is no list of users")]
    Creators,
    /// A user who is to be invited, and who is ours, does not want it.
    #[error("This user does not want this invite")]
    Unwanted,
    /// The client's content makes no valid event.
    #[error("{0}")]
    Malformed(String),
    /// An event would be larger than an event may be.
    #[error("{0}")]
    TooLarge(String),
    /// The room refuses the events, for example because the auth rules do not allow one after the others.
    #[error("{0}")]
    Refused(Refusal),
    #[error("{0}")]
    Ours(Ours),
}

impl<E: Into<Ours>> From<E> for Unmade {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

impl From<AskError<Refusal>> for Unmade {
    fn from(error: AskError<Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::Refused(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}
