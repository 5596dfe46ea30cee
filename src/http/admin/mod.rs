//! Which endpoints are for operators? Those of the specification, and the small part of Synapse's admin API that tools and
//! test suites rely on.

mod appservices;
mod event_reports;
mod federation;
mod media;
mod moderation;
mod notices;
mod paging;
pub mod register;
mod registration_tokens;
mod rooms;
#[cfg(test)]
mod tests;
mod units;
mod users;
mod version;
mod whois;

use bytes::Bytes;
use http::Request;
use ruma::UserId;
use tombolo_platform::{AskError, World};

use super::{
    auth::{self, Session, user_object},
    router::Router,
};
use crate::{
    config::Config,
    error::{Result, forbidden, invalid_param, not_found},
    objects::user_sync::messages::{Cost, Device, Devices, Refusal},
    stores::accounts::{self, Account},
};

/// Registers the operators' routes.
pub fn routes(router: &mut Router) {
    appservices::routes(router);
    media::routes(router);
    moderation::routes(router);
    notices::routes(router);
    whois::routes(router);
    register::routes(router);
    registration_tokens::routes(router);
    rooms::routes(router);
    units::routes(router);
    users::routes(router);
    version::routes(router);
    event_reports::routes(router);
    federation::routes(router);
}

/// Refuses whoever is no operator.
async fn must_be_admin(world: &World, request: &Request<Bytes>) -> Result<()> {
    admin(world, request).await.map(|_| ())
}

/// The operator who asks.
async fn admin(world: &World, request: &Request<Bytes>) -> Result<Session> {
    let caller = auth::session(world, request, Cost::Free).await?;
    match is_admin(world, &caller).await? {
        true => Ok(caller),
        false => Err(forbidden("You are not a server admin")),
    }
}

/// Whether the caller is an operator. Who acts as one never is: an application service's token would be worth the whole
/// server, and an operator who was dismissed would go on as another.
pub async fn is_admin(world: &World, caller: &Session) -> Result<bool> {
    let account = accounts::find(world, caller.user.localpart()).await?;
    Ok(caller.is_the_users_own() && account.is_some_and(|account| account.admin))
}

fn must_be_local(world: &World, user: &UserId) -> Result<()> {
    if user.server_name() == Config::of(world)?.server_name {
        return Ok(());
    }
    Err(invalid_param("The user is not of this server"))
}

/// The account of a user, who must be of this server.
async fn local_account(world: &World, user: &UserId) -> Result<Account> {
    must_be_local(world, user)?;
    let account = accounts::find(world, user.localpart()).await?;
    let account = account.filter(|account| !account.deactivated);
    account.ok_or_else(|| not_found("There is no such user"))
}

/// The devices of a user of this server.
async fn devices_of(world: &World, user: &UserId) -> Result<Vec<Device>> {
    if_used(world.ask(&user_object(user), &Devices {}).await)
}

/// What a user's object says; nothing, where nobody ever logged in.
fn if_used<T: Default>(said: std::result::Result<T, AskError<Refusal>>) -> Result<T> {
    match said {
        Err(AskError::Refused(Refusal::NoSession)) => Ok(T::default()),
        said => Ok(said?),
    }
}
