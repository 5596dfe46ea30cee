//! What of ours did not do its part?

use tombolo_platform::{SqlError, Unreachable};

use crate::config::Misconfigured;

/// A failure of ours, whatever was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ours {
    /// A part did not answer; asked again, it may in a moment.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Something is broken, until somebody mends it.
    #[error("{0}")]
    Broken(String),
}

impl Ours {
    pub fn broken(cause: impl std::fmt::Display) -> Self {
        Self::Broken(cause.to_string())
    }
}

impl From<Unreachable> for Ours {
    fn from(Unreachable(cause): Unreachable) -> Self {
        Self::Unreachable(cause)
    }
}

impl From<SqlError> for Ours {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unreachable(cause) => Self::Unreachable(cause),
            broken => Self::broken(broken),
        }
    }
}

impl From<Misconfigured> for Ours {
    fn from(error: Misconfigured) -> Self {
        Self::broken(error)
    }
}

impl From<serde_json::Error> for Ours {
    fn from(error: serde_json::Error) -> Self {
        Self::broken(error)
    }
}
