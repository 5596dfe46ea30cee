//! How do clients set receipts and read markers?
//! ([receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts),
//! [read markers](https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedEventId, OwnedRoomId, RoomId,
    api::client::read_marker::set_read_marker::v3 as set_read_marker,
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::{AskError, World};

use super::{ask_room, not_in_room};
use crate::{
    error::{Result, invalid_param},
    flows,
    http::{
        auth::{self, Session, user_object},
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::{
        room::messages::{Asker, EventById, Receipt, Refusal},
        room_object,
        user_sync::messages::{Cost, SetAccountData},
    },
};

const READ: &str = "m.read";
const READ_PRIVATE: &str = "m.read.private";
const FULLY_READ: &str = "m.fully_read";

const PATHS: [&str; 2] = [
    "/_matrix/client/v3/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
    "/_matrix/client/r0/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
];

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::POST, path, receipt);
    }
    router.endpoint::<set_read_marker::Request, _, _>(markers);
}

/// Read without ruma's type: a `thread_id` that is no string, `null` included, is the client's mistake.
async fn receipt(
    world: World,
    request: Request<Bytes>,
    (room_id, kind, event_id): (OwnedRoomId, String, OwnedEventId),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    // Old clients send no body.
    let thread = match request.body().is_empty() {
        true => None,
        false => thread(json_body::<Map<String, Value>>(&request)?.remove("thread_id"))?,
    };
    match kind.as_str() {
        READ | READ_PRIVATE => {
            read(&world, &caller, &room_id, (&kind, event_id, thread)).await?;
        }
        FULLY_READ if thread.is_none() => {
            fully_read(&world, &caller, &room_id, event_id).await?;
        }
        FULLY_READ => return Err(invalid_param("A read marker belongs to no thread")),
        _ => return Err(invalid_param("Unknown receipt type")),
    }
    json_response(StatusCode::OK, &json!({}))
}

/// The thread that a receipt names.
fn thread(given: Option<Value>) -> Result<Option<String>> {
    match given {
        None => Ok(None),
        Some(Value::String(thread)) if !thread.is_empty() => Ok(Some(thread)),
        Some(_) => Err(invalid_param("thread_id is no text, or an empty one")),
    }
}

async fn markers(
    world: World,
    caller: Session,
    request: set_read_marker::Request,
) -> Result<set_read_marker::Response> {
    let room_id = &request.room_id;
    for (kind, event_id) in
        [(READ, request.read_receipt), (READ_PRIVATE, request.private_read_receipt)]
    {
        if let Some(event_id) = event_id {
            read(&world, &caller, room_id, (kind, event_id, None)).await?;
        }
    }
    if let Some(event_id) = request.fully_read {
        fully_read(&world, &caller, room_id, event_id).await?;
    }
    Ok(set_read_marker::Response::new())
}

async fn read(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    (kind, event_id, thread): (&str, OwnedEventId, Option<String>),
) -> Result<()> {
    let receipt = Receipt {
        user: caller.user.clone(),
        kind: kind.to_owned(),
        thread,
        event_id,
        ts: world.now(),
    };
    let news = match world.ask(&room_object(room_id), &receipt).await {
        Err(AskError::Refused(Refusal::Absent)) => return Err(not_in_room()),
        Err(AskError::Refused(Refusal::Invalid(reason))) => return Err(invalid_param(reason)),
        news => news?,
    };
    flows::telling::tell::tell_now(world, room_id, news).await;
    Ok(())
}

async fn fully_read(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    event_id: OwnedEventId,
) -> Result<()> {
    let content = to_raw_value(&json!({ "event_id": event_id }))?;
    let asker = Asker::User(caller.user.clone());
    // Refused unless the event is in the room and its user can see it: the marker may stand only there.
    ask_room(world, room_id, &EventById::of(event_id, asker)).await?;
    let item = SetAccountData {
        room_id: Some(room_id.to_owned()),
        event_type: FULLY_READ.to_owned(),
        content,
    };
    world.ask(&user_object(&caller.user), &item).await?;
    Ok(())
}
