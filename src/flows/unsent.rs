//! Why does an event not become part of the room?

use tombolo_platform::AskError;

use crate::{error::Error, objects::room::messages::Refusal};

/// Why an event was not sent.
#[derive(Debug)]
pub enum Unsent {
    /// The room is not here, or its sender is none who may know of it.
    Absent,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<AskError<Refusal>> for Unsent {
    fn from(error: AskError<Refusal>) -> Self {
        match error {
            AskError::Refused(Refusal::Absent) => Self::Absent,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<Unsent> for Error {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Absent => Refusal::Absent.into(),
            Unsent::Failed(error) => error,
        }
    }
}
