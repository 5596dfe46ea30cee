//! Who am I, and on which devices am I logged in?
//! ([device management](https://spec.matrix.org/v1.19/client-server-api/#device-management))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::api::client::{
    account::whoami::v3 as whoami,
    device::{
        delete_device::v3 as delete_device, delete_devices::v3 as delete_devices,
        get_device::v3 as get_device, get_devices::v3 as get_devices,
        update_device::v3 as update_device,
    },
};
use serde::Serialize;
use serde_json::json;
use tombolo_platform::World;

use crate::{
    error::{Result, not_found, too_large},
    flows::keys::{removed, telling},
    http::{
        auth::{self, Session, user_object},
        endpoint::{json_response, paths_of},
        router::Router,
    },
    objects::{
        keys_object,
        user_keys::messages::NameDevice,
        user_sync::messages::{Cost, Device, Devices, RemoveDevices, RenameDevice},
    },
};

/// The longest name of a device, in bytes.
const MAX_NAME: usize = 1024;

pub fn routes(router: &mut Router) {
    router.endpoint::<whoami::Request, _, _>(who);
    for path in paths_of::<get_devices::Request>() {
        router.page(&Method::GET, path, list);
    }
    for path in paths_of::<get_device::Request>() {
        router.page(&Method::GET, path, one);
    }
    router.endpoint::<update_device::Request, _, _>(rename);
    router.proven::<delete_device::Request, _, _>(remove);
    router.proven::<delete_devices::Request, _, _>(remove_some);
}

async fn who(_: World, caller: Session, _: whoami::Request) -> Result<whoami::Response> {
    let mut response = whoami::Response::new(caller.user, false);
    response.device_id = Some(caller.device.into());
    Ok(response)
}

/// A device, as clients read it. Not ruma's type, which writes `null` for what must be absent.
#[derive(Serialize)]
struct Shown {
    device_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ts: Option<u64>,
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let devices: Vec<Shown> = devices_of(&world, &caller).await?;
    json_response(StatusCode::OK, &json!({ "devices": devices }))
}

async fn one(world: World, request: Request<Bytes>, device_id: String) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    json_response(StatusCode::OK, &find(&world, &caller, &device_id).await?)
}

async fn devices_of(world: &World, caller: &Session) -> Result<Vec<Shown>> {
    let devices = world.ask(&user_object(&caller.user), &Devices {}).await?;
    let shown = |Device { device_id, display_name, last_seen_ts }| Shown {
        device_id,
        display_name,
        last_seen_ts,
    };
    Ok(devices.into_iter().map(shown).collect())
}

async fn find(world: &World, caller: &Session, device_id: &str) -> Result<Shown> {
    let mut devices = devices_of(world, caller).await?.into_iter();
    let device = devices.find(|device| device.device_id == device_id);
    device.ok_or_else(|| not_found("No such device"))
}

async fn rename(
    world: World,
    caller: Session,
    request: update_device::Request,
) -> Result<update_device::Response> {
    let device_id = request.device_id.to_string();
    let Some(display_name) = request.display_name else {
        // Nothing to change, but only of a device that is there.
        find(&world, &caller, &device_id).await?;
        return Ok(update_device::Response::new());
    };
    check_name(Some(&display_name))?;
    let name = NameDevice { device: device_id.clone(), display_name: display_name.clone() };
    world.ask(&user_object(&caller.user), &RenameDevice { device_id, display_name }).await?;
    if world.ask(&keys_object(&caller.user), &name).await? {
        telling::tell_now(&world, &caller.user).await;
    }
    Ok(update_device::Response::new())
}

async fn remove(
    world: World,
    caller: Session,
    request: delete_device::Request,
) -> Result<delete_device::Response> {
    let device_ids = vec![request.device_id.to_string()];
    remove_all(&world, &caller, device_ids).await?;
    Ok(delete_device::Response::new())
}

async fn remove_some(
    world: World,
    caller: Session,
    request: delete_devices::Request,
) -> Result<delete_devices::Response> {
    let device_ids = request.devices.iter().map(ToString::to_string).collect();
    remove_all(&world, &caller, device_ids).await?;
    Ok(delete_devices::Response::new())
}

async fn remove_all(world: &World, caller: &Session, device_ids: Vec<String>) -> Result<()> {
    world.ask(&user_object(&caller.user), &RemoveDevices { device_ids }).await?;
    removed::drop_now(world, &caller.user).await;
    Ok(())
}

/// Refuses a name that is too long for a device.
pub fn check_name(name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if name.len() > MAX_NAME => Err(too_large("The name is too long")),
        _ => Ok(()),
    }
}
