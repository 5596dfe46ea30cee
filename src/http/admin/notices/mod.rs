//! How does an operator write to a user? ([server notices], as Synapse's admin API has them)
//!
//! [server notices]: https://element-hq.github.io/synapse/latest/admin_api/server_notices.html

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tombolo_platform::World;

use super::{admin, local_account};
use crate::{
    config::Config,
    error::{Result, invalid_param},
    flows::sending::notices::{Notice, notify},
    http::{
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::room::messages::{Draft, Transaction},
    stores::accounts,
};

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, "/_synapse/admin/v1/send_server_notice", send);
    router.page(&Method::PUT, "/_synapse/admin/v1/send_server_notice/{txn_id}", send_once);
}

#[derive(Deserialize)]
struct Body {
    user_id: OwnedUserId,
    content: Box<RawValue>,
    #[serde(rename = "type", default = "usual_type")]
    event_type: String,
    state_key: Option<String>,
}

fn usual_type() -> String {
    "m.room.message".to_owned()
}

async fn send(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    answer(world, request, None).await
}

async fn send_once(
    world: World,
    request: Request<Bytes>,
    txn_id: String,
) -> Result<Response<Bytes>> {
    answer(world, request, Some(txn_id)).await
}

async fn answer(
    world: World,
    request: Request<Bytes>,
    txn_id: Option<String>,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?;
    let body: Body = json_body(&request)?;
    let Some(sender) = Config::of(&world)?.server_notices.clone() else {
        return Err(invalid_param("Server notices are not enabled on this server"));
    };
    if accounts::find(&world, sender.localpart()).await?.is_some() {
        return Err(invalid_param("SERVER_NOTICES names somebody who has an account"));
    }
    if body.event_type == "m.room.member" {
        return Err(invalid_param("A notice makes nobody come or go"));
    }
    local_account(&world, &body.user_id).await?;
    let Body { user_id, content, event_type, state_key } = body;
    // Two operators may think of the same transaction ID.
    let device = format!("{} {}", operator.user, operator.device);
    let transaction =
        txn_id.map(|txn_id| Transaction { device, txn_id, scope: "send_server_notice".to_owned() });
    let draft = Draft { event_type, state_key, content, redacts: None };
    let event_id = notify(&world, Notice { sender, user: user_id, draft, transaction }).await?;
    json_response(StatusCode::OK, &json!({ "event_id": event_id }))
}
