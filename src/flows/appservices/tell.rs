//! Which application services are owed what is new in a room?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))
//!
//! A service is one more follower of the room, told by ranges of positions. While one of its users is joined, or where the
//! room or an alias of it is in its namespaces, it is owed each event; else those alone that its users send, or that
//! change their memberships. The room's alarm tells services with all others; requests do so before, since people wait at
//! the other end of a bridge.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use futures_util::future::{Either, join_all, select};
use ruma::{OwnedRoomAliasId, OwnedUserId, RoomId};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::World;

use super::{Appservice, Appservices, appservices, registrations};
use crate::{
    flows::ours::Ours,
    objects::{
        appservice::messages::{Body, Owe, OweEdu, Range},
        appservice_object,
        room::messages::{
            ALL_SERVICES, NewsForServices, Position, Receipt, ServicesNews, Stay, TypingNow,
            UndeliveredReply,
        },
        room_object,
    },
    stores::aliases,
};

/// How long a telling waits for D1.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long typing is worth telling (ms).
const TYPING_LASTS: u64 = 30_000;
/// How many users who type are told of.
const MOST_TYPING: usize = 200;

/// The aliases of a room, as far as a service asks for them; an error where D1 does not say.
type Aliases = Result<Vec<OwnedRoomAliasId>, Ours>;

/// Tells services with the room's other followers; answers which are behind, by their IDs.
pub async fn tell(world: &World, room_id: &RoomId, undelivered: &UndeliveredReply) -> Vec<String> {
    let lagged = || undelivered.lagging_services().map(str::to_owned);
    let reading = Box::pin(registrations::recent(world));
    let services = match select(reading, Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((services, _)) => services,
        Either::Right(_) => Err(Ours::Unreachable("D1 has not answered yet".to_owned())),
    };
    let services = match services {
        Ok(services) => services,
        // Who registers one needs D1, too.
        Err(_) if lagged().next().is_none() && has_none(world) => return Vec::new(),
        Err(error) => {
            tracing::warn!(room = %room_id, %error, "no application service is told");
            return lagged().chain([ALL_SERVICES.to_owned()]).collect();
        }
    };
    let mut behind = tell_each(world, room_id, &services, Some(undelivered.to)).await;
    // A service that is not named may be behind by more than it would be from now on.
    if !behind.is_empty() && lagged().any(|id| id == ALL_SERVICES) {
        behind.push(ALL_SERVICES.to_owned());
    }
    behind
}

/// Tells services in the background; the room's alarm makes sure.
pub fn tell_meanwhile(world: &World, room_id: &RoomId) {
    let (telling, room_id) = (world.clone(), room_id.to_owned());
    world.later(async move {
        if let Ok(services) = appservices(&telling).await {
            tell_each(&telling, &room_id, &services, None).await;
        }
    });
}

/// Tells services who types now.
pub async fn tell_typing(world: &World, room_id: &RoomId, now: &TypingNow) {
    let Ok(services) = appservices(world).await else { return };
    if !services.iter().any(|service| wants_edus(service)) {
        return;
    }
    let aliases = &aliases_of(world, &services, room_id).await;
    let told = services.iter().filter(|service| wants_edus(service)).map(|service| async move {
        let is_there = now.tell.iter().any(|user| service.has_user(user));
        // Typing is stale in a moment: it is not told again.
        if !is_there && !has_room(service, room_id, aliases).unwrap_or_default() {
            return;
        }
        let users: Vec<&OwnedUserId> = now.typing.iter().take(MOST_TYPING).collect();
        let content = json!({ "user_ids": users });
        let edu = json!({ "type": "m.typing", "room_id": room_id, "content": content });
        let Ok(edu) = to_raw_value(&edu) else { return };
        let (key, until) = (format!("typing {room_id}"), world.now() + TYPING_LASTS);
        world.ask(&appservice_object(service.id()), &OweEdu { key, edu, until }).await.ok();
    });
    join_all(told).await;
}

/// Whether it is remembered that no service listens.
fn has_none(world: &World) -> bool {
    registrations::remembered(world).is_some_and(|services| !listens(&services))
}

fn listens(services: &Appservices) -> bool {
    services.iter().any(|service| service.registration.url.is_some())
}

fn wants_edus(service: &Appservice) -> bool {
    service.registration.url.is_some() && service.registration.receive_ephemeral
}

/// Tells each service what concerns it; answers those that could not be told.
async fn tell_each(
    world: &World,
    room_id: &RoomId,
    services: &Appservices,
    to: Option<Position>,
) -> Vec<String> {
    if !listens(services) {
        return Vec::new();
    }
    let listening = services.iter().filter(|service| service.registration.url.is_some());
    let receipts = services.iter().any(|service| wants_edus(service));
    let news = match world.ask(&room_object(room_id), &NewsForServices { to, receipts }).await {
        Ok(news) => news,
        Err(error) => {
            tracing::warn!(room = %room_id, %error, "no application service is told");
            return listening.map(|service| service.id().to_owned()).collect();
        }
    };
    let aliases = aliases_of(world, services, room_id).await;
    let told = listening.map(|service| tell_one(world, room_id, service, (&news, &aliases)));
    join_all(told).await.into_iter().flatten().collect()
}

/// Tells a service what concerns it; answers its ID if it could not be told.
async fn tell_one(
    world: &World,
    room_id: &RoomId,
    service: &Rc<Appservice>,
    (news, aliases): (&ServicesNews, &Aliases),
) -> Option<String> {
    let told = async {
        let owe = owed(room_id, service, (news, aliases)).map_err(|error| error.to_string())?;
        let Some(owe) = owe else { return Ok(()) };
        world.ask(&appservice_object(service.id()), &owe).await.map_err(|error| error.to_string())
    };
    let error = told.await.err()?;
    tracing::warn!(room = %room_id, id = service.id(), %error, "an application service is not told");
    Some(service.id().to_owned())
}

/// What a service is owed of the news, if anything.
fn owed(
    room_id: &RoomId,
    service: &Appservice,
    (news, aliases): (&ServicesNews, &Aliases),
) -> Result<Option<Owe>, Ours> {
    let behind = |(id, since): &(String, Position)| {
        (id == service.id() || id == ALL_SERVICES).then_some(*since)
    };
    let lags = news.lagging.iter().filter_map(behind).min();
    let since = lags.map_or(news.since, |lags| lags.min(news.since));
    if since >= news.to {
        return Ok(None);
    }
    // Ranges reach from event to event, so that what follows adjoins whatever else came between.
    let from = if since == news.since { news.told } else { since };
    let is_new = from < news.newest || !news.receipts.is_empty();
    let all = is_new && has_room(service, room_id, aliases)?;
    let ranges = match all {
        _ if from >= news.newest => Vec::new(),
        true => vec![Range { from, to: news.newest, whole: true }],
        false => ranges(service, news, from),
    };
    let is_there =
        all || news.stays.iter().any(|stay| stay.to.is_none() && service.has_user(&stay.user));
    let mut bodies = Vec::new();
    let outside = news.outside.iter().filter(|outside| outside.pos > since);
    for outside in outside.filter(|outside| service.has_user(&outside.user)) {
        bodies.push(Body { pos: outside.pos, json: outside.event.clone(), key: None });
    }
    let receipts = news.receipts.iter().filter(|(pos, _)| *pos > since);
    for (pos, receipt) in receipts.filter(|_| is_there && wants_edus(service)) {
        if receipt.kind == "m.read" || service.has_user(&receipt.user) {
            bodies.push(receipt_body(room_id, *pos, receipt)?);
        }
    }
    if ranges.is_empty() && bodies.is_empty() {
        return Ok(None);
    }
    Ok(Some(Owe { room_id: room_id.to_owned(), to: news.to, ranges, bodies }))
}

/// The parts of the range from a position on that concern a service by its users.
fn ranges(service: &Appservice, news: &ServicesNews, from: Position) -> Vec<Range> {
    let acts = news.acts.iter().filter(|(user, _)| service.has_user(user));
    let acts: Vec<Position> = acts.map(|(_, pos)| *pos).collect();
    let stays = news.stays.iter().filter(|stay| service.has_user(&stay.user));
    let part = |stay: &Stay| {
        let to = stay.to.unwrap_or(news.newest).min(news.newest);
        (stay.from.max(from), to)
    };
    let stays: BTreeSet<(Position, Position)> = stays.map(part).collect();
    let (mut ranges, mut upto): (Vec<Range>, _) = (Vec::new(), from);
    let between = |from: Position, to: Position| {
        let acted = news.many || acts.iter().any(|pos| *pos > from);
        (from < to && acted).then_some(Range { from, to, whole: false })
    };
    for (since, to) in stays {
        if to <= upto {
            continue;
        }
        ranges.extend(between(upto, since));
        match ranges.last_mut().filter(|last| last.whole && last.to >= since) {
            Some(last) => last.to = to,
            None => ranges.push(Range { from: since.max(upto), to, whole: true }),
        }
        upto = to;
    }
    ranges.extend(between(upto, news.newest));
    ranges
}

/// The aliases of a room, if a service is concerned with rooms by their aliases.
async fn aliases_of(world: &World, services: &Appservices, room_id: &RoomId) -> Aliases {
    let by_alias = |service: &Rc<Appservice>| !service.registration.namespaces.aliases.is_empty();
    if !services.iter().any(by_alias) {
        return Ok(Vec::new());
    }
    let reading = Box::pin(aliases::of_room(world, room_id));
    match select(reading, Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((aliases, _)) => Ok(aliases?),
        Either::Right(_) => Err(Ours::Unreachable("D1 has not answered yet".to_owned())),
    }
}

/// Whether a service is concerned with a room whoever is in it.
fn has_room(service: &Appservice, room_id: &RoomId, aliases: &Aliases) -> Result<bool, Ours> {
    if service.has_room(room_id.as_str()) {
        return Ok(true);
    }
    if service.registration.namespaces.aliases.is_empty() {
        return Ok(false);
    }
    let aliases = aliases.as_ref().map_err(Clone::clone)?;
    Ok(aliases.iter().any(|alias| service.has_alias(alias.as_str())))
}

/// Made without ruma's types: a client may name any text as the thread, and they cannot hold every text.
fn receipt_body(room_id: &RoomId, pos: Position, receipt: &Receipt) -> Result<Body, Ours> {
    let Receipt { user, kind, thread, event_id, ts } = receipt;
    let mut data = json!({ "ts": ts });
    if let Some(thread) = thread {
        data["thread_id"] = json!(thread);
    }
    let content = json!({ event_id.as_str(): { kind: { user.as_str(): data } } });
    let edu = json!({ "type": "m.receipt", "room_id": room_id, "content": content });
    let json: Box<RawValue> = to_raw_value(&edu)?;
    let key = format!("receipt {room_id} {user} {kind} {}", thread.as_deref().unwrap_or_default());
    Ok(Body { pos, json, key: Some(key) })
}
