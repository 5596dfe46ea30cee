//! What can be asked by HTTP? Requests become questions to objects and flows; answers become responses.
//!
//! [`routes`] is the table of contents. [`endpoint`] says how a handler is registered, [`auth`] who calls.

pub mod auth;
pub mod endpoint;
mod federation;
pub mod query;
pub mod router;

use self::router::Router;

/// Every route there is.
pub fn routes() -> Router {
    let mut router = Router::default();
    federation::routes(&mut router);
    router
}
