//! Which part of this server failed?

use tombolo_platform::{R2Error, SqlError, Unreachable};

use crate::config::Misconfigured;

/// A failure of this server itself, not of a client or of another server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ours {
    /// An object, D1 or R2 did not answer; a retry may succeed.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Something is broken, such as the configuration or stored data: a retry does not help.
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

impl From<R2Error> for Ours {
    fn from(error: R2Error) -> Self {
        Self::Unreachable(error.to_string())
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
