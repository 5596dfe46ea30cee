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
    /// Too many media are pending, and how long it takes until there is room (ms).
    #[error("Too many uploads are pending")]
    Pending(u64),
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
    /// Ours, or another server's.
    #[error("This is too large for a thumbnail")]
    NoThumbnail { is_ours: bool },
    #[error("Cannot generate thumbnails for the requested content")]
    NoPicture,
    #[error("It cannot be fetched: {0}")]
    Remote(RemoteError),
    #[error(transparent)]
    Ours(#[from] Ours),
}
