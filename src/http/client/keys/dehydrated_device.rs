//! How does a user leave a device behind that receives keys while they are logged in nowhere?
//! ([MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    api::client::dehydrated_device::{
        DehydratedDeviceData, delete_dehydrated_device::unstable as delete_device,
        get_dehydrated_device::unstable as get_device, get_events::unstable as get_events,
        put_dehydrated_device::unstable as put_device,
    },
    serde::Raw,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::{AskError, World};

use super::upload::by_name;
use crate::{
    error::{Result, bad_json, too_large},
    flows::keys::{removed, telling},
    http::{
        auth::{self, Session, user_object},
        client::{
            account::devices::{check_id, check_name},
            tokens,
        },
        endpoint::{is_object, json_body_if_any, json_response, paths_of},
        query,
        router::Router,
    },
    objects::{
        keys_object,
        user_keys::messages::{Born, UploadKeys},
        user_sync::messages::{
            AbandonDevice, AddDevice, Cost, Dehydrate, DehydratedDevice, DehydratedMessages,
            DeleteDehydratedDevice, MessageBatch,
        },
    },
};

/// The largest `device_data`, in bytes. Clients write less than 10 KiB.
const MAX_DEVICE_DATA: usize = 64 << 10;

pub fn routes(router: &mut Router) {
    router.endpoint::<put_device::Request, _, _>(dehydrate);
    router.endpoint::<get_device::Request, _, _>(dehydrated);
    router.endpoint::<delete_device::Request, _, _>(delete);
    for path in paths_of::<get_events::Request>() {
        router.page(&Method::GET, path, events);
        router.page(&Method::POST, path, events_of_before);
    }
}

/// The keys are published between the two steps of the user's object, so that others see no device that has no inbox.
async fn dehydrate(
    world: World,
    caller: Session,
    request: put_device::Request,
) -> Result<put_device::Response> {
    let device_id = request.device_id.to_string();
    check_id(&device_id)?;
    check_name(request.initial_device_display_name.as_deref())?;
    let device_data = check_data(request.device_data)?;
    let device_keys = request.device_keys.into_json();
    if !is_object(&device_keys) {
        return Err(bad_json("`device_keys` is an object"));
    }
    let display_name = request.initial_device_display_name;
    let user = user_object(&caller.user);
    let add = AddDevice { device_id: device_id.clone(), display_name };
    let added = world.ask(&user, &add).await?;
    let upload = UploadKeys {
        of: Born { device: device_id.clone(), born: added.born },
        display_name: added.display_name,
        device_keys: Some(device_keys),
        one_time_keys: by_name(request.one_time_keys),
        fallback_keys: by_name(request.fallback_keys),
    };
    let uploaded = world.ask(&keys_object(&caller.user), &upload).await;
    if matches!(uploaded, Err(AskError::Refused(_))) {
        world.ask(&user, &AbandonDevice { device_id: device_id.clone() }).await?;
        removed::drop_now(&world, &caller.user).await;
    }
    uploaded?;
    world.ask(&user, &Dehydrate { device_id, device_data }).await?;
    removed::drop_now(&world, &caller.user).await;
    telling::tell_now(&world, &caller.user).await;
    Ok(put_device::Response::new(request.device_id))
}

/// Whatever the algorithm: only clients read it.
fn check_data(data: Raw<DehydratedDeviceData>) -> Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "algorithm")]
        _algorithm: String,
    }
    data.deserialize_as_unchecked::<Data>().map_err(|error| bad_json(error.to_string()))?;
    let data = data.into_json();
    if !is_object(&data) {
        return Err(bad_json("`device_data` is an object"));
    }
    if data.get().len() > MAX_DEVICE_DATA {
        return Err(too_large("The data of the device are too large"));
    }
    Ok(data)
}

async fn dehydrated(
    world: World,
    caller: Session,
    _: get_device::Request,
) -> Result<get_device::Response> {
    let device = world.ask(&user_object(&caller.user), &DehydratedDevice {}).await?;
    let device_data = Raw::from_json(device.device_data);
    Ok(get_device::Response::new(device.device_id.into(), device_data))
}

async fn delete(
    world: World,
    caller: Session,
    _: delete_device::Request,
) -> Result<delete_device::Response> {
    let device_id = world.ask(&user_object(&caller.user), &DeleteDehydratedDevice {}).await?;
    removed::drop_now(&world, &caller.user).await;
    Ok(delete_device::Response::new(device_id.into()))
}

/// A batch of messages, as clients read it.
#[derive(Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// Ruma has no type: this was a POST before. There is a token where there is more.
async fn events(
    world: World,
    request: Request<Bytes>,
    device_id: String,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let parameters = query::pairs(request.uri().query().unwrap_or_default());
    let from = parameters.into_iter().find(|(name, _)| name == "from");
    let batch = batch(&world, &caller, (device_id, from.map(|(_, from)| from))).await?;
    let next_batch = batch.more.then(|| tokens::of_batch(batch.upto));
    json_response(StatusCode::OK, &Events { events: batch.messages, next_batch })
}

/// As the clients of before ask, and in no other way: the token is in the body, and there is always one. They ask until
/// nothing comes.
async fn events_of_before(
    world: World,
    request: Request<Bytes>,
    device_id: String,
) -> Result<Response<Bytes>> {
    #[derive(Default, Deserialize)]
    struct Body {
        next_batch: Option<String>,
    }
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let body: Body = json_body_if_any(&request)?;
    let batch = batch(&world, &caller, (device_id, body.next_batch)).await?;
    let next_batch = Some(tokens::of_batch(batch.upto));
    json_response(StatusCode::OK, &Events { events: batch.messages, next_batch })
}

async fn batch(
    world: &World,
    caller: &Session,
    (device_id, from): (String, Option<String>),
) -> Result<MessageBatch> {
    let after = from.map_or(Ok(0), |token| tokens::batch_position(&token))?;
    let messages = DehydratedMessages { device_id, after };
    Ok(world.ask(&user_object(&caller.user), &messages).await?)
}
