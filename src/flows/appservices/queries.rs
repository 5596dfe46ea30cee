//! Does an application service make what is asked for and is not there?
//! ([querying](https://spec.matrix.org/v1.19/application-service-api/#querying))
//!
//! A service makes the user or the alias while it is asked, by requests of its own, and then answers. Where one fails, an
//! invite goes on without the user; of the alias it is not known whether there is one.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::{RoomAliasId, UserId};
use tombolo_platform::World;

use super::{Appservice, appservices};
use crate::{flows::ours::Ours, remote::appservices as remote, stores::accounts};

/// For how long a service that failed is not asked again (ms).
const LEFT_ALONE: u64 = 30_000;

/// Why it is not known what services have.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("an application service that may have it does not answer")]
    Silent,
    #[error(transparent)]
    Ours(#[from] Ours),
}

/// Until when services are not asked that failed (ms), by their IDs and the kind of question: whoever has a service fail at
/// one does not keep others from asking the rest.
#[derive(Default)]
struct Silent(RefCell<BTreeMap<(String, &'static str), u64>>);

/// Asks for a user of ours whom somebody names, unless there is an account or no service has such users.
pub async fn ask_for_user(world: &World, user: &UserId) -> Result<(), Ours> {
    let services = match appservices(world).await {
        Ok(services) => services,
        Err(error) => {
            tracing::warn!(%user, %error, "no application service is asked for a user");
            return Ok(());
        }
    };
    // The user that a service is needs no account.
    if services.has_sender(user) {
        return Ok(());
    }
    let concerned: Vec<_> = services.iter().filter(|service| service.has_user(user)).collect();
    if concerned.iter().all(|service| service.place().is_none())
        || accounts::find(world, user.localpart()).await?.is_some()
    {
        return Ok(());
    }
    // Who is invited need not be there.
    _ = any(world, &concerned, "users", user.as_str()).await;
    Ok(())
}

/// Asks for an alias of ours that is not there; answers whether a service says that it is there now.
pub async fn ask_for_alias(world: &World, alias: &RoomAliasId) -> Result<bool, Unanswered> {
    let services = appservices(world).await?;
    let concerned: Vec<_> =
        services.iter().filter(|service| service.has_alias(alias.as_str())).collect();
    any(world, &concerned, "rooms", alias.as_str()).await.ok_or(Unanswered::Silent)
}

/// Whether one of these services has what is asked for; `None` where none says so, and one does not answer.
async fn any(
    world: &World,
    services: &[&Rc<Appservice>],
    kind: &'static str,
    name: &str,
) -> Option<bool> {
    let mut found = Some(false);
    for service in services {
        let Some(place) = service.place() else { continue };
        if is_left_alone(world, (service.id(), kind)) {
            found = None;
            continue;
        }
        match remote::has(world, place, (kind, name)).await {
            Ok(true) => return Some(true),
            Ok(false) => {}
            Err(error) => {
                found = None;
                leave_alone(world, (service.id(), kind));
                tracing::info!(id = service.id(), %error, "an application service was asked in vain");
            }
        }
    }
    found
}

/// Whether a service failed lately at a kind of question, and is not asked for a while.
pub fn is_left_alone(world: &World, (id, kind): (&str, &'static str)) -> bool {
    let silent = world.isolate(|_| Silent::default());
    silent.0.borrow().get(&(id.to_owned(), kind)).is_some_and(|until| *until > world.now())
}

/// Notes that a service failed.
pub fn leave_alone(world: &World, (id, kind): (&str, &'static str)) {
    let until = world.now().saturating_add(LEFT_ALONE);
    world.isolate(|_| Silent::default()).0.borrow_mut().insert((id.to_owned(), kind), until);
}
