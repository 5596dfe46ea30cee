//! How does a user tag rooms?
//! ([room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::tag::{
        create_tag::v3 as create, delete_tag::v3 as delete, get_tags::v3 as get_tags,
    },
};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::{AskError, World};
use tombolo_protocol::json::plain_object;

use crate::{
    error::{Result, bad_json, invalid_param},
    http::{
        auth::{self, Session, user_object},
        client::must_be,
        endpoint::{json_body, json_response, paths_of},
        router::Router,
    },
    objects::user_sync::{
        TAGS,
        messages::{AccountData, ChangeTag, Cost, Refusal},
    },
};

/// The longest name of a tag, in bytes.
const MAX_NAME: usize = 255;

pub fn routes(router: &mut Router) {
    for path in paths_of::<get_tags::Request>() {
        router.page(&Method::GET, path, tags);
    }
    for path in paths_of::<create::Request>() {
        router.page(&Method::PUT, path, put);
    }
    router.endpoint::<delete::Request, _, _>(remove);
}

/// All tags of a room, with whatever clients have said of each.
async fn tags(
    world: World,
    request: Request<Bytes>,
    (user, room_id): (OwnedUserId, OwnedRoomId),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user)?;
    let item = AccountData { room_id: Some(room_id), event_type: TAGS.to_owned() };
    let content = match world.ask(&user_object(&user), &item).await {
        Ok(content) => plain_object(content.get()),
        Err(AskError::Refused(Refusal::NotFound)) => None,
        Err(error) => return Err(error.into()),
    };
    // What clients have written whole may be of any form.
    let mut tags = match content.unwrap_or_default().remove("tags") {
        Some(Value::Object(tags)) => tags,
        _ => Map::new(),
    };
    tags.retain(|_, info| info.as_object().is_some_and(is_tag));
    json_response(StatusCode::OK, &json!({ "tags": tags }))
}

/// Whether this can be said of a tag.
fn is_tag(info: &Map<String, Value>) -> bool {
    info.get("order").is_none_or(Value::is_number)
}

async fn put(
    world: World,
    request: Request<Bytes>,
    (user, room_id, tag): (OwnedUserId, OwnedRoomId, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user)?;
    let given: Box<RawValue> = json_body(&request)?;
    let info = plain_object(given.get()).filter(is_tag);
    let info = info.ok_or_else(|| bad_json("A tag has an object, whose order is a number"))?;
    if tag.len() > MAX_NAME {
        return Err(invalid_param("The name of the tag is too long"));
    }
    let change = ChangeTag { room_id, tag, info: Some(to_raw_value(&info)?) };
    world.ask(&user_object(&user), &change).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn remove(
    world: World,
    caller: Session,
    request: delete::Request,
) -> Result<delete::Response> {
    must_be(&caller, &request.user_id)?;
    let change = ChangeTag { room_id: request.room_id, tag: request.tag, info: None };
    world.ask(&user_object(&caller.user), &change).await?;
    Ok(delete::Response::new())
}
