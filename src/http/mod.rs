//! What can be asked by HTTP? Requests become questions to objects and flows; answers become responses.
//!
//! [`routes`] is the table of contents. [`endpoint`] says how a handler is registered, [`auth`] who calls.

pub mod admin;
pub mod auth;
pub mod client;
pub mod endpoint;
mod federation;
pub mod passwords;
pub mod query;
mod rate_limit;
pub mod router;

use self::router::Router;

/// The largest body of a request to this path.
pub fn body_limit(path: &str) -> usize {
    if path.starts_with("/_matrix/federation/") { federation::MAX_BODY } else { endpoint::MAX_BODY }
}

/// Every route there is.
pub fn routes() -> Router {
    let mut router = Router::default();
    admin::routes(&mut router);
    client::routes(&mut router);
    federation::routes(&mut router);
    router
}
