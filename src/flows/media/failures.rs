//! Why are media not kept, or not read?

use crate::{flows::ours::Ours, remote::RemoteError};

/// Why media were not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    #[error("This is larger than {0} bytes")]
    TooLarge(usize),
    #[error("The body broke off")]
    Broken,
    #[error("You keep as much here as you may")]
    Quota,
    #[error("Nothing is to be uploaded under this ID")]
    NotCreated,
    #[error("Somebody else uploads this")]
    NotYours,
    #[error("This was uploaded already")]
    Uploaded,
    /// Too many media are pending, and how long it takes until one of them expires (ms).
    #[error("Too many uploads are pending")]
    Pending(u64),
    /// So much is written now that this would have to wait for long, and when to try again (ms).
    #[error("Too much is written at once")]
    Busy(u64),
    #[error(transparent)]
    Ours(#[from] Ours),
}

/// Why media cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("There are no such media")]
    NotFound,
    #[error("This has not been uploaded yet")]
    NotUploaded,
    #[error("This is larger than what is fetched from other servers")]
    TooLarge,
    #[error("This is too large for a thumbnail")]
    NoThumbnail,
    /// So much is read or written now that this would have to wait for long, and when to try again (ms).
    #[error("Too much is read or written at once")]
    Busy(u64),
    #[error("Cannot generate thumbnails for the requested content")]
    NoPicture,
    #[error("It cannot be fetched: {0}")]
    Remote(RemoteError),
    #[error(transparent)]
    Ours(#[from] Ours),
}
