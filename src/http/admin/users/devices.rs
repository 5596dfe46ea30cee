//! On which devices is a user logged in, and how are they logged out?

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{asked, devices_of, if_used};
use crate::{
    error::{Result, not_found},
    flows::keys::removed,
    http::{
        auth::{Session, user_object},
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::user_sync::messages::{Device, RemoveDevices},
};

const ALL: &str = "/_synapse/admin/v2/users/{user_id}/devices";
const ONE: &str = "/_synapse/admin/v2/users/{user_id}/devices/{device_id}";
const DELETE: &str = "/_synapse/admin/v2/users/{user_id}/delete_devices";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ALL, list);
    router.page(&Method::GET, ONE, show);
    router.page(&Method::DELETE, ONE, delete);
    router.page(&Method::POST, DELETE, delete_some);
}

#[derive(Deserialize)]
struct Named {
    devices: Vec<String>,
}

async fn list(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let devices = devices_of(&world, &user).await?;
    let devices: Vec<Value> = devices.iter().map(|device| shown(&user, device)).collect();
    json_response(StatusCode::OK, &json!({ "devices": devices, "total": devices.len() }))
}

async fn show(
    world: World,
    request: Request<Bytes>,
    (user, device_id): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let mut devices = devices_of(&world, &user).await?.into_iter();
    let device = devices.find(|device| device.device_id == device_id);
    let device = device.ok_or_else(|| not_found("There is no such device"))?;
    json_response(StatusCode::OK, &shown(&user, &device))
}

async fn delete(
    world: World,
    request: Request<Bytes>,
    (user, device_id): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    log_out(&world, &user, vec![device_id]).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn delete_some(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    asked(&world, &request, &user).await?;
    let Named { devices } = json_body(&request)?;
    log_out(&world, &user, devices).await?;
    json_response(StatusCode::OK, &json!({}))
}

/// Logs a user out everywhere, but for the device with which the operator asks for it.
pub async fn log_out_all(world: &World, operator: &Session, user: &UserId) -> Result<()> {
    let names = devices_of(world, user).await?.into_iter().map(|device| device.device_id);
    let is_asking = |name: &String| operator.user == *user && operator.device == *name;
    log_out(world, user, names.filter(|name| !is_asking(name)).collect()).await
}

async fn log_out(world: &World, user: &UserId, device_ids: Vec<String>) -> Result<()> {
    if_used(world.ask(&user_object(user), &RemoveDevices { device_ids }).await)?;
    removed::drop_now(world, user).await;
    Ok(())
}

fn shown(user: &UserId, device: &Device) -> Value {
    json!({
        "user_id": user,
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ts": device.last_seen_ts,
    })
}
