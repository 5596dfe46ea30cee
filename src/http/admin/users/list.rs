//! Which accounts are there?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{must_be_admin, shown};
use crate::{
    config::Config,
    error::{Result, internal, invalid_param},
    http::{endpoint::json_response, query, router::Router},
    stores::accounts::{self, Wanted},
};

/// How many accounts a page has, unless the operator says it, and at most.
const USUAL: u32 = 100;
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
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let count = |name: &str, usual: u32| match query::first(&pairs, name) {
        Some(text) => text.parse().map_err(|_| invalid_param(format!("`{name}` is no count"))),
        None => Ok(usual),
    };
    let (from, limit) = (count("from", 0)?.into(), count("limit", USUAL)?.min(MOST).into());
    let order = query::first(&pairs, "order_by").unwrap_or("name");
    if !ORDERS.contains(&order) {
        return Err(invalid_param("`order_by` is not known"));
    }
    let backwards = match query::first(&pairs, "dir") {
        None | Some("f") => false,
        Some("b") => true,
        Some(_) => return Err(invalid_param("`dir` is f or b")),
    };
    let name = query::first(&pairs, "name").filter(|name| !name.is_empty());
    let name = name.map(str::to_lowercase);
    let user_id = query::first(&pairs, "user_id").filter(|_| name.is_none());
    let user_id = user_id.map(str::to_lowercase);
    let wanted = Wanted {
        name: name.as_deref(),
        user_id: user_id.as_deref(),
        admin: flag(&pairs, "admins")?,
        deactivated: listed(flag(&pairs, "deactivated")?),
        order,
        backwards,
        from,
        limit,
    };
    let (found, total) = accounts::list(world, server, &wanted).await?;
    let next = wanted.from.saturating_add(found.len() as u64);
    let mut users = Vec::new();
    for (localpart, account) in &found {
        let user = UserId::parse(format!("@{localpart}:{server}")).map_err(internal)?;
        users.push(Value::Object(shown(&user, account)));
    }
    let mut answer = json!({ "users": users, "total": total });
    if next < total && !found.is_empty() {
        answer["next_token"] = json!(next.to_string());
    }
    json_response(StatusCode::OK, &answer)
}

fn flag(pairs: &[(String, String)], name: &str) -> Result<Option<bool>> {
    match query::first(pairs, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(invalid_param(format!("`{name}` is true or false"))),
    }
}
