//! How does a client claim one-time keys?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim))
//!
//! The answer is written without ruma's types: keys are passed on as they are held.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedServerName, api::client::keys::claim_keys::v3 as claim_keys};
use serde::Serialize;
use serde_json::Value;
use tombolo_platform::World;

use super::failures;
use crate::{
    error::Result,
    flows::keys::claim,
    http::{
        auth,
        endpoint::{decode, json_response, paths_of},
        keys::check_users,
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<claim_keys::Request>() {
        router.page(&Method::POST, path, claim_keys);
    }
}

#[derive(Serialize)]
struct Answer {
    failures: BTreeMap<OwnedServerName, Value>,
    one_time_keys: claim::Keys,
}

async fn claim_keys(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    let asked: claim_keys::Request = decode(&request, &[])?;
    check_users(asked.one_time_keys.len())?;
    let wanted = asked.one_time_keys.into_iter().map(|(user, devices)| {
        let devices = devices.into_iter();
        let of_user = devices.map(|(device, kind)| (device.to_string(), kind.to_string()));
        (user, of_user.collect())
    });
    let found = claim::claim(&world, wanted.collect(), asked.timeout).await?;
    let answer = Answer { failures: failures(found.failures), one_time_keys: found.keys };
    json_response(StatusCode::OK, &answer)
}
