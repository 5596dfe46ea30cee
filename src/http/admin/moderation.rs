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
    let operator = admin(&world, &request).await?.user;
    let Lock { locked } = json_body(&request)?;
    may_moderate(&world, (&operator, &user), locked).await?;
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
    let operator = admin(world, request).await?.user;
    let Suspend { suspended } = json_body(request)?;
    may_moderate(world, (&operator, user), suspended).await?;
    let moderate = Moderate { locked: None, suspended: Some(suspended) };
    world.ask(&user_object(user), &moderate).await?;
    Ok(suspended)
}

async fn moderation(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<Moderation> {
    let operator = admin(world, request).await?.user;
    must_be_no_other_operator(world, (&operator, user)).await?;
    Ok(world.ask(&user_object(user), &ModerationOf {}).await?)
}

/// Refuses to lock or suspend the operator's own account, or that of another operator. To end that is allowed of every
/// account: an operator may have been locked before they became one.
async fn may_moderate(
    world: &World,
    (operator, user): (&UserId, &UserId),
    begins: bool,
) -> Result<()> {
    if !begins {
        return local_account(world, user).await.map(|_| ());
    }
    must_be_no_other_operator(world, (operator, user)).await?;
    if operator == user { Err(forbidden("This is your own account")) } else { Ok(()) }
}

/// Refuses about another operator, and a user who is not of this server. Only an operator learns who has an account.
async fn must_be_no_other_operator(
    world: &World,
    (operator, user): (&UserId, &UserId),
) -> Result<()> {
    let account = local_account(world, user).await?;
    if account.admin && operator != user {
        return Err(forbidden("This user is a server admin"));
    }
    Ok(())
}
