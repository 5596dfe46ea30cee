//! Which endpoints are for operators? The small part of Synapse's admin API that tools and test suites rely on.

mod event_reports;
mod media;
pub mod register;
mod registration_tokens;
mod units;

use bytes::Bytes;
use http::Request;
use tombolo_platform::World;

use super::{auth, router::Router};
use crate::{
    error::{Result, forbidden},
    objects::user_sync::messages::Cost,
    stores::accounts,
};

/// Registers the operators' routes.
pub fn routes(router: &mut Router) {
    media::routes(router);
    register::routes(router);
    registration_tokens::routes(router);
    units::routes(router);
    event_reports::routes(router);
}

/// Refuses whoever is no operator.
async fn must_be_admin(world: &World, request: &Request<Bytes>) -> Result<()> {
    let caller = auth::session(world, request, Cost::Free).await?;
    match accounts::find(world, caller.user.localpart()).await? {
        Some(account) if account.admin => Ok(()),
        _ => Err(forbidden("You are not a server admin")),
    }
}
