//! How does a client have an event sent later, and look after it until then?
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140))
//!
//! Two forms schedule an event: the proposal's newest, `PUT …/delayed_event/…`, and the one that clients use, a delay in
//! the query of `/send` and `/state`. Whoever has the ID of a delayed event may cancel, restart and send it without being
//! logged in: a relay for calls holds it for its users. The ID is as hard to guess as an access token.
//!
//! Not by ruma's types: a repeated transaction is answered whatever its body is.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId,
    api::client::{
        message::send_message_event::v3 as send_message_event,
        state::send_state_event::v3 as send_state_event,
    },
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tombolo_platform::{AskError, Body, World};
use tombolo_protocol::{
    event::{MAX_BYTES, MAX_ID_BYTES},
    json::parse_object,
};

use super::{
    account::refresh::new_name,
    rooms::{not_in_room, state},
};
use crate::{
    config::Config,
    error::{
        Error, Result, bad_json, forbidden, invalid_param, missing_param, not_found, too_large,
    },
    flows::sending::{delayed, unsent::Unsent},
    http::{
        auth::{self, Session, user_object},
        endpoint::{fault_response, json_body, json_response, page_handler, paths_of},
        query,
        router::Router,
    },
    objects::{
        room::messages::{Draft, Refusal, Transaction},
        user_sync::messages::{
            self as user_sync, CancelDelayed, Cost, DelayedEvent, DelayedEvents, Failure,
            OneDelayedEvent, RestartDelayed, Schedule, Scheduled, TakeDelayed,
        },
    },
};

/// The delay in the query of `/send` and `/state` (ms).
const DELAY: &str = "org.matrix.msc4140.delay";

const ALL: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
const ONE: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}";

pub fn routes(router: &mut Router) {
    for path in paths_of::<send_message_event::Request>() {
        router.divert((&Method::PUT, path), is_delayed, page_handler(message));
    }
    for path in paths_of::<send_state_event::Request>() {
        router.divert((&Method::PUT, path), is_delayed, page_handler(keyed_state));
    }
    for path in state::KEYLESS {
        router.divert((&Method::PUT, path), is_delayed, page_handler(keyless_state));
    }
    let path = "/_matrix/client/unstable/org.matrix.msc4140/rooms/{room_id}/delayed_event/{event_type}/{txn_id}";
    router.page(&Method::PUT, path, event);
    router.page(&Method::GET, ALL, all);
    router.page(&Method::GET, ONE, one);
    router.page(&Method::POST, ONE, act);
    router.page(&Method::POST, &format!("{ONE}/cancel"), cancel);
    router.page(&Method::POST, &format!("{ONE}/restart"), restart);
    router.page(&Method::POST, &format!("{ONE}/send"), send);
}

/// Whether a request to send an event asks for a delay.
fn is_delayed(request: &Request<Body>) -> bool {
    in_query(request).is_some()
}

fn in_query<B>(request: &Request<B>) -> Option<String> {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    query::first(&pairs, DELAY).map(str::to_owned)
}

async fn message(
    world: World,
    request: Request<Bytes>,
    (room_id, event_type, txn_id): (OwnedRoomId, String, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Event).await?;
    let scope = format!("send/{event_type}");
    let transaction = Transaction { device: caller.device.clone(), txn_id, scope };
    let asked = queried(&request, (event_type, None));
    schedule(&world, &caller, (&room_id, Some(transaction)), asked).await
}

async fn keyed_state(
    world: World,
    request: Request<Bytes>,
    (room_id, event_type, state_key): (OwnedRoomId, String, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Event).await?;
    let asked = queried(&request, (event_type, Some(state_key)));
    schedule(&world, &caller, (&room_id, None), asked).await
}

async fn keyless_state(
    world: World,
    request: Request<Bytes>,
    (room_id, event_type): (OwnedRoomId, String),
) -> Result<Response<Bytes>> {
    keyed_state(world, request, (room_id, event_type, String::new())).await
}

/// What a request asks for that has the content in its body and the delay in its query.
fn queried(
    request: &Request<Bytes>,
    (event_type, state_key): (String, Option<String>),
) -> Result<Scheduled> {
    let delay = in_query(request).unwrap_or_default();
    let delay = delay.parse().map_err(|_| invalid_param("The delay is no number"))?;
    let content: Box<RawValue> = json_body(request)?;
    Ok(Scheduled { draft: Draft { event_type, state_key, content, redacts: None }, delay })
}

async fn event(
    world: World,
    request: Request<Bytes>,
    (room_id, event_type, txn_id): (OwnedRoomId, String, String),
) -> Result<Response<Bytes>> {
    /// What is to be sent, and when.
    #[derive(Deserialize)]
    struct Asked {
        delay_ms: Option<Box<RawValue>>,
        state_key: Option<String>,
        content: Option<Box<RawValue>>,
    }
    let caller = auth::session(&world, &request, Cost::Event).await?;
    let scope = format!("delayed_event/{event_type}");
    let transaction = Transaction { device: caller.device.clone(), txn_id, scope };
    let asked = json_body(&request).and_then(|asked: Asked| {
        let delay = asked.delay_ms.ok_or_else(|| missing_param("There is no delay_ms"))?;
        let delay = delay.get().parse().map_err(|_| invalid_param("delay_ms is no number"))?;
        let content = asked.content.ok_or_else(|| missing_param("There is no content"))?;
        let state_key = asked.state_key;
        Ok(Scheduled { draft: Draft { event_type, state_key, content, redacts: None }, delay })
    });
    schedule(&world, &caller, (&room_id, Some(transaction)), asked).await
}

/// Schedules what is asked, or answers what the transaction scheduled before.
async fn schedule(
    world: &World,
    caller: &Session,
    (room_id, transaction): (&RoomId, Option<Transaction>),
    asked: Result<Scheduled>,
) -> Result<Response<Bytes>> {
    let checked = match asked {
        Ok(asked) => check(world, caller, room_id, &asked).await.map(|()| asked),
        Err(error) => Err(error),
    };
    let (event, refused) = match checked {
        Ok(event) => (Some(event), None),
        Err(error) if transaction.is_none() => return Err(error),
        Err(error) => (None, Some(error)),
    };
    let config = Config::of(world)?;
    let message = Schedule {
        session: caller.name()?,
        delay_id: auth::issue_delay(&config, &caller.user, &new_name(world))?,
        transaction,
        room_id: room_id.to_owned(),
        event,
    };
    match (world.ask(&user_object(&caller.user), &message).await, refused) {
        (Ok(reply), _) => json_response(StatusCode::OK, &json!({ "delay_id": reply.delay_id })),
        (Err(AskError::Refused(user_sync::Refusal::NotFound)), Some(refused)) => Err(refused),
        (Err(error), _) => Err(error.into()),
    }
}

/// Refuses what can be known not to be sent. Whether the user may send it is judged when it is sent.
async fn check(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    Scheduled { draft, delay }: &Scheduled,
) -> Result<()> {
    let most = Config::of(world)?.max_event_delay;
    let most = most.ok_or_else(|| forbidden("No event may be delayed on this server"))?;
    if *delay == 0 {
        return Err(invalid_param("The delay is zero"));
    }
    if *delay > most {
        // The code by which clients know it that go by an older text of the proposal.
        let error = forbidden(format!("The longest delay is {most} ms"));
        let error = error.with("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED");
        return Err(error.with("org.matrix.msc4140.max_delay", most));
    }
    let keys = [Some(&draft.event_type), draft.state_key.as_ref()];
    if draft.content.get().len() > MAX_BYTES
        || keys.into_iter().flatten().any(|key| key.len() > MAX_ID_BYTES)
    {
        return Err(too_large("The event is too large"));
    }
    parse_object(draft.content.get().as_bytes()).map_err(|fault| fault_response(&fault))?;
    if draft.state_key.is_some() {
        state::check(world, caller, room_id, draft).await
    } else {
        Ok(())
    }
}

async fn all(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let events = world.ask(&user_object(&caller.user), &DelayedEvents {}).await?;
    let events: Vec<Box<RawValue>> =
        events.iter().map(|event| shown(event, true)).collect::<Result<_>>()?;
    json_response(StatusCode::OK, &Listed { delayed_events: events })
}

/// A list of delayed events. Their contents stay text: they may be nested deeper than `serde_json` makes values of.
#[derive(serde::Serialize)]
struct Listed {
    delayed_events: Vec<Box<RawValue>>,
}

async fn one(world: World, request: Request<Bytes>, delay_id: String) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let config = Config::of(&world)?;
    let owner = auth::delay_claim(&config, &delay_id);
    if owner.is_none_or(|owner| owner != caller.user) {
        return Err(unknown());
    }
    let event = world.ask(&user_object(&caller.user), &OneDelayedEvent { delay_id }).await?;
    json_response(StatusCode::OK, &shown(&event, false)?)
}

/// An event as clients are shown it, with the names that clients know from before the proposal was accepted beside its
/// own where they are `old`.
fn shown(event: &DelayedEvent, old: bool) -> Result<Box<RawValue>> {
    let mut said = json!({
        "delay_id": event.delay_id,
        "room_id": event.room_id,
        "type": event.event_type,
        "delay_ms": event.delay,
        "delayed_since_ts": event.delayed_since,
    });
    if old {
        said["delay"] = json!(event.delay);
        said["running_since"] = json!(event.delayed_since);
    }
    if let Some(state_key) = &event.state_key {
        said["state_key"] = json!(state_key);
    }
    if let Some(at) = event.finalised_ts {
        said["finalised"] = json!({ "finalised_ts": at });
    }
    if let Some(event_id) = &event.event_id {
        said["finalised"]["event_id"] = json!(event_id);
    }
    if let Some(failure) = &event.failure {
        said["finalised"]["error"] = error_of(failure.clone()).into_body();
    }
    let mut text = said.to_string();
    text.pop();
    Ok(RawValue::from_string(format!("{text},\"content\":{}}}", event.content))?)
}

/// What the client would have been answered, had it sent the event itself.
fn error_of(failure: Failure) -> Error {
    match failure {
        Failure::Room(Refusal::Absent) => not_in_room(),
        Failure::Room(refusal) => refusal.into(),
        Failure::User(refusal) => refusal.into(),
        Failure::Other(what) => Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", what),
    }
}

fn unknown() -> Error {
    not_found("There is no such delayed event")
}

/// The user of the delayed event that a request is about. A request without an access token is as good as one with; an
/// ID that we did not issue wakes no object.
async fn owner(world: &World, request: &Request<Bytes>, delay_id: &str) -> Result<OwnedUserId> {
    if auth::token(request).is_some() {
        auth::session(world, request, Cost::Free).await?;
    }
    let config = Config::of(world)?;
    auth::delay_claim(&config, delay_id).ok_or_else(unknown)
}

/// The form of older clients: the action stands in the body.
async fn act(world: World, request: Request<Bytes>, delay_id: String) -> Result<Response<Bytes>> {
    #[derive(Deserialize)]
    struct Asked {
        action: Option<Value>,
    }
    let asked: Asked = json_body(&request)?;
    let action = asked.action.ok_or_else(|| missing_param("There is no action"))?;
    match action.as_str() {
        Some("cancel") => cancel(world, request, delay_id).await,
        Some("restart") => restart(world, request, delay_id).await,
        Some("send") => send(world, request, delay_id).await,
        Some(_) => Err(invalid_param("There is no such action")),
        None => Err(bad_json("The action is no text")),
    }
}

async fn cancel(
    world: World,
    request: Request<Bytes>,
    delay_id: String,
) -> Result<Response<Bytes>> {
    let user = owner(&world, &request, &delay_id).await?;
    world.ask(&user_object(&user), &CancelDelayed { delay_id }).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn restart(
    world: World,
    request: Request<Bytes>,
    delay_id: String,
) -> Result<Response<Bytes>> {
    let user = owner(&world, &request, &delay_id).await?;
    world.ask(&user_object(&user), &RestartDelayed { delay_id }).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn send(world: World, request: Request<Bytes>, delay_id: String) -> Result<Response<Bytes>> {
    let user = owner(&world, &request, &delay_id).await?;
    if let Some(taken) = world.ask(&user_object(&user), &TakeDelayed { delay_id }).await? {
        delayed::send_now(&world, &user, taken).await.map_err(|unsent| match unsent {
            Unsent::Refused(Refusal::Absent) => not_in_room(),
            unsent => unsent.into(),
        })?;
    }
    json_response(StatusCode::OK, &json!({}))
}
