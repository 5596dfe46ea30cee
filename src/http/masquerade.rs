//! As whom does an application service ask?
//! ([identity assertion](https://spec.matrix.org/v1.19/application-service-api/#identity-assertion))

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use bytes::Bytes;
use http::Request;
use ruma::{OwnedUserId, UserId};
use tombolo_platform::World;

use super::query;
use crate::{
    error::{Result, forbidden, invalid_param},
    flows::appservices::{Appservice, registrations},
    objects::user_sync::messages::Cost,
    stores::accounts,
};

/// How the device is named that the service says it is. Services send the older name beside.
pub const DEVICES: [&str; 2] = ["device_id", "org.matrix.msc3202.device_id"];
/// Of how many users an isolate remembers that they are registered.
const MOST_REGISTERED: usize = 10_000;

/// An application service that acts as a user.
pub struct Masquerade {
    pub appservice: Rc<Appservice>,
    pub user: OwnedUserId,
    /// The device, if the request is of one.
    pub device_id: Option<String>,
}

/// Users of whom it is known that they have an account: it never goes, though it may be deactivated.
#[derive(Default)]
struct Registered(RefCell<BTreeSet<OwnedUserId>>);

/// As whom an application service sends a request; `None` if the token is of none.
pub async fn masquerade(
    world: &World,
    request: &Request<Bytes>,
    token: &str,
) -> Result<Option<Masquerade>> {
    let Some(appservice) = registrations::by_token(world, token).await? else { return Ok(None) };
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let device_id = DEVICES.into_iter().find_map(|name| query::first(&pairs, name));
    let device_id = device_id.map(str::to_owned);
    let user = match query::first(&pairs, "user_id") {
        Some(user) => asserted(world, &appservice, user).await?,
        // The sender needs not be registered.
        None => appservice.sender.clone(),
    };
    Ok(Some(Masquerade { appservice, user, device_id }))
}

async fn asserted(world: &World, appservice: &Appservice, user: &str) -> Result<OwnedUserId> {
    let user = UserId::parse(user).map_err(|_| invalid_param("`user_id` is no user ID"))?;
    if !appservice.has_user(&user) {
        return Err(forbidden("The application service has nothing to do with this user"));
    }
    if user != appservice.sender && !is_registered(world, &user).await? {
        return Err(forbidden("The application service has not registered this user"));
    }
    Ok(user)
}

async fn is_registered(world: &World, user: &UserId) -> Result<bool> {
    let registered = world.isolate(|_| Registered::default());
    if registered.0.borrow().contains(user) {
        return Ok(true);
    }
    let is_registered = accounts::find(world, user.localpart()).await?.is_some();
    if is_registered {
        let mut registered = registered.0.borrow_mut();
        if registered.len() >= MOST_REGISTERED {
            registered.clear();
        }
        registered.insert(user.to_owned());
    }
    Ok(is_registered)
}

impl Masquerade {
    /// What a request costs: the sender is never held to limits, its other users only if the registration says so.
    pub fn cost(&self, cost: Cost) -> Cost {
        let is_limited = self.appservice.registration.rate_limited;
        if is_limited && self.user != self.appservice.sender { cost } else { Cost::Free }
    }

    /// What the transactions of a request go by: the device, or a name that no device has.
    pub fn scope(&self) -> String {
        match &self.device_id {
            Some(device) => device.clone(),
            None => format!("{NO_DEVICE}{}", self.appservice.id()),
        }
    }
}

/// How the names begin by which transactions go that are of no device.
pub const NO_DEVICE: char = '\u{1}';
