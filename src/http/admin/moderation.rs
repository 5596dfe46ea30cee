//! How does an operator lock or suspend an account?
//! ([server administration](https://spec.matrix.org/v1.19/client-server-api/#server-administration), and [suspension] as
//! Synapse has it)
//!
//! [suspension]: https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#suspendunsuspend-account

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;

use super::admin;
use crate::{
    error::{Result, forbidden},
    http::{
        admin::local_account,
        auth::user_object,
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::user_sync::messages::{Moderate, Moderation, ModerationOf},
};

const LOCK: &str = "/_matrix/client/v1/admin/lock/{user_id}";
const SUSPEND: &str = "/_matrix/client/v1/admin/suspend/{user_id}";
const SYNAPSE_SUSPEND: &str = "/_synapse/admin/v1/suspend/{user_id}";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, LOCK, is_locked);
    router.page(&Method::PUT, LOCK, lock);
    router.page(&Method::GET, SUSPEND, is_suspended);
    router.page(&Method::PUT, SUSPEND, suspend);
    router.page(&Method::PUT, SYNAPSE_SUSPEND, suspend_as_synapse);
}

#[derive(Deserialize)]
struct Lock {
    locked: bool,
}

#[derive(Deserialize)]
struct Suspend {
    #[serde(alias = "suspend")]
    suspended: bool,
}

async fn is_locked(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let Moderation { locked, .. } = moderation(&world, &request, &user).await?;
    json_response(StatusCode::OK, &json!({ "locked": locked }))
}

async fn is_suspended(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let Moderation { suspended, .. } = moderation(&world, &request, &user).await?;
    json_response(StatusCode::OK, &json!({ "suspended": suspended }))
}

async fn lock(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    must_be_another(&world, &request, &user).await?;
    let Lock { locked } = json_body(&request)?;
    let moderate = Moderate { locked: Some(locked), suspended: None };
    world.ask(&user_object(&user), &moderate).await?;
    json_response(StatusCode::OK, &json!({ "locked": locked }))
}

async fn suspend(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let suspended = set_suspended(&world, &request, &user).await?;
    json_response(StatusCode::OK, &json!({ "suspended": suspended }))
}

async fn suspend_as_synapse(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let suspended = set_suspended(&world, &request, &user).await?;
    json_response(StatusCode::OK, &json!({ format!("user_{user}_suspended"): suspended }))
}

async fn set_suspended(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<bool> {
    must_be_another(world, request, user).await?;
    let Suspend { suspended } = json_body(request)?;
    let moderate = Moderate { locked: None, suspended: Some(suspended) };
    world.ask(&user_object(user), &moderate).await?;
    Ok(suspended)
}

async fn moderation(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<Moderation> {
    operator(world, request, user).await?;
    Ok(world.ask(&user_object(user), &ModerationOf {}).await?)
}

async fn must_be_another(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<()> {
    let is_own = operator(world, request, user).await? == user;
    if is_own { Err(forbidden("This is your own account")) } else { Ok(()) }
}

/// The operator who asks, about a user of this server who is no other operator. Nobody else learns who has an account.
async fn operator(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<OwnedUserId> {
    let operator = admin(world, request).await?.user;
    let account = local_account(world, user).await?;
    if account.admin && operator != user {
        return Err(forbidden("This user is a server admin"));
    }
    Ok(operator)
}
