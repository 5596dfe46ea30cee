//! Why does a sync fail?

use tombolo_platform::AskError;

use crate::{
    flows::ours::Ours,
    objects::{room, user_sync},
};

/// Why a sync failed.
#[derive(Debug, thiserror::Error)]
pub enum Unsynced {
    /// The user's object refused, for example because the session has ended.
    #[error("{0}")]
    User(user_sync::messages::Refusal),
    /// A room refused to show itself to the user.
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
