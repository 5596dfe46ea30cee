//! How does an operator make an account, change it or end it?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{ADMIN, ONE, account, devices::log_out_all, must_be_local, whole};
use crate::{
    error::{Result, forbidden, invalid_param},
    http::{
        admin::{admin, must_be_admin},
        auth::user_object,
        client::account::{
            deactivate::give_up, profiles::set_field, register::create_account, usernames,
        },
        credentials,
        endpoint::{json_body, json_response},
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
    #[serde(default)]
    threepids: Vec<Value>,
    #[serde(default)]
    external_ids: Vec<Value>,
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
    let operator = admin(&world, &request).await?.user;
    let body: Put = json_body(&request)?;
    if body.user_type.is_some() || !body.threepids.is_empty() || !body.external_ids.is_empty() {
        return Err(invalid_param("There are no kinds of users, and no other identifiers of them"));
    }
    must_be_local(&world, &user)?;
    let held = accounts::listed(&world, user.localpart()).await?;
    if let Some(held) = &held {
        must_be_possible(&body, held, (&operator, &user))?;
    }
    let status = if held.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    if held.is_none() {
        let user = usernames::parse(user.localpart(), user.server_name())?;
        let admin = body.admin.unwrap_or_default();
        create_account(&world, &user, body.password.as_deref(), admin).await?;
    } else if let Some(password) = &body.password {
        set_password(&world, &user, password, body.logout_devices).await?;
    }
    if let (Some(_), Some(admin)) = (&held, body.admin) {
        accounts::set_admin(&world, user.localpart(), admin).await?;
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

/// Refuses what cannot be undone by its author, and what cannot be done.
fn must_be_possible(body: &Put, held: &Listed, (operator, user): (&UserId, &UserId)) -> Result<()> {
    if held.deactivated {
        return Err(invalid_param("The account is deactivated, for good"));
    }
    let ends =
        body.admin == Some(false) || body.locked == Some(true) || body.deactivated == Some(true);
    if operator == user && ends {
        return Err(invalid_param("This is your own account"));
    }
    if held.admin && operator != user && body.locked == Some(true) {
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
        return Err(invalid_param("You may not demote yourself"));
    }
    must_be_alive(&world, &user).await?;
    accounts::set_admin(&world, user.localpart(), admin).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn deactivate(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let Deactivation { erase } =
        if request.body().is_empty() { Deactivation::default() } else { json_body(&request)? };
    account(&world, &user).await?;
    give_up(&world, &user, erase).await?;
    // There is no server at which an identifier of a third party could be bound.
    json_response(StatusCode::OK, &json!({ "id_server_unbind_result": "success" }))
}

async fn reset_password(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let Reset { new_password, logout_devices } = json_body(&request)?;
    must_be_alive(&world, &user).await?;
    set_password(&world, &user, &new_password, logout_devices).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn must_be_alive(world: &World, user: &UserId) -> Result<()> {
    if account(world, user).await?.deactivated {
        return Err(invalid_param("The account is deactivated, for good"));
    }
    Ok(())
}

/// The new password is kept first: a crash before the devices are logged out leaves none that came by it.
async fn set_password(
    world: &World,
    user: &UserId,
    password: &str,
    logout_devices: bool,
) -> Result<()> {
    let hash = credentials::hash(world, password)?;
    accounts::set_password(world, user.localpart(), &hash).await?;
    if logout_devices {
        log_out_all(world, user).await?;
    }
    Ok(())
}
