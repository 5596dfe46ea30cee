//! What may other servers ask? ([server-server API](https://spec.matrix.org/v1.19/server-server-api/))
//!
//! [`signed`] authenticates the origin; each other file answers one group of requests. Requests without events are read
//! and written by ruma's types, as for clients. Events are read by our own rules alone: two parsers could understand
//! one event in two ways.

mod events;
mod hierarchy;
mod invite;
mod keys;
mod lists;
mod media;
mod membership;
mod openid;
mod public_rooms;
mod query;
mod send;
mod signed;
mod user_keys;

use crate::http::router::Router;

/// Adds the federation's routes.
pub fn routes(router: &mut Router) {
    keys::routes(router);
    send::routes(router);
    events::routes(router);
    membership::routes(router);
    invite::routes(router);
    query::routes(router);
    openid::routes(router);
    user_keys::routes(router);
    public_rooms::routes(router);
    hierarchy::routes(router);
    media::routes(router);
}
