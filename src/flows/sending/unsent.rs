//! Why does an event not become part of the room?

use tombolo_platform::AskError;

use crate::{error::Error, objects::room::messages::Refusal};

/// Why an event was not sent.
#[derive(Debug)]
pub enum Unsent {
    /// The room refused it.
    Refused(Refusal),
    /// Anything else: a part of ours did not answer, or the invited user's server did not take the invite.
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
            AskError::Refused(refusal) => Self::Refused(refusal),
            error @ AskError::Unreachable(_) => Self::Failed(error.into()),
        }
    }
}

impl From<Unsent> for Error {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Refused(refusal) => refusal.into(),
            Unsent::Failed(error) => error,
        }
    }
}
