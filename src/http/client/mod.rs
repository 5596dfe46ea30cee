//! What can a client ask? ([Client-Server API](https://spec.matrix.org/v1.19/client-server-api/))
//!
//! One folder per subject, one file per resource; each registers its own routes. Endpoints that are not built answer
//! `404 M_UNRECOGNIZED`.

pub mod account;
mod appservice;
mod delayed_events;
pub mod discovery;
mod filter;
mod keys;
pub mod media;
mod presence;
mod reports;
pub mod rooms;
mod search;
pub mod sync;
#[cfg(test)]
mod tests;
mod third_party;
pub mod tokens;
mod users;

use ruma::UserId;

use super::{auth::Session, router::Router};
use crate::error::{Result, forbidden};

/// Registers the routes for clients.
pub fn routes(router: &mut Router) {
    discovery::routes(router);
    account::routes(router);
    rooms::routes(router);
    delayed_events::routes(router);
    sync::routes(router);
    keys::routes(router);
    search::routes(router);
    users::routes(router);
    reports::routes(router);
    presence::routes(router);
    media::routes(router);
    appservice::routes(router);
    third_party::routes(router);
}

/// Refuses unless the caller is this user.
pub fn must_be(caller: &Session, user: &UserId) -> Result<()> {
    if caller.user == user {
        Ok(())
    } else {
        Err(forbidden("You may not do this for another user"))
    }
}
