//! Which accounts are there?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{must_be_admin, shown};
use crate::{
    config::Config,
    error::{Result, internal},
    http::{
        admin::paging::{Paging, note_next},
        endpoint::json_response,
        router::Router,
    },
    stores::accounts::{self, Wanted},
};

/// How many accounts a page has at most.
const MOST: u32 = 1_000;
/// By what accounts are ordered. What a list does not know, or what is the same for all, leaves them ordered by name.
const ORDERS: [&str; 11] = [
    "name",
    "displayname",
    "avatar_url",
    "admin",
    "deactivated",
    "creation_ts",
    "is_guest",
    "user_type",
    "shadow_banned",
    "last_seen_ts",
    "locked",
];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_synapse/admin/v2/users", with_deactivated);
    router.page(&Method::GET, "/_synapse/admin/v3/users", list);
}

/// Here `deactivated` says whether those are listed too.
async fn with_deactivated(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    page(&world, &request, |too| if too == Some(true) { None } else { Some(false) }).await
}

/// Here `deactivated` says whether only those are listed.
async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    page(&world, &request, |only| only).await
}

async fn page(
    world: &World,
    request: &Request<Bytes>,
    listed: fn(Option<bool>) -> Option<bool>,
) -> Result<Response<Bytes>> {
    must_be_admin(world, request).await?;
    let server = &Config::of(world)?.server_name;
    let paging = Paging::of(request.uri().query());
    let page = paging.page(MOST)?;
    let name = paging.first("name").filter(|name| !name.is_empty());
    let name = name.map(str::to_lowercase);
    let user_id = paging.first("user_id").filter(|_| name.is_none());
    let user_id = user_id.map(str::to_lowercase);
    let wanted = Wanted {
        name: name.as_deref(),
        user_id: user_id.as_deref(),
        admin: paging.flag("admins")?,
        deactivated: listed(paging.flag("deactivated")?),
        order: paging.order(&ORDERS, "name")?,
        backwards: paging.backwards()?,
        from: page.from.into(),
        limit: page.limit.into(),
    };
    let (found, total) = accounts::list(world, server, &wanted).await?;
    let mut users = Vec::new();
    for (localpart, account) in &found {
        let user = UserId::parse(format!("@{localpart}:{server}")).map_err(internal)?;
        users.push(Value::Object(shown(&user, account)));
    }
    let mut answer = json!({ "users": users, "total": total });
    note_next(&mut answer, page.next(found.len(), total).map(|next| next.to_string()));
    json_response(StatusCode::OK, &answer)
}
