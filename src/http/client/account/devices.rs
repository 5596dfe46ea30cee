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
use serde::{Deserialize, Serialize};
use serde_json::json;
use tombolo_platform::World;

use crate::{
    error::{Result, invalid_param, not_found, too_large},
    flows::keys::{removed, telling},
    http::{
        auth::{self, Session, user_object},
        endpoint::{json_body, json_response, paths_of},
        masquerade::NO_DEVICE,
        router::Router,
    },
    objects::{
        keys_object,
        user_keys::messages::NameDevice,
        user_sync::messages::{Cost, Device, Devices, MakeDevice, RemoveDevices, RenameDevice},
    },
};

/// The longest device ID that a client may choose, in bytes.
const MAX_ID: usize = 255;
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
    for path in paths_of::<update_device::Request>() {
        router.page(&Method::PUT, path, update);
    }
    router.proven::<delete_device::Request, _, _>(remove);
    router.proven::<delete_devices::Request, _, _>(remove_some);
}

async fn who(_: World, caller: Session, _: whoami::Request) -> Result<whoami::Response> {
    let device_id = caller.device_id().map(Into::into);
    let mut response = whoami::Response::new(caller.user, false);
    response.device_id = device_id;
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

/// What is to become of a device.
#[derive(Deserialize)]
struct Change {
    display_name: Option<String>,
}

/// Names a device. An application service makes one thereby that is not there
/// ([device management](https://spec.matrix.org/v1.19/application-service-api/#device-management)).
async fn update(
    world: World,
    request: Request<Bytes>,
    device_id: String,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let Change { display_name } = json_body(&request)?;
    check_name(display_name.as_deref())?;
    if caller.appservice.is_some() && make(&world, &caller, &device_id, &display_name).await? {
        return json_response(StatusCode::CREATED, &json!({}));
    }
    match display_name {
        Some(display_name) => rename(&world, &caller, device_id, display_name).await?,
        // Nothing to change, but only of a device that is there.
        None => drop(find(&world, &caller, &device_id).await?),
    }
    json_response(StatusCode::OK, &json!({}))
}

/// Makes a device; answers whether there was none of this name.
async fn make(
    world: &World,
    caller: &Session,
    device_id: &str,
    display_name: &Option<String>,
) -> Result<bool> {
    check_id(device_id)?;
    let (device_id, display_name) = (device_id.to_owned(), display_name.clone());
    let make = MakeDevice { device_id, display_name };
    Ok(world.ask(&user_object(&caller.user), &make).await?)
}

async fn rename(
    world: &World,
    caller: &Session,
    device_id: String,
    display_name: String,
) -> Result<()> {
    let name = NameDevice { device: device_id.clone(), display_name: display_name.clone() };
    world.ask(&user_object(&caller.user), &RenameDevice { device_id, display_name }).await?;
    if world.ask(&keys_object(&caller.user), &name).await? {
        telling::tell_now(world, &caller.user).await;
    }
    Ok(())
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

/// Refuses what no device may be called.
pub fn check_id(id: &str) -> Result<()> {
    match id.is_empty() || id.len() > MAX_ID || id.starts_with(NO_DEVICE) {
        true => Err(invalid_param("The device ID is empty or too long, or begins with U+0001")),
        false => Ok(()),
    }
}

/// Refuses a name that is too long for a device.
pub fn check_name(name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if name.len() > MAX_NAME => Err(too_large("The name is too long")),
        _ => Ok(()),
    }
}
