//! How does a client send an event, redact one, and read one back?
//! ([sending events](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room))

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId,
    api::client::{
        message::send_message_event::v3 as send_message_event,
        redact::redact_event::v3 as redact_event, room::get_room_event::v3 as get_room_event,
    },
    serde::Raw,
};
use serde_json::{json, value::to_raw_value};
use tombolo_platform::{AskError, World};

use super::{no_event, not_in_room};
use crate::{
    error::Result,
    flows::sending::{self, unsent::Unsent},
    http::{
        auth::{Reader, Session},
        router::Router,
    },
    objects::{
        room::messages::{Asker, Draft, EventById, Refusal, Send, Transaction},
        room_object,
        user_sync::messages::Cost,
    },
};

pub fn routes(router: &mut Router) {
    router.costly::<send_message_event::Request, _, _>(Cost::Event, message);
    router.costly::<redact_event::Request, _, _>(Cost::Event, redact);
    router.reading::<get_room_event::Request, _, _>(no_event, one);
}

async fn message(
    world: World,
    caller: Session,
    request: send_message_event::Request,
) -> Result<send_message_event::Response> {
    let event_type = request.event_type.to_string();
    let scope = format!("send/{event_type}");
    let transaction =
        Transaction { device: caller.device.clone(), txn_id: request.txn_id.to_string(), scope };
    let content = request.body.into_json();
    let draft = Draft { event_type, state_key: None, content, redacts: None };
    let ts = massaged(&caller, request.timestamp);
    let event = Send { transaction: Some(transaction), ts, ..Send::of(caller.user, draft) };
    Ok(send_message_event::Response::new(send(&world, &request.room_id, event).await?))
}

/// When an event is sent, where an application service says it
/// ([timestamp massaging](https://spec.matrix.org/v1.19/application-service-api/#timestamp-massaging)).
pub fn massaged(caller: &Session, said: Option<MilliSecondsSinceUnixEpoch>) -> Option<u64> {
    said.filter(|_| caller.appservice.is_some()).map(|said| said.0.into())
}

async fn redact(
    world: World,
    caller: Session,
    request: redact_event::Request,
) -> Result<redact_event::Response> {
    let scope = format!("redact/{}", request.event_id);
    let transaction =
        Transaction { device: caller.device.clone(), txn_id: request.txn_id.to_string(), scope };
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

/// Sends an event of the caller.
pub async fn send_draft(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    draft: Draft,
    transaction: Option<Transaction>,
) -> Result<OwnedEventId> {
    send(world, room_id, Send { transaction, ..Send::of(caller.user.clone(), draft) }).await
}

/// Sends a local user's event. A room that is unknown here counts as one that the user is not in.
pub async fn send(world: &World, room_id: &RoomId, message: Send) -> Result<OwnedEventId> {
    sending::send::send(world, room_id, message).await.map_err(|unsent| match unsent {
        Unsent::Refused(Refusal::Absent) => not_in_room(),
        unsent => unsent.into(),
    })
}

async fn one(
    world: World,
    Reader { session: caller, ignored }: Reader,
    request: get_room_event::Request,
) -> Result<get_room_event::Response> {
    let asker = Asker::User(caller.user);
    let (event_id, device) = (request.event_id, Some(caller.device));
    let event = EventById { event_id, asker, device, ignored };
    match world.ask(&room_object(&request.room_id), &event).await {
        // The answer must not tell whether the room is known here.
        Err(AskError::Refused(_)) => Err(no_event()),
        event => Ok(get_room_event::Response::new(Raw::from_json(event?))),
    }
}
