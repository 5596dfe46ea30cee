//! What do other servers ask about the devices and keys of our users?
//! ([end-to-end encryption](https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption),
//! [device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! Users of other servers are left out. The names of devices stay here, unless the operator wants them told.

use std::collections::BTreeMap;

use ruma::{
    UInt,
    api::federation::{
        device::get_devices::v1 as get_devices,
        keys::{claim_keys::v1 as claim_keys, get_keys::v1 as get_keys},
    },
    serde::Raw,
};
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Result, invalid_param},
    flows::keys::{Homes, claim, query},
    http::{keys::check_users, router::Router},
};

pub fn routes(router: &mut Router) {
    router.endpoint::<get_keys::Request, _, _>(query_keys);
    router.endpoint::<claim_keys::Request, _, _>(claim_keys);
    router.endpoint::<get_devices::Request, _, _>(devices);
}

async fn query_keys(
    world: World,
    _: Signed,
    request: get_keys::Request,
) -> Result<get_keys::Response> {
    check_users(request.device_keys.len())?;
    let names = Config::of(&world)?.public_device_names;
    let wanted = Homes::of(&world, request.device_keys)?.ours.into_iter().map(|(user, devices)| {
        (user, devices.into_iter().map(|device| device.to_string()).collect())
    });
    let mut answer = get_keys::Response::new(BTreeMap::new());
    for (user, shown) in query::of_ours(&world, wanted.collect(), None).await? {
        let mut devices = BTreeMap::new();
        for (device, shown) in shown.devices {
            let keys = if names { query::with_name(shown) } else { shown.keys };
            devices.insert(device.into(), Raw::from_json(keys));
        }
        answer.device_keys.insert(user.clone(), devices);
        if let Some(key) = shown.master_key {
            answer.master_keys.insert(user.clone(), Raw::from_json(key));
        }
        if let Some(key) = shown.self_signing_key {
            answer.self_signing_keys.insert(user, Raw::from_json(key));
        }
    }
    Ok(answer)
}

async fn claim_keys(
    world: World,
    _: Signed,
    request: claim_keys::Request,
) -> Result<claim_keys::Response> {
    check_users(request.one_time_keys.len())?;
    let wanted =
        Homes::of(&world, request.one_time_keys)?.ours.into_iter().map(|(user, devices)| {
            let devices = devices.into_iter();
            let of_user = devices.map(|(device, kind)| (device.to_string(), kind.to_string()));
            (user, of_user.collect())
        });
    let claimed = claim::of_ours(&world, wanted.collect()).await?;
    let claimed = claimed.into_iter().map(|(user, devices)| {
        let devices = devices.into_iter().map(|(device, keys)| {
            let keys = keys
                .into_iter()
                .filter_map(|(name, key)| Some((name.try_into().ok()?, Raw::from_json(key))));
            (device.into(), keys.collect())
        });
        (user, devices.collect())
    });
    Ok(claim_keys::Response::new(claimed.collect()))
}

async fn devices(
    world: World,
    signed: Signed,
    request: get_devices::Request,
) -> Result<get_devices::Response> {
    let user = request.user_id;
    if user.server_name() != Config::of(&world)?.server_name {
        return Err(invalid_param("The user is not of this server"));
    }
    let shown = query::to_hold(&world, &user, signed.origin).await?;
    let stream_id = UInt::try_from(shown.stream_id).unwrap_or_default();
    let mut answer = get_devices::Response::new(user, stream_id);
    let names = Config::of(&world)?.public_device_names;
    let devices = shown.devices.into_iter().map(|(device, shown)| {
        let mut device = get_devices::UserDevice::new(device.into(), Raw::from_json(shown.keys));
        device.device_display_name = shown.display_name.filter(|_| names);
        device
    });
    answer.devices = devices.collect();
    answer.master_key = shown.master_key.map(Raw::from_json);
    answer.self_signing_key = shown.self_signing_key.map(Raw::from_json);
    Ok(answer)
}
