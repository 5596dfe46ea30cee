//! How are media kept, found and fetched? ([content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository))
//!
//! A content lies in R2 under a key of its own. It is noted before it is written, and gets its hash when media name it:
//! what is written and never named, for example because the Worker was ended, is found a day later and removed.

mod cleaning;
pub mod disposition;
mod keep;
mod multipart;
mod open;
mod remote;
mod upload;

pub use cleaning::delete;
pub use keep::is_media_id;
pub use open::{Found, find, served, touch};
pub use remote::fetch;
pub use upload::{Upload, create, upload, upload_to};

use super::ours::Ours;
use crate::remote::RemoteError;

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
    #[error("It cannot be fetched: {0}")]
    Remote(RemoteError),
    #[error(transparent)]
    Ours(#[from] Ours),
}
