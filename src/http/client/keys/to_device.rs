//! How does a client send messages to devices?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid))
//!
//! Read without ruma's type: contents are passed on as they were sent.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::api::client::to_device::send_event_to_device::v3 as send_event_to_device;
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;
use tombolo_protocol::json::plain_object;

use crate::{
    error::{Result, bad_json, too_large},
    flows::keys::to_device::{self, MAX_CONTENT, MAX_TYPE, Messages, Sending},
    http::{
        auth,
        endpoint::{json_body, json_response, paths_of},
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<send_event_to_device::Request>() {
        router.page(&Method::PUT, path, send);
    }
}

#[derive(Deserialize)]
struct Body {
    messages: Messages,
}

async fn send(
    world: World,
    request: Request<Bytes>,
    (kind, txn_id): (String, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    if kind.len() > MAX_TYPE {
        return Err(too_large("The type of a message is too long"));
    }
    let Body { messages } = json_body(&request)?;
    for content in messages.values().flat_map(|devices| devices.values()) {
        if content.get().len() > MAX_CONTENT {
            return Err(too_large("A message is too long"));
        }
        if plain_object(content.get()).is_none() {
            return Err(bad_json("The content of a message is an object that every server reads"));
        }
    }
    let born = caller.born.to_string();
    let names = [caller.user.as_str(), &caller.device, &born, &kind, &txn_id];
    let message_id = to_device::message_id(names);
    to_device::send(&world, Sending { sender: caller.user, kind, message_id, messages }).await?;
    json_response(StatusCode::OK, &json!({}))
}
