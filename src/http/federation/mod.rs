//! What may other servers ask? ([server-server API](https://spec.matrix.org/v1.19/server-server-api/))
//!
//! [`signed`] authenticates; each file below answers one group of questions. Bodies are read by our own rules, not by
//! ruma's types: they hold events, which must not be understood twice in two ways.

mod events;
mod invite;
mod keys;
mod lists;
mod membership;
mod query;
mod send;
mod signed;

use crate::http::router::Router;

/// Adds the federation's routes.
pub fn routes(router: &mut Router) {
    keys::routes(router);
    send::routes(router);
    events::routes(router);
    membership::routes(router);
    invite::routes(router);
    query::routes(router);
}
