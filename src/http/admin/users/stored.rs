//! What does an operator see of what a user has: rooms, pushers, account data? May a name be had?

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::membership::Membership;

use super::{asked, if_used, must_be_admin};
use crate::{
    config::Config,
    error::{Result, missing_param},
    http::{
        auth::user_object,
        client::account::{register::must_be_free, usernames},
        endpoint::json_response,
        query,
        router::Router,
    },
    objects::user_sync::messages::{AllAccountData, Memberships, Pushers},
};

const MEMBERSHIPS: &str = "/_synapse/admin/v1/users/{user_id}/memberships";
const PUSHERS: &str = "/_synapse/admin/v1/users/{user_id}/pushers";
const ACCOUNT_DATA: &str = "/_synapse/admin/v1/users/{user_id}/accountdata";
const AVAILABLE: &str = "/_synapse/admin/v1/username_available";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, MEMBERSHIPS, memberships);
    router.page(&Method::GET, PUSHERS, pushers);
    router.page(&Method::GET, ACCOUNT_DATA, account_data);
    router.page(&Method::GET, AVAILABLE, is_available);
}

async fn memberships(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let held = if_used(world.ask(&user_object(&user), &Memberships {}).await)?;
    let held: BTreeMap<_, Membership> = held.into_iter().collect();
    json_response(StatusCode::OK, &json!({ "memberships": held }))
}

#[derive(Serialize)]
struct Shown {
    pushers: Vec<Box<RawValue>>,
    total: usize,
}

async fn pushers(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let pushers = if_used(world.ask(&user_object(&user), &Pushers {}).await)?;
    json_response(StatusCode::OK, &Shown { total: pushers.len(), pushers })
}

#[derive(Default, Serialize)]
struct Stored {
    global: BTreeMap<String, Box<RawValue>>,
    rooms: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
}

#[derive(Serialize)]
struct AccountData {
    account_data: Stored,
}

async fn account_data(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let mut account_data = Stored::default();
    for item in if_used(world.ask(&user_object(&user), &AllAccountData {}).await)? {
        let items = match item.room_id {
            None => &mut account_data.global,
            Some(room) => account_data.rooms.entry(room.to_string()).or_default(),
        };
        items.insert(item.event_type, item.content);
    }
    json_response(StatusCode::OK, &AccountData { account_data })
}

/// Whether an account of this name can be made, though registration may be closed.
async fn is_available(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let name = query::first(&pairs, "username");
    let name = name.ok_or_else(|| missing_param("There is no `username`"))?;
    let user = usernames::parse(name, &Config::of(&world)?.server_name)?;
    must_be_free(&world, &user).await?;
    json_response(StatusCode::OK, &json!({ "available": true }))
}
