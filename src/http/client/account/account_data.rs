//! How do clients read and write account data?
//! ([client config](https://spec.matrix.org/v1.19/client-server-api/#client-config))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::config::{
        get_global_account_data::v3 as get_global, get_room_account_data::v3 as get_room,
        set_global_account_data::v3 as set_global, set_room_account_data::v3 as set_room,
    },
    serde::Raw,
};
use serde_json::{json, value::to_raw_value};
use tombolo_platform::World;

use crate::{
    error::{Error, Result, bad_json, invalid_param},
    http::{
        auth::{self, Session, user_object},
        client::must_be,
        endpoint::{is_object, json_response},
        router::Router,
    },
    objects::user_sync::{
        PUSH_RULES,
        messages::{AccountData, Cost, SetAccountData},
    },
};

const FULLY_READ: &str = "m.fully_read";
/// Where items are removed ([MSC3391](https://github.com/matrix-org/matrix-spec-proposals/pull/3391)).
const REMOVAL: &str = "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}";
/// The longest type of an item, in bytes.
const MAX_TYPE: usize = 255;

pub fn routes(router: &mut Router) {
    router.endpoint::<get_global::Request, _, _>(global);
    router.endpoint::<set_global::Request, _, _>(save_global);
    router.endpoint::<get_room::Request, _, _>(of_room);
    router.endpoint::<set_room::Request, _, _>(save_of_room);
    router.page(&Method::DELETE, &format!("{REMOVAL}/account_data/{{event_type}}"), remove_global);
    let of_room = format!("{REMOVAL}/rooms/{{room_id}}/account_data/{{event_type}}");
    router.page(&Method::DELETE, &of_room, remove_of_room);
}

async fn global(
    world: World,
    caller: Session,
    request: get_global::Request,
) -> Result<get_global::Response> {
    must_be(&caller, &request.user_id)?;
    let item = AccountData { room_id: None, event_type: request.event_type.to_string() };
    Ok(get_global::Response::new(Raw::from_json(
        world.ask(&user_object(&caller.user), &item).await?,
    )))
}

async fn save_global(
    world: World,
    caller: Session,
    request: set_global::Request,
) -> Result<set_global::Response> {
    must_be(&caller, &request.user_id)?;
    let item = SetAccountData {
        room_id: None,
        event_type: request.event_type.to_string(),
        content: request.data.into_json(),
    };
    save(&world, &caller, item).await?;
    Ok(set_global::Response::new())
}

async fn of_room(
    world: World,
    caller: Session,
    request: get_room::Request,
) -> Result<get_room::Response> {
    must_be(&caller, &request.user_id)?;
    let item =
        AccountData { room_id: Some(request.room_id), event_type: request.event_type.to_string() };
    Ok(get_room::Response::new(Raw::from_json(world.ask(&user_object(&caller.user), &item).await?)))
}

async fn save_of_room(
    world: World,
    caller: Session,
    request: set_room::Request,
) -> Result<set_room::Response> {
    must_be(&caller, &request.user_id)?;
    let room_id: Option<OwnedRoomId> = Some(request.room_id);
    let item = SetAccountData {
        room_id,
        event_type: request.event_type.to_string(),
        content: request.data.into_json(),
    };
    save(&world, &caller, item).await?;
    Ok(set_room::Response::new())
}

// Ruma has no type for the removal of account data.
async fn remove_global(
    world: World,
    request: Request<Bytes>,
    (user, event_type): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    remove(&world, &request, &user, (None, event_type)).await
}

async fn remove_of_room(
    world: World,
    request: Request<Bytes>,
    (user, room_id, event_type): (OwnedUserId, OwnedRoomId, String),
) -> Result<Response<Bytes>> {
    remove(&world, &request, &user, (Some(room_id), event_type)).await
}

async fn remove(
    world: &World,
    request: &Request<Bytes>,
    user: &OwnedUserId,
    (room_id, event_type): (Option<OwnedRoomId>, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(world, request, Cost::Free).await?;
    must_be(&caller, user)?;
    let content = to_raw_value(&json!({}))?;
    save(world, &caller, SetAccountData { room_id, event_type, content }).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn save(world: &World, caller: &Session, item: SetAccountData) -> Result<()> {
    if matches!(item.event_type.as_str(), PUSH_RULES | FULLY_READ) {
        let message = "This type has an endpoint of its own";
        return Err(Error::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", message));
    }
    if item.event_type.len() > MAX_TYPE {
        return Err(invalid_param("The type is too long"));
    }
    if !is_object(&item.content) {
        return Err(bad_json("Account data is an object"));
    }
    world.ask(&user_object(&caller.user), &item).await?;
    Ok(())
}
