//! How does a client subscribe its user to a thread, and which subscriptions does the user have?
//! ([MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306),
//! [MSC4308](https://github.com/matrix-org/matrix-spec-proposals/pull/4308))
//!
//! Pages, and not of ruma's types: where the operator has not turned this on, there is no such endpoint, whoever asks.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tombolo_platform::{AskError, World};

use super::no_event;
use crate::{
    config::Config,
    error::{Error, Result, invalid_param, missing_param, not_found, unrecognized},
    http::{
        auth::{self, Reader, user_object},
        client::tokens::{of_subscriptions, subscriptions_position},
        endpoint::{json_body, json_response},
        query,
        router::Router,
    },
    objects::{
        room::messages::{Refusal, ThreadPlace, ThreadPlaceReply},
        room_object,
        user_sync::messages::{
            Cost, StreamPosition, Subscribe, Subscription, SubscriptionTo, SubscriptionsBetween,
            Unsubscribe,
        },
    },
};

const ONE: &str =
    "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{event_id}/subscription";
const ALL: &str = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";

/// How many subscriptions a page has where the client does not say, and at most.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 512;

pub fn routes(router: &mut Router) {
    router.page(&Method::PUT, ONE, subscribe);
    router.page(&Method::DELETE, ONE, unsubscribe);
    router.page(&Method::GET, ONE, subscription);
    router.page(&Method::GET, ALL, subscriptions);
}

/// A thread: its room, and the event with which it begins.
type Thread = (OwnedRoomId, OwnedEventId);

#[derive(Deserialize)]
struct Body {
    /// The event for which the client subscribes by itself.
    automatic: Option<String>,
}

async fn subscribe(
    world: World,
    request: Request<Bytes>,
    (room_id, root): Thread,
) -> Result<Response<Bytes>> {
    let reader = reader(&world, &request, &room_id).await?;
    let Body { automatic } = json_body(&request)?;
    let event_id = automatic.map(OwnedEventId::try_from).transpose();
    let event_id = event_id.map_err(|_| invalid_param("automatic is no event ID"))?;
    let user = user_object(&reader.session.user);
    let place = place(&world, reader, (&room_id, &root), event_id).await?;
    let subscribe = Subscribe { room_id, root, cause: place.event };
    if !world.ask(&user, &subscribe).await? {
        let code = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION";
        let message = "The user has unsubscribed after this event";
        return Err(Error::new(StatusCode::CONFLICT, code, message));
    }
    json_response(StatusCode::OK, &json!({}))
}

async fn unsubscribe(
    world: World,
    request: Request<Bytes>,
    (room_id, root): Thread,
) -> Result<Response<Bytes>> {
    let reader = reader(&world, &request, &room_id).await?;
    let user = user_object(&reader.session.user);
    let newest = place(&world, reader, (&room_id, &root), None).await?.newest;
    world.ask(&user, &Unsubscribe { room_id, root, newest }).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn subscription(
    world: World,
    request: Request<Bytes>,
    (room_id, root): Thread,
) -> Result<Response<Bytes>> {
    let reader = reader(&world, &request, &room_id).await?;
    let subscription = SubscriptionTo { room_id: room_id.clone(), root: root.clone() };
    let automatic = world.ask(&user_object(&reader.session.user), &subscription).await?;
    let automatic = automatic.ok_or_else(|| not_found("You are not subscribed to this thread"))?;
    place(&world, reader, (&room_id, &root), None).await?;
    json_response(StatusCode::OK, &json!({ "automatic": automatic }))
}

/// Subscriptions that changed.
#[derive(Default, Serialize)]
pub struct Changed {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subscribed: Threads,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unsubscribed: Threads,
}

/// Threads by room.
type Threads = BTreeMap<OwnedRoomId, BTreeMap<OwnedEventId, Shown>>;

#[derive(Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic: Option<bool>,
    bump_stamp: StreamPosition,
}

impl Changed {
    pub fn of(subscriptions: Vec<Subscription>) -> Self {
        let mut changed = Self::default();
        for thread in subscriptions {
            let threads = match thread.automatic {
                Some(_) => &mut changed.subscribed,
                None => &mut changed.unsubscribed,
            };
            let shown = Shown { automatic: thread.automatic, bump_stamp: thread.pos };
            threads.entry(thread.room_id).or_default().insert(thread.root, shown);
        }
        changed
    }
}

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    changed: Changed,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

async fn subscriptions(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_on(&world)?;
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    match query::first(&pairs, "dir") {
        Some("b") => {}
        Some(_) => return Err(invalid_param("dir is b")),
        None => return Err(missing_param("There is no dir")),
    }
    let limit = match query::first(&pairs, "limit").map(str::parse::<u64>) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit > 0 => u32::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
        Some(_) => return Err(invalid_param("limit is greater than zero")),
    };
    // Pages go back: `from` is their newer end.
    let end = |name| query::first(&pairs, name).map(subscriptions_position).transpose();
    let (to, from) = (end("from")?, end("to")?.unwrap_or(0));
    let range = SubscriptionsBetween { from, to, limit };
    let found = world.ask(&user_object(&caller.user), &range).await?;
    let end = found.earlier.map(of_subscriptions);
    json_response(StatusCode::OK, &Page { changed: Changed::of(found.changed), end })
}

/// Refuses unless the operator has turned this on.
fn must_be_on(world: &World) -> Result<()> {
    match Config::of(world)?.thread_subscriptions {
        true => Ok(()),
        false => Err(unrecognized(StatusCode::NOT_FOUND)),
    }
}

/// Who asks, unless they have forgotten the room.
async fn reader(world: &World, request: &Request<Bytes>, room_id: &OwnedRoomId) -> Result<Reader> {
    must_be_on(world)?;
    let reader = auth::reader(world, request, Some(room_id.clone())).await?;
    reader.ok_or_else(no_event)
}

/// Where a thread, and an event in it, are for the user.
async fn place(
    world: &World,
    Reader { session, ignored }: Reader,
    (room_id, root): (&OwnedRoomId, &OwnedEventId),
    event_id: Option<OwnedEventId>,
) -> Result<ThreadPlaceReply> {
    let place = ThreadPlace { user: session.user, ignored, root: root.clone(), event_id };
    match world.ask(&room_object(room_id), &place).await {
        Err(AskError::Refused(Refusal::Unfit(message))) => {
            let code = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD";
            Err(Error::new(StatusCode::BAD_REQUEST, code, message))
        }
        // The answer must not tell whether the room is known here.
        Err(AskError::Refused(_)) => Err(no_event()),
        place => Ok(place?),
    }
}
