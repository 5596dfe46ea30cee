//! How does an operator keep media from being read, or remove them? ([media], as Synapse's admin API has them)
//!
//! What is quarantined is not found by anybody, whatever it is called: nor is an equal content, uploaded before or later.
//!
//! [media]: https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html

mod room;
#[cfg(test)]
mod tests;
mod users;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedServerName;
use serde_json::json;
use tombolo_platform::World;

use super::{must_be_admin, paging::Paging};
use crate::{
    config::Config,
    error::{Error, Result, missing_param, not_found},
    flows::{self, media::TOUCH},
    http::{endpoint::json_response, router::Router},
    stores::media::{self, Name},
};

const QUARANTINE: &str = "/_synapse/admin/v1/media/quarantine/{server_name}/{media_id}";
const UNQUARANTINE: &str = "/_synapse/admin/v1/media/unquarantine/{server_name}/{media_id}";
const ONE: &str = "/_synapse/admin/v1/media/{server_name}/{media_id}";
const CACHE: &str = "/_synapse/admin/v1/purge_media_cache";

/// How many media of other servers one request removes at most: each is a few writes.
const MOST_PURGED: usize = 100;

type Path = (OwnedServerName, String);

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, QUARANTINE, quarantine);
    router.page(&Method::POST, UNQUARANTINE, unquarantine);
    router.page(&Method::DELETE, ONE, delete);
    router.page(&Method::POST, CACHE, purge_cache);
    room::routes(router);
    users::routes(router);
}

async fn quarantine(world: World, request: Request<Bytes>, path: Path) -> Result<Response<Bytes>> {
    set(world, request, path, true).await
}

async fn unquarantine(
    world: World,
    request: Request<Bytes>,
    path: Path,
) -> Result<Response<Bytes>> {
    set(world, request, path, false).await
}

async fn set(
    world: World,
    request: Request<Bytes>,
    (server, media_id): Path,
    quarantined: bool,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let name = Name { server: server.as_str(), media_id: &media_id };
    if !media::quarantine(&world, name, quarantined).await? {
        return Err(not_found("There are no such media"));
    }
    json_response(StatusCode::OK, &json!({}))
}

async fn delete(
    world: World,
    request: Request<Bytes>,
    (server, media_id): Path,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    if server != Config::of(&world)?.server_name {
        let message = "Only media of this server are deleted";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
    }
    let name = Name { server: server.as_str(), media_id: &media_id };
    if !flows::media::delete(&world, name).await? {
        return Err(not_found("There are no such media"));
    }
    json_response(StatusCode::OK, &json!({ "deleted_media": [media_id], "total": 1 }))
}

/// Removes media of other servers that nobody has read since then (ms): some of them, and how many that were. That media were
/// read is noted once a day, so they stay for a day more.
async fn purge_cache(world: World, request: Request<Bytes>, (): ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let since = Paging::of(request.uri().query()).time("before_ts")?;
    let since = since.ok_or_else(|| missing_param("`before_ts` is missing"))?;
    let (since, own) = (since.saturating_sub(TOUCH), &Config::of(&world)?.server_name);
    let unread = media::unread_since(&world, since, (Some(own.as_str()), MOST_PURGED)).await?;
    for (server, media_id) in &unread {
        flows::media::delete(&world, Name { server, media_id }).await?;
    }
    json_response(StatusCode::OK, &json!({ "deleted": unread.len() }))
}
