//! How does a user publish the keys that vouch for devices and users, and what they signed?
//! ([cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing))
//!
//! The first keys need no proof of who the user is, and none do that are held already (MSC3967): so this is no
//! `router.proven`. Bodies are read without ruma's types: what is signed stays as it was signed.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedUserId,
    api::client::keys::{
        upload_signatures::v3 as upload_signatures, upload_signing_keys::v3 as upload_signing_keys,
    },
};
use serde_json::{json, value::RawValue};
use tombolo_platform::World;

use crate::{
    error::{Result, too_large},
    flows::keys::{lists::Found, query, telling},
    http::{
        auth::{self, Session, user_object},
        endpoint::{json_body, json_response, paths_of},
        router::Router,
        uia,
    },
    objects::{
        keys_object,
        user_keys::messages::{
            AddSignatures, CrossSigningKeys, Refusal, Replaces, SignedObject, Unsigned,
            UploadCrossSigning,
        },
        user_sync::messages::{Cost, Devices},
    },
};

/// The most objects of one request.
const MOST_SIGNED: usize = 500;

pub fn routes(router: &mut Router) {
    for path in paths_of::<upload_signing_keys::Request>() {
        router.page(&Method::POST, path, upload);
    }
    for path in paths_of::<upload_signatures::Request>() {
        router.page(&Method::POST, path, sign);
    }
}

async fn upload(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let (request, auth) = uia::without_auth(request)?;
    let keys: CrossSigningKeys = json_body(&request)?;
    let address = keys_object(&caller.user);
    let replaces = world.ask(&address, &Replaces { keys: keys.clone() }).await?;
    if replaces
        && let Some(unproved) = uia::demand(&world, &caller, &request, auth.as_ref()).await?
    {
        return Ok(unproved);
    }
    let devices = world.ask(&user_object(&caller.user), &Devices {}).await?;
    let devices = devices.into_iter().map(|device| device.device_id).collect();
    world.ask(&address, &UploadCrossSigning { keys, proved: replaces, devices }).await?;
    telling::tell_now(&world, &caller.user).await;
    json_response(StatusCode::OK, &json!({}))
}

/// Of each user, what was signed of them: by the ID of the device, or the public key.
type Signed = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

async fn sign(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let signed: Signed = json_body(&request)?;
    if signed.values().map(BTreeMap::len).sum::<usize>() > MOST_SIGNED {
        return Err(too_large("These are too many objects at once"));
    }
    let found = held(&world, &caller, &signed).await?;
    let (unknown, signed): (Signed, Signed) =
        signed.into_iter().partition(|(user, _)| found.failures.contains_key(user.server_name()));
    let signed = signed.into_iter().flat_map(|(user, objects)| {
        let held = found.users.get(&user).and_then(|shown| shown.master_key.clone());
        objects.into_iter().map(move |(target, object)| {
            let (user, held) = (user.clone(), held.clone());
            SignedObject { user, target, object, held }
        })
    });
    let add = AddSignatures { signed: signed.collect() };
    let failed = world.ask(&keys_object(&caller.user), &add).await?;
    telling::tell_now(&world, &caller.user).await;
    let mut failures: BTreeMap<OwnedUserId, BTreeMap<String, _>> = BTreeMap::new();
    for (user, objects) in unknown {
        let why = "the user's server does not say what it holds";
        let failure = json!({ "errcode": "M_UNKNOWN", "error": why });
        let objects = objects.into_keys().map(|target| (target, failure.clone())).collect();
        failures.insert(user, objects);
    }
    for Unsigned { user, target, why } in failed {
        let errcode = match why {
            Refusal::NotFound => "M_NOT_FOUND",
            Refusal::BadSignature(_) => "M_INVALID_SIGNATURE",
            _ => "M_INVALID_PARAM",
        };
        let failure = json!({ "errcode": errcode, "error": why.to_string() });
        failures.entry(user).or_default().insert(target, failure);
    }
    json_response(StatusCode::OK, &json!({ "failures": failures }))
}

/// What is held of the other users of whom something was signed.
async fn held(world: &World, caller: &Session, signed: &Signed) -> Result<Found> {
    let others = signed.keys().filter(|user| **user != caller.user);
    let wanted = others.map(|user| (user.clone(), Vec::new())).collect();
    Ok(query::query(world, &caller.user, wanted, None).await?)
}
