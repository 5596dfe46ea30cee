//! What can be asked by HTTP? Requests become questions to objects and flows; answers become responses.
//!
//! [`routes`] is the table of contents. [`endpoint`] says how a handler is registered, [`auth`] who calls.

pub mod admin;
pub mod arguments;
pub mod auth;
pub mod client;
mod credentials;
pub mod endpoint;
mod failures;
mod federation;
mod keys;
mod masquerade;
pub mod passwords;
pub mod public_rooms;
mod query;
mod rate_limit;
pub mod router;
mod suspension;
mod uia;

use self::router::Router;

/// Every route there is.
pub fn routes() -> Router {
    let mut router = Router::default();
    admin::routes(&mut router);
    client::routes(&mut router);
    federation::routes(&mut router);
    router
}
