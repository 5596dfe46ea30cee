//! Who am I, and on which devices am I logged in?
//! ([device management](https://spec.matrix.org/v1.19/client-server-api/#device-management))

use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::{
        account::whoami::v3 as whoami,
        device::{self, get_device::v3 as get_device, get_devices::v3 as get_devices},
    },
};
use tombolo_platform::World;

use crate::{
    error::{Result, not_found},
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::user_sync::messages::{Device, Devices},
};

pub fn routes(router: &mut Router) {
    router.endpoint::<whoami::Request, _, _>(who);
    router.endpoint::<get_devices::Request, _, _>(list);
    router.endpoint::<get_device::Request, _, _>(one);
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

fn rendered(device: Device) -> device::Device {
    let mut rendered = device::Device::new(device.device_id.into());
    rendered.display_name = device.display_name;
    rendered.last_seen_ts = device.last_seen_ts.and_then(UInt::new).map(MilliSecondsSinceUnixEpoch);
    rendered
}
