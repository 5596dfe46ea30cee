//! How does a device publish its keys?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload))

use std::collections::BTreeMap;

use ruma::{
    OwnedOneTimeKeyId, UInt, api::client::keys::upload_keys::v3 as upload_keys,
    encryption::OneTimeKey, serde::Raw,
};
use serde_json::value::RawValue;
use tombolo_platform::World;

use crate::{
    error::{Result, missing_param},
    flows::keys::telling,
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::{
        keys_object,
        user_keys::messages::{Born, KeyCounts, UploadKeys, Uploaded},
        user_sync::messages::Devices,
    },
};

/// The algorithm of which every client has one-time keys: its count is always said.
pub const USUAL: &str = "signed_curve25519";

pub fn routes(router: &mut Router) {
    router.endpoint::<upload_keys::Request, _, _>(upload);
}

async fn upload(
    world: World,
    caller: Session,
    request: upload_keys::Request,
) -> Result<upload_keys::Response> {
    let device = caller.device_id().ok_or_else(|| missing_param("There is no `device_id`"))?;
    let device = device.to_owned();
    let device_keys = request.device_keys.map(Raw::into_json);
    let display_name = match &device_keys {
        Some(_) => display_name(&world, &caller).await?,
        None => None,
    };
    let upload = UploadKeys {
        of: Born { device, born: caller.born },
        display_name,
        device_keys,
        one_time_keys: by_name(request.one_time_keys),
        fallback_keys: by_name(request.fallback_keys),
    };
    let Uploaded { counts, changed } = world.ask(&keys_object(&caller.user), &upload).await?;
    if changed {
        telling::tell_now(&world, &caller.user).await;
    }
    Ok(upload_keys::Response::new(shown(&counts)))
}

/// The counts, as responses have them.
fn shown(counts: &KeyCounts) -> BTreeMap<ruma::OneTimeKeyAlgorithm, UInt> {
    let counted = counts.one_time_keys.iter().map(|(algorithm, count)| (&**algorithm, *count));
    let all = [(USUAL, 0)].into_iter().chain(counted);
    all.map(|(algorithm, count)| (algorithm.into(), UInt::new_saturating(count))).collect()
}

/// One-time or fallback keys, by `<algorithm>:<id>`.
pub fn by_name(
    keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
) -> BTreeMap<String, Box<RawValue>> {
    keys.into_iter().map(|(name, key)| (name.to_string(), key.into_json())).collect()
}

async fn display_name(world: &World, caller: &Session) -> Result<Option<String>> {
    let devices = world.ask(&user_object(&caller.user), &Devices {}).await?;
    let device = devices.into_iter().find(|device| device.device_id == caller.device);
    Ok(device.and_then(|device| device.display_name))
}
