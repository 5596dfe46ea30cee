//! How are media kept, found and fetched? ([content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository))
//!
//! A content lies in R2 under a key of its own. It is noted before it is written, and gets its hash when media name it:
//! what is written and never named, for example because the Worker was ended, is found a day later and removed.

mod cleaning;
pub mod disposition;
mod failures;
mod keep;
mod multipart;
mod open;
mod picture;
mod preview;
mod remote;
mod room;
#[cfg(test)]
mod tests;
mod thumbnail;
mod upload;

pub use cleaning::delete;
pub use failures::{Unkept, Unread};
pub use keep::is_media_id;
pub use open::{Found, TOUCH, find, served, touch};
pub use picture::{Format, Method, Shape};
pub use preview::{Unpreviewed, preview};
pub use remote::fetch;
pub use thumbnail::{Looked, Thumbnail, Wanted, find_thumbnail, make_thumbnail};
pub use upload::{Upload, create, upload, upload_to};
