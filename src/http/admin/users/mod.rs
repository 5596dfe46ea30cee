//! What does an operator learn of accounts, and how are they changed? ([user admin API], as Synapse has it)
//!
//! Whether an account is locked, suspended or erased, and when it was seen last, is known to its own object alone: a list
//! of accounts does not say it. There are no guests, no shadow bans, and no identifiers of third parties. Who is
//! deactivated stays so.
//!
//! [user admin API]: https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html

mod change;
mod devices;
mod list;
mod login;
mod rate_limit;
mod stored;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};
use tombolo_platform::World;

use super::{devices_of, if_used, must_be_admin, must_be_local};
use crate::{
    error::{Result, not_found},
    http::{auth::user_object, endpoint::json_response, router::Router},
    objects::user_sync::messages::{JoinedRooms, Moderation, ModerationOf},
    stores::accounts::{self, Listed},
};

const ONE: &str = "/_synapse/admin/v2/users/{user_id}";
const ADMIN: &str = "/_synapse/admin/v1/users/{user_id}/admin";
const ROOMS: &str = "/_synapse/admin/v1/users/{user_id}/joined_rooms";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ONE, show);
    router.page(&Method::GET, ADMIN, show_admin);
    router.page(&Method::GET, ROOMS, rooms);
    list::routes(router);
    change::routes(router);
    devices::routes(router);
    login::routes(router);
    rate_limit::routes(router);
    stored::routes(router);
}

async fn show(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    let account = asked(&world, &request, &user).await?;
    json_response(StatusCode::OK, &whole(&world, &user, &account).await?)
}

async fn show_admin(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let Listed { admin, .. } = asked(&world, &request, &user).await?;
    json_response(StatusCode::OK, &json!({ "admin": admin }))
}

async fn rooms(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let rooms = if_used(world.ask(&user_object(&user), &JoinedRooms {}).await)?;
    json_response(StatusCode::OK, &json!({ "joined_rooms": rooms, "total": rooms.len() }))
}

/// The account of which an operator asks.
async fn asked(world: &World, request: &Request<Bytes>, user: &UserId) -> Result<Listed> {
    must_be_admin(world, request).await?;
    account(world, user).await
}

/// The account of a user, who must be of this server. It may be deactivated.
pub async fn account(world: &World, user: &UserId) -> Result<Listed> {
    must_be_local(world, user)?;
    let account = accounts::listed(world, user.localpart()).await?;
    account.ok_or_else(|| not_found("There is no such user"))
}

/// All that is told of an account.
async fn whole(world: &World, user: &UserId, account: &Listed) -> Result<Map<String, Value>> {
    let is = world.ask(&user_object(user), &ModerationOf {}).await?;
    let Moderation { locked, suspended, erased } = is;
    let devices = devices_of(world, user).await?;
    let seen = devices.iter().filter_map(|device| device.last_seen_ts).max();
    let mut shown = shown(user, account);
    shown.extend([
        ("last_seen_ts".to_owned(), json!(seen)),
        ("locked".to_owned(), json!(locked)),
        ("suspended".to_owned(), json!(suspended)),
        ("erased".to_owned(), json!(erased)),
        ("threepids".to_owned(), json!([])),
        ("external_ids".to_owned(), json!([])),
    ]);
    Ok(shown)
}

/// What a list tells of an account.
fn shown(user: &UserId, account: &Listed) -> Map<String, Value> {
    let shown = [
        ("name", json!(user)),
        ("displayname", json!(account.displayname)),
        ("avatar_url", json!(account.avatar_url)),
        ("admin", json!(account.admin)),
        ("deactivated", json!(account.deactivated)),
        ("creation_ts", json!(account.created_ts)),
        ("is_guest", json!(false)),
        ("shadow_banned", json!(false)),
        ("user_type", Value::Null),
    ];
    shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
