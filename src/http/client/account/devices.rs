//! Who am I, and on which devices am I logged in?
//! ([device management](https://spec.matrix.org/v1.19/client-server-api/#device-management))

use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::{
        account::whoami::v3 as whoami,
        device::{
            self, delete_device::v3 as delete_device, delete_devices::v3 as delete_devices,
            get_device::v3 as get_device, get_devices::v3 as get_devices,
            update_device::v3 as update_device,
        },
    },
};
use tombolo_platform::World;

use crate::{
    error::{Result, not_found, too_large},
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::user_sync::messages::{Device, Devices, RemoveDevices, RenameDevice},
};

/// The longest name of a device, in bytes.
const MAX_NAME: usize = 1024;

pub fn routes(router: &mut Router) {
    router.endpoint::<whoami::Request, _, _>(who);
    router.endpoint::<get_devices::Request, _, _>(list);
    router.endpoint::<get_device::Request, _, _>(one);
    router.endpoint::<update_device::Request, _, _>(rename);
    router.proven::<delete_device::Request, _, _>(remove);
    router.proven::<delete_devices::Request, _, _>(remove_some);
}

async fn who(_: World, caller: Session, _: whoami::Request) -> Result<whoami::Response> {
    let mut response = whoami::Response::new(caller.user, false);
    response.device_id = Some(caller.device.into());
    Ok(response)
}

async fn list(
    world: World,
    caller: Session,
    _: get_devices::Request,
) -> Result<get_devices::Response> {
    let devices = world.ask(&user_object(&caller.user), &Devices {}).await?;
    Ok(get_devices::Response::new(devices.into_iter().map(rendered).collect()))
}

async fn one(
    world: World,
    caller: Session,
    request: get_device::Request,
) -> Result<get_device::Response> {
    let devices = world.ask(&user_object(&caller.user), &Devices {}).await?;
    let device = devices.into_iter().find(|device| request.device_id == device.device_id.as_str());
    Ok(get_device::Response::new(rendered(device.ok_or_else(|| not_found("No such device"))?)))
}

async fn rename(
    world: World,
    caller: Session,
    request: update_device::Request,
) -> Result<update_device::Response> {
    let device_id = request.device_id.to_string();
    let Some(display_name) = request.display_name else {
        // Nothing to change, but only of a device that is there.
        one(world, caller, get_device::Request::new(request.device_id)).await?;
        return Ok(update_device::Response::new());
    };
    if display_name.len() > MAX_NAME {
        return Err(too_large("The name is too long"));
    }
    world.ask(&user_object(&caller.user), &RenameDevice { device_id, display_name }).await?;
    Ok(update_device::Response::new())
}

async fn remove(
    world: World,
    caller: Session,
    request: delete_device::Request,
) -> Result<delete_device::Response> {
    let device_ids = vec![request.device_id.to_string()];
    world.ask(&user_object(&caller.user), &RemoveDevices { device_ids }).await?;
    Ok(delete_device::Response::new())
}

async fn remove_some(
    world: World,
    caller: Session,
    request: delete_devices::Request,
) -> Result<delete_devices::Response> {
    let device_ids = request.devices.iter().map(ToString::to_string).collect();
    world.ask(&user_object(&caller.user), &RemoveDevices { device_ids }).await?;
    Ok(delete_devices::Response::new())
}

fn rendered(device: Device) -> device::Device {
    let mut rendered = device::Device::new(device.device_id.into());
    rendered.display_name = device.display_name;
    rendered.last_seen_ts = device.last_seen_ts.and_then(UInt::new).map(MilliSecondsSinceUnixEpoch);
    rendered
}
