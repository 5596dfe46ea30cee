//! Why does a client not learn what is new?

use tombolo_platform::AskError;

use crate::{
    flows::ours::Ours,
    objects::{room, user_sync},
};

/// Why nothing was gathered.
#[derive(Debug, thiserror::Error)]
pub enum Unsynced {
    /// The user's object refused it: the session has ended, for example.
    #[error("{0}")]
    User(user_sync::messages::Refusal),
    /// A room refused to be shown.
    #[error("{0}")]
    Room(room::messages::Refusal),
    #[error(transparent)]
    Ours(Ours),
}

impl<E: Into<Ours>> From<E> for Unsynced {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

impl From<AskError<user_sync::messages::Refusal>> for Unsynced {
    fn from(error: AskError<user_sync::messages::Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::User(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}

impl From<AskError<room::messages::Refusal>> for Unsynced {
    fn from(error: AskError<room::messages::Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::Room(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}
