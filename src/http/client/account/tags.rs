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
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::{AskError, World};

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
    let content: Value = match world.ask(&user_object(&user), &item).await {
        Ok(content) => serde_json::from_str(content.get())?,
        Err(AskError::Refused(Refusal::NotFound)) => Value::Null,
        Err(error) => return Err(error.into()),
    };
    let tags = content.get("tags").filter(|tags| tags.is_object()).cloned();
    json_response(StatusCode::OK, &json!({ "tags": tags.unwrap_or_else(|| json!({})) }))
}

async fn put(
    world: World,
    request: Request<Bytes>,
    (user, room_id, tag): (OwnedUserId, OwnedRoomId, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user)?;
    let info: Map<String, Value> = json_body(&request)?;
    if info.get("order").is_some_and(|order| !order.is_number()) {
        return Err(bad_json("The order of a tag is a number"));
    }
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
