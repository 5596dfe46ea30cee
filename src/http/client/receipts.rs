//! Up to where has a user read?
//! ([receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts),
//! [read markers](https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers))

use ruma::{
    OwnedEventId, RoomId,
    api::client::{
        read_marker::set_read_marker::v3 as set_read_marker,
        receipt::create_receipt::v3::{self as create_receipt, ReceiptType},
    },
    events::receipt::ReceiptThread,
};
use serde_json::{json, value::to_raw_value};
use tombolo_platform::World;

use super::ask_room;
use crate::{
    error::{Result, invalid_param},
    flows,
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::{room::messages::Receipt, user_sync::messages::SetAccountData},
};

const READ: &str = "m.read";
const READ_PRIVATE: &str = "m.read.private";

pub fn routes(router: &mut Router) {
    router.endpoint::<create_receipt::Request, _, _>(receipt);
    router.endpoint::<set_read_marker::Request, _, _>(markers);
}

async fn receipt(
    world: World,
    caller: Session,
    request: create_receipt::Request,
) -> Result<create_receipt::Response> {
    let create_receipt::Request { room_id, event_id, thread, .. } = request;
    match request.receipt_type {
        ReceiptType::Read => read(&world, &caller, &room_id, (READ, event_id, &thread)).await?,
        ReceiptType::ReadPrivate => {
            read(&world, &caller, &room_id, (READ_PRIVATE, event_id, &thread)).await?
        }
        ReceiptType::FullyRead if thread == ReceiptThread::Unthreaded => {
            fully_read(&world, &caller, &room_id, event_id).await?
        }
        ReceiptType::FullyRead => return Err(invalid_param("A read marker belongs to no thread")),
        _ => return Err(invalid_param("Unknown receipt type")),
    }
    Ok(create_receipt::Response::new())
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
            read(&world, &caller, room_id, (kind, event_id, &ReceiptThread::Unthreaded)).await?;
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
    (kind, event_id, thread): (&str, OwnedEventId, &ReceiptThread),
) -> Result<()> {
    let thread = thread.as_str().map(str::to_owned);
    let receipt = Receipt {
        user: caller.user.clone(),
        kind: kind.to_owned(),
        thread,
        event_id,
        ts: world.now(),
    };
    let news = ask_room(world, room_id, &receipt).await?;
    flows::tell::tell_now(world, room_id, news).await;
    Ok(())
}

async fn fully_read(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    event_id: OwnedEventId,
) -> Result<()> {
    let content = to_raw_value(&json!({ "event_id": event_id }))?;
    let item = SetAccountData {
        room_id: Some(room_id.to_owned()),
        event_type: "m.fully_read".to_owned(),
        content,
    };
    world.ask(&user_object(&caller.user), &item).await?;
    Ok(())
}
