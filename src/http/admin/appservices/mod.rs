//! How does an operator register application services? Like their files, as JSON; and live, without a restart.
//!
//! The launcher and the deployment register, too: they have the server's secret instead of an account.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tombolo_platform::World;

use super::must_be_admin;
use crate::{
    config::Config,
    error::{Error, Result, invalid_param, not_found, not_json},
    flows::appservices::{
        appservices,
        registrations::{self, Appservice, Unregistered},
    },
    http::{auth, endpoint::json_response, router::Router},
    objects::{
        appservice::messages::{Backlog, Purge, Retry},
        appservice_object,
    },
};

const ALL: &str = "/_tombolo/admin/v1/appservices";
const ONE: &str = "/_tombolo/admin/v1/appservices/{id}";
const PURGE: &str = "/_tombolo/admin/v1/appservices/{id}/purge";
const RETRY: &str = "/_tombolo/admin/v1/appservices/{id}/retry";

/// How many services are asked at once what they are owed.
const AT_ONCE: usize = 10;

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ALL, list);
    router.page(&Method::POST, ALL, register);
    router.page(&Method::GET, ONE, show);
    router.page(&Method::DELETE, ONE, remove);
    router.page(&Method::POST, PURGE, purge);
    router.page(&Method::POST, RETRY, retry);
}

/// Refuses who is neither an operator nor has the server's secret.
async fn must_be_operator(world: &World, request: &Request<Bytes>) -> Result<()> {
    let config = Config::of(world)?;
    match auth::token(request) {
        Some(token) if auth::is_ticket(&config, &token, world.now()) => Ok(()),
        _ => must_be_admin(world, request).await,
    }
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    let all = appservices(&world).await?;
    let all = stream::iter(all.iter()).map(|service| shown(&world, service));
    let all: Vec<Value> = all.buffered(AT_ONCE).try_collect().await?;
    json_response(StatusCode::OK, &json!({ "appservices": all }))
}

async fn register(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    let text = str::from_utf8(request.body()).map_err(|_| not_json("The body is not UTF-8"))?;
    let id = match registrations::register(&world, text).await {
        Ok(registration) => registration.id,
        Err(Unregistered::Unusable(sentence)) => return Err(invalid_param(sentence)),
        Err(Unregistered::Ours(error)) => return Err(error.into()),
    };
    json_response(StatusCode::OK, &json!({ "id": id }))
}

async fn show(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    let all = appservices(&world).await?;
    let service = all.get(&id).ok_or_else(unknown)?;
    json_response(StatusCode::OK, &shown(&world, service).await?)
}

async fn remove(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    if !registrations::remove(&world, &id).await? {
        return Err(unknown());
    }
    json_response(StatusCode::OK, &json!({}))
}

/// Drops what a service is owed.
async fn purge(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    must_be_known(&world, &id).await?;
    world.ask(&appservice_object(&id), &Purge {}).await?;
    json_response(StatusCode::OK, &json!({}))
}

/// Has a service that failed tried again now.
async fn retry(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_operator(&world, &request).await?;
    must_be_known(&world, &id).await?;
    world.ask(&appservice_object(&id), &Retry {}).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn must_be_known(world: &World, id: &str) -> Result<()> {
    appservices(world).await?.get(id).map(|_| ()).ok_or_else(unknown)
}

fn unknown() -> Error {
    not_found("There is no such application service")
}

/// What is told of a service: not its tokens.
async fn shown(world: &World, service: &Appservice) -> Result<Value> {
    let registration = &service.registration;
    let backlog = world.ask(&appservice_object(service.id()), &Backlog {}).await?;
    Ok(json!({
        "id": registration.id,
        "url": registration.url,
        "sender": service.sender,
        "rate_limited": registration.rate_limited,
        "namespaces": registration.namespaces,
        "protocols": registration.protocols,
        "receive_ephemeral": registration.receive_ephemeral,
        "org.matrix.msc3202": registration.encryption,
        "io.element.msc4190": registration.device_management,
        "backlog": backlog,
    }))
}
