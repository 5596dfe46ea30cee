//! What can a user's keys be asked?
//!
//! Messages are data between deployments: fields are added with a default, never renamed.

mod backup;
mod devices;
mod remote;
mod signing;
mod telling;

pub use self::{backup::*, devices::*, remote::*, signing::*, telling::*};

use serde::{Deserialize, Serialize};

/// Why a user's keys do not do what they were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("not found")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    /// A key has not the form that it should have.
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Forbidden(String),
    /// A key is not signed by the key that vouches for it.
    #[error("{0}")]
    BadSignature(String),
    /// A backup was to be written that is not the newest, whose version this is.
    #[error("a newer backup exists")]
    WrongVersion(String),
}
