//! What can a user's keys be asked?
//!
//! Messages are data between deployments: fields are added with a default, never renamed.

use serde::{Deserialize, Serialize};

/// Why a user's keys do not do what they were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("not found")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Forbidden(String),
    /// A backup was to be written that is not the newest, whose version this is.
    #[error("a newer backup exists")]
    WrongVersion(String),
}
