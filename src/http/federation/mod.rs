//! What may other servers ask? ([server-server API](https://spec.matrix.org/v1.19/server-server-api/))
//!
//! [`signed`] authenticates; each file below answers one group of questions. Where no event travels, ruma's types read
//! and write it, as for clients. Events are read by our own rules alone: they must not be understood twice in two ways.

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
