//! How does a user tag rooms?
//! ([room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging))

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::tag::{
        create_tag::v3 as create, delete_tag::v3 as delete, get_tags::v3 as get_tags,
    },
};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::json::{members, plain_object};

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
        Ok(content) => Some(content),
        Err(AskError::Refused(Refusal::NotFound)) => None,
        Err(error) => return Err(error.into()),
    };
    // What clients have written whole may be of any form.
    let mut tags = members(members(content.as_deref()).remove("tags").as_deref());
    tags.retain(|_, info| plain_object(info.get()).is_some_and(|info| is_tag(&info)));
    json_response(StatusCode::OK, &BTreeMap::from([("tags", tags)]))
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
    let info: Box<RawValue> = json_body(&request)?;
    if !plain_object(info.get()).is_some_and(|info| is_tag(&info)) {
        return Err(bad_json("A tag has an object, whose order is a number"));
    }
    // It stands deeper among the tags of the room.
    if plain_object(&format!(r#"{{"tags":{{"":{info}}}}}"#)).is_none() {
        return Err(bad_json("What is said of the tag is nested too deep"));
    }
    if tag.len() > MAX_NAME {
        return Err(invalid_param("The name of the tag is too long"));
    }
    let change = ChangeTag { room_id, tag, info: Some(info) };
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
