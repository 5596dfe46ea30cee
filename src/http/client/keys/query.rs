//! How does a client find the devices and keys of users?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery))
//!
//! The answer is written without ruma's types: keys are passed on as they are held.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedServerName, OwnedUserId, api::client::keys::get_keys::v3 as get_keys};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tombolo_platform::World;

use super::failures;
use crate::{
    error::Result,
    flows::keys::query,
    http::{
        auth,
        endpoint::{decode, json_response, paths_of},
        keys::check_users,
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<get_keys::Request>() {
        router.page(&Method::POST, path, query_keys);
    }
}

#[derive(Default, Serialize)]
struct Answer {
    failures: BTreeMap<OwnedServerName, Value>,
    device_keys: BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
    master_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
    self_signing_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
    user_signing_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
}

async fn query_keys(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let asked: get_keys::Request = decode(&request, &[])?;
    check_users(asked.device_keys.len())?;
    let wanted = asked.device_keys.into_iter().map(|(user, devices)| {
        (user, devices.into_iter().map(|device| device.to_string()).collect())
    });
    let found = query::query(&world, &caller.user, wanted.collect(), asked.timeout).await?;
    let mut answer = Answer { failures: failures(found.failures), ..Answer::default() };
    for (user, shown) in found.users {
        let devices = shown.devices.into_iter();
        let devices = devices.map(|(device, shown)| (device, query::with_name(shown))).collect();
        let keys = [
            (&mut answer.master_keys, shown.master_key),
            (&mut answer.self_signing_keys, shown.self_signing_key),
            (&mut answer.user_signing_keys, shown.user_signing_key),
        ];
        for (of_kind, key) in keys.into_iter().filter_map(|(of_kind, key)| Some((of_kind, key?))) {
            of_kind.insert(user.clone(), key);
        }
        answer.device_keys.insert(user, devices);
    }
    json_response(StatusCode::OK, &answer)
}
