//! How does an operator make an account, change it or end it?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{ADMIN, ONE, account, devices::log_out_all, must_be_local, whole};
use crate::{
    error::{Error, Result, forbidden, invalid_param},
    http::{
        admin::admin,
        auth::{Session, user_object},
        client::account::{
            deactivate::give_up,
            profiles::{must_fit, set_field},
            register::create_account,
            usernames,
        },
        credentials,
        endpoint::{json_body, json_body_if_any, json_response},
        router::Router,
    },
    objects::user_sync::messages::Moderate,
    stores::accounts::{self, Listed},
};

const DEACTIVATE: &str = "/_synapse/admin/v1/deactivate/{user_id}";
const RESET: &str = "/_synapse/admin/v1/reset_password/{user_id}";

pub fn routes(router: &mut Router) {
    router.page(&Method::PUT, ONE, put);
    router.page(&Method::PUT, ADMIN, set_admin);
    router.page(&Method::POST, DEACTIVATE, deactivate);
    router.page(&Method::POST, RESET, reset_password);
}

#[derive(Deserialize)]
struct Put {
    password: Option<String>,
    #[serde(default = "yes")]
    logout_devices: bool,
    displayname: Option<String>,
    avatar_url: Option<String>,
    admin: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
    user_type: Option<String>,
    threepids: Option<Vec<Value>>,
    external_ids: Option<Vec<Value>>,
}

impl Put {
    /// Whether the account is to end, and nothing else: that may be asked again, for example where the answer was lost.
    fn only_ends(&self) -> bool {
        matches!(
            self,
            Put {
                deactivated: Some(true),
                password: None,
                displayname: None,
                avatar_url: None,
                admin: None,
                locked: None,
                ..
            }
        )
    }
}

#[derive(Deserialize)]
struct Admin {
    admin: bool,
}

#[derive(Default, Deserialize)]
struct Deactivation {
    #[serde(default)]
    erase: bool,
}

#[derive(Deserialize)]
struct Reset {
    new_password: String,
    #[serde(default = "yes")]
    logout_devices: bool,
}

fn yes() -> bool {
    true
}

/// Makes an account, or changes what the body names of one.
async fn put(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?;
    let body: Put = json_body(&request)?;
    must_be_local(&world, &user)?;
    let held = accounts::listed(&world, user.localpart()).await?;
    must_be_possible(&body, held.as_ref(), (&operator.user, &user))?;
    let status = if held.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    if held.is_none() {
        let admin = body.admin.unwrap_or_default();
        create_account(&world, &user, (body.password.as_deref(), admin), None).await?;
    } else {
        if let Some(password) = &body.password {
            set_password(&world, &operator, &user, (password, body.logout_devices)).await?;
        }
        if let Some(admin) = body.admin {
            make_admin(&world, &user, admin).await?;
        }
    }
    for (name, value) in [("displayname", body.displayname), ("avatar_url", body.avatar_url)] {
        if let Some(value) = value {
            set_field(&world, &user, (name, Some(json!(value)))).await?;
        }
    }
    if let Some(locked) = body.locked {
        let moderate = Moderate { locked: Some(locked), suspended: None };
        world.ask(&user_object(&user), &moderate).await?;
    }
    if body.deactivated == Some(true) {
        give_up(&world, &user, false).await?;
    }
    json_response(status, &whole(&world, &user, &account(&world, &user).await?).await?)
}

/// Refuses, before anything is changed, what cannot be done, and what an operator could not undo for themselves.
fn must_be_possible(
    body: &Put,
    held: Option<&Listed>,
    (operator, user): (&UserId, &UserId),
) -> Result<()> {
    let is_any = |given: &Option<Vec<Value>>| given.iter().flatten().next().is_some();
    if body.user_type.is_some() || is_any(&body.threepids) || is_any(&body.external_ids) {
        return Err(invalid_param("There are no kinds of users, and no other identifiers of them"));
    }
    for text in [&body.displayname, &body.avatar_url].into_iter().flatten() {
        must_fit(text)?;
    }
    if held.is_some_and(|held| held.deactivated) && !body.only_ends() {
        return Err(deactivated());
    }
    // A name is written in one way only: by another one, another account would be made.
    if held.is_none() && *usernames::parse(user.localpart(), user.server_name())? != *user {
        let message = "A username has only the characters a-z, 0-9 and ._=-/+";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_INVALID_USERNAME", message));
    }
    let ends =
        body.admin == Some(false) || body.locked == Some(true) || body.deactivated == Some(true);
    if operator == user && ends {
        return Err(own_account());
    }
    let is_admin = body.admin.unwrap_or(held.is_some_and(|held| held.admin));
    if is_admin && body.locked == Some(true) {
        return Err(forbidden("This user is a server admin"));
    }
    Ok(())
}

async fn set_admin(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let Admin { admin } = json_body(&request)?;
    if operator == user && !admin {
        return Err(own_account());
    }
    account(&world, &user).await?;
    make_admin(&world, &user, admin).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn deactivate(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let Deactivation { erase } = json_body_if_any(&request)?;
    account(&world, &user).await?;
    if operator == user {
        return Err(own_account());
    }
    give_up(&world, &user, erase).await?;
    // There is no server at which an identifier of a third party could be bound.
    json_response(StatusCode::OK, &json!({ "id_server_unbind_result": "success" }))
}

async fn reset_password(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?;
    let Reset { new_password, logout_devices } = json_body(&request)?;
    account(&world, &user).await?;
    set_password(&world, &operator, &user, (&new_password, logout_devices)).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn make_admin(world: &World, user: &UserId, admin: bool) -> Result<()> {
    let made = accounts::set_admin(world, user.localpart(), admin).await?;
    if made { Ok(()) } else { Err(deactivated()) }
}

/// The new password is kept first: a crash before the devices are logged out leaves sessions that the operator can end,
/// none that somebody opens with the old password.
async fn set_password(
    world: &World,
    operator: &Session,
    user: &UserId,
    (password, logout_devices): (&str, bool),
) -> Result<()> {
    let hash = credentials::hash(world, password)?;
    if !accounts::set_password(world, user.localpart(), &hash).await? {
        return Err(deactivated());
    }
    if logout_devices { log_out_all(world, operator, user).await } else { Ok(()) }
}

fn deactivated() -> Error {
    invalid_param("The account is deactivated, for good")
}

fn own_account() -> Error {
    invalid_param("This is your own account")
}
