//! How does a client send an event, redact one, and read one back?
//! ([sending events](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room))

use ruma::{
    OwnedEventId, RoomId,
    api::client::{
        message::send_message_event::v3 as send_message_event,
        redact::redact_event::v3 as redact_event, room::get_room_event::v3 as get_room_event,
    },
    serde::Raw,
};
use serde_json::{json, value::to_raw_value};
use tombolo_platform::World;

use super::{ask_room, not_in_room};
use crate::{
    error::Result,
    flows,
    http::{auth::Session, router::Router},
    objects::{
        room::messages::{Asker, Draft, EventById, Send, Transaction},
        user_sync::messages::Cost,
    },
};

pub fn routes(router: &mut Router) {
    router.costly::<send_message_event::Request, _, _>(Cost::Event, send);
    router.costly::<redact_event::Request, _, _>(Cost::Event, redact);
    router.endpoint::<get_room_event::Request, _, _>(one);
}

async fn send(
    world: World,
    caller: Session,
    request: send_message_event::Request,
) -> Result<send_message_event::Response> {
    let transaction =
        Transaction { device: caller.device.clone(), txn_id: request.txn_id.to_string() };
    let event_type = request.event_type.to_string();
    // What a redaction redacts stands beside the content in older rooms, and the room has to know in all.
    let redacts = if event_type == "m.room.redaction" {
        request.body.get_field("redacts").ok().flatten()
    } else {
        None
    };
    let draft = Draft { event_type, state_key: None, content: request.body.into_json(), redacts };
    let event_id = send_draft(&world, &caller, &request.room_id, draft, Some(transaction)).await?;
    Ok(send_message_event::Response::new(event_id))
}

async fn redact(
    world: World,
    caller: Session,
    request: redact_event::Request,
) -> Result<redact_event::Response> {
    let transaction =
        Transaction { device: caller.device.clone(), txn_id: request.txn_id.to_string() };
    let content = request.reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let draft = Draft {
        event_type: "m.room.redaction".to_owned(),
        state_key: None,
        content: to_raw_value(&content)?,
        redacts: Some(request.event_id),
    };
    let event_id = send_draft(&world, &caller, &request.room_id, draft, Some(transaction)).await?;
    Ok(redact_event::Response::new(event_id))
}

/// Sends an event of the caller. A room that is not here is one they are not in.
pub async fn send_draft(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    draft: Draft,
    transaction: Option<Transaction>,
) -> Result<OwnedEventId> {
    let message = Send { sender: caller.user.clone(), draft, transaction, member_of: Vec::new() };
    let sent = flows::send::send(world, room_id, message).await;
    sent.map_err(|error| if error.errcode == "M_NOT_FOUND" { not_in_room() } else { error })
}

async fn one(
    world: World,
    caller: Session,
    request: get_room_event::Request,
) -> Result<get_room_event::Response> {
    let asker = Asker::User(caller.user);
    let event = EventById { event_id: request.event_id, asker, device: Some(caller.device) };
    let event = ask_room(&world, &request.room_id, &event).await?;
    Ok(get_room_event::Response::new(Raw::from_json(event)))
}
