//! How do a room's followers learn that there is news?
//!
//! A room's alarm runs [`tell`]: it asks the room what is undelivered, tells each follower, and notes how far it came.
//! It may be repeated, since followers take news by position. [`tell_now`] is the short way inside a request, for the
//! users whose next `/sync` must agree with the answer.

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, join, join_all, join3, ready, select},
    stream,
};
use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomId,
    api::federation::transactions::edu::TypingContent,
};
use serde_json::json;
use tombolo_platform::{AskError, Fault, World};

use crate::{
    flows::{appservices, directory::public_rooms, presence, telling::members},
    objects::{
        destination::messages::{Owe, OweEdu},
        destination_object,
        room::messages::{
            ExpireTyping, Listing, LocalNews, LocalNewsReply, LocalsTold, Notifiable, Position,
            Receipt, Refusal, ServerDue, Told, TypingNow, Undelivered, UndeliveredReply, UserNews,
        },
        room_object, user_object,
        user_sync::messages::{News, TypingNews},
    },
    stores::room_servers,
};

/// How many followers are told at once.
const AT_ONCE: usize = 20;
/// How many bytes of events for push rules are on the way to them.
const MOST_BYTES: usize = 8 << 20;
/// How long a request waits for its news to be told, and [`tell`] for D1; the room's alarm does the rest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells a room's followers; answers when to come again (ms).
pub async fn tell(world: &World, room_id: &OwnedRoomId) -> Result<Option<u64>, Fault> {
    let address = room_object(room_id);
    let typing = expire_typing(world, room_id).await?;
    let undelivered = match world.ask(&address, &Undelivered {}).await {
        Ok(undelivered) => undelivered,
        Err(AskError::Refused(Refusal::Absent)) => return Ok(None),
        Err(error) => return Err(Fault(error.to_string())),
    };
    let services = appservices::tell::tell(world, room_id, &undelivered);
    let ((lagging_users, lagging_servers), lagging_services) =
        join(deliver(world, room_id, &undelivered), services).await;
    let copying = copied(world, room_id, &undelivered.moved);
    let following = members::follow(world, room_id, &undelivered, &lagging_users);
    let listing = listed(world, room_id, undelivered.listing.as_ref());
    let (copied, followed, listed) = join3(copying, following, listing).await;
    // Which servers meet whom is worked out with both copies.
    let met = followed && copied;
    let followed = met && members::introduce(world, room_id, &undelivered).await;
    if met {
        presence::introduce(world, room_id, &undelivered).await;
    }
    let told = Told {
        to: undelivered.to,
        lagging: undelivered.lagging,
        lagging_users,
        lagging_servers,
        copy_lagging: !copied,
        members_lagging: !followed,
        listed: undelivered.listing.map(|listing| listing.version).filter(|_| listed),
        listing_lagging: !listed,
        lagging_services,
    };
    let again = world.ask(&address, &told).await.map_err(|error| Fault(error.to_string()))?;
    Ok([again, typing].into_iter().flatten().min())
}

/// Tells these users and waits until they know, but not for long.
pub async fn tell_now(world: &World, room_id: &RoomId, news: Vec<UserNews>) {
    if news.is_empty() {
        return;
    }
    let telling = stream::iter(news).for_each_concurrent(AT_ONCE, |news| async {
        // If this fails, the room's alarm tells the user.
        tell_user(world, room_id, news).await.ok();
    });
    match select(Box::pin(telling), Box::pin(world.sleep(PATIENCE))).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

/// Tells a room's local users their untold news and waits until they know, but not for long: a `/sync` that begins
/// after we answered another server shows the events of that answer.
pub async fn tell_locals(world: &World, room_id: &RoomId) {
    let telling = async {
        appservices::tell::tell_meanwhile(world, room_id);
        let LocalNewsReply { to, news, notifiable } =
            world.ask(&room_object(room_id), &LocalNews {}).await.ok()?;
        let notifiable = &notifiable;
        if news.is_empty() {
            return None;
        }
        let failed = stream::iter(news)
            .map(|news| tell_user(world, room_id, with(news, notifiable)))
            .buffer_unordered(at_once(notifiable.as_ref()))
            .filter(|told| ready(told.is_err()))
            .count()
            .await;
        if failed == 0 {
            world.ask(&room_object(room_id), &LocalsTold { to }).await.ok()?;
        }
        Some(())
    };
    // The room's alarm tells whoever is missed here.
    select(Box::pin(telling), Box::pin(world.sleep(PATIENCE))).await;
}

/// Tells these users in the background.
pub fn tell_meanwhile(world: &World, room_id: &RoomId, news: Vec<UserNews>) {
    if news.is_empty() {
        return;
    }
    let (telling, room_id) = (world.clone(), room_id.to_owned());
    let mut told = Box::pin(async move {
        let told = news.into_iter().map(|news| tell_user(&telling, &room_id, news));
        // If one fails, the room's alarm tells the user.
        join_all(told).await;
    });
    // One poll sends the messages now, so that they precede whatever the caller does next.
    if told.as_mut().now_or_never().is_none() {
        world.later(told);
    }
}

/// Tells local users and application services who types now.
pub async fn tell_typing(world: &World, room_id: &RoomId, now: &TypingNow) {
    let told = stream::iter(&now.tell).for_each_concurrent(AT_ONCE, |user| async move {
        let news = TypingNews { room_id: room_id.to_owned(), typing: now.typing.clone() };
        // Typing is stale in a moment: it is not told again.
        world.ask(&user_object(user), &news).await.ok();
    });
    join(told, appservices::tell::tell_typing(world, room_id, now)).await;
}

/// Copies to D1 which servers came into the room and left it; answers whether that succeeded. If not, the room's alarm
/// does it again: a D1 that is slow or down delays nobody's news.
async fn copied(world: &World, room_id: &RoomId, moved: &[(OwnedServerName, bool)]) -> bool {
    if moved.is_empty() {
        return true;
    }
    let saving = Box::pin(room_servers::save(world, room_id, moved));
    match select(saving, Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(()), _)) => return true,
        Either::Left((Err(error), _)) => {
            tracing::warn!(room = %room_id, %error, "which servers are in the room was not copied");
        }
        Either::Right(_) => {
            tracing::warn!(room = %room_id, "which servers are in the room is still being copied");
        }
    }
    false
}

/// Copies to D1 what the room is to be found by; answers whether that succeeded. If not, the room's alarm does it again.
pub async fn listed(world: &World, room_id: &RoomId, listing: Option<&Listing>) -> bool {
    let Some(listing) = listing else { return true };
    let saving = Box::pin(public_rooms::copy(world, room_id, listing));
    match select(saving, Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(()), _)) => return true,
        Either::Left((Err(error), _)) => {
            tracing::warn!(room = %room_id, %error, "what the room is to be found by was not copied");
        }
        Either::Right(_) => {
            tracing::warn!(room = %room_id, "what the room is to be found by is still being copied");
        }
    }
    false
}

async fn expire_typing(world: &World, room_id: &OwnedRoomId) -> Result<Option<u64>, Fault> {
    let expired = match world.ask(&room_object(room_id), &ExpireTyping {}).await {
        Ok(expired) => expired,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(error) => return Err(Fault(error.to_string())),
    };
    if let Some(now) = &expired.changed {
        tell_typing(world, room_id, now).await;
    }
    Ok(expired.next)
}

async fn deliver(
    world: &World,
    room_id: &OwnedRoomId,
    undelivered: &UndeliveredReply,
) -> (Vec<OwnedUserId>, Vec<OwnedServerName>) {
    let users = stream::iter(undelivered.users.clone())
        .map(|news| async move {
            let user = news.user.clone();
            let news = with(news, &undelivered.notifiable);
            tell_user(world, room_id, news).await.err().map(|_| user)
        })
        .buffer_unordered(at_once(undelivered.notifiable.as_ref()))
        .collect::<Vec<Option<OwnedUserId>>>();
    let servers = stream::iter(&undelivered.servers)
        .map(|due| async move {
            let told = tell_server(world, room_id, due, undelivered).await;
            told.err().map(|_| due.server.clone())
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<Option<OwnedServerName>>>();
    let (users, servers) = join(users, servers).await;
    (users.into_iter().flatten().collect(), servers.into_iter().flatten().collect())
}

/// How many users are told at once, each with these events for their push rules.
fn at_once(notifiable: Option<&Notifiable>) -> usize {
    let events = notifiable.into_iter().flat_map(|notifiable| &notifiable.events);
    let bytes: usize = events.map(|event| event.event.get().len()).sum();
    MOST_BYTES.checked_div(bytes).map_or(AT_ONCE, |users| users.clamp(1, AT_ONCE))
}

/// News with the events that the user's push rules judge, if the user is joined.
fn with(news: UserNews, notifiable: &Option<Notifiable>) -> UserNews {
    let notifiable = notifiable.as_ref().filter(|_| news.notify.is_some()).cloned();
    UserNews { notifiable, ..news }
}

async fn tell_user(world: &World, room_id: &RoomId, news: UserNews) -> Result<(), String> {
    let user = news.user.clone();
    let news = News { room_id: room_id.to_owned(), news };
    world.ask(&user_object(&user), &news).await.map_err(|error| error.to_string())
}

async fn tell_server(
    world: &World,
    room_id: &RoomId,
    due: &ServerDue,
    undelivered: &UndeliveredReply,
) -> Result<(), String> {
    let address = destination_object(&due.server);
    if due.events {
        let owe = Owe { room_id: room_id.to_owned(), from: due.since, to: undelivered.to };
        world.ask(&address, &owe).await.map_err(|error| error.to_string())?;
    }
    let concerns = |pos: Position| due.since < pos && pos <= due.receipts;
    for (_, receipt) in undelivered.receipts.iter().filter(|(pos, _)| concerns(*pos)) {
        world
            .ask(&address, &receipt_edu(room_id, receipt)?)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Made without ruma's types: a client may name any text as the thread, and they cannot hold every text.
fn receipt_edu(room_id: &RoomId, receipt: &Receipt) -> Result<OweEdu, String> {
    let mut data = json!({ "ts": receipt.ts });
    if let Some(thread) = &receipt.thread {
        data["thread_id"] = json!(thread);
    }
    let reader = json!({ "data": data, "event_ids": [receipt.event_id] });
    let edu = json!({
        "edu_type": "m.receipt",
        "content": { room_id.as_str(): { &receipt.kind: { receipt.user.as_str(): reader } } },
    });
    let key = format!(
        "receipt {room_id} {} {}",
        receipt.user,
        receipt.thread.as_deref().unwrap_or_default()
    );
    let edu = serde_json::value::to_raw_value(&edu).map_err(|error| error.to_string())?;
    Ok(OweEdu { key, edu, until: None, durable: false, unhurried: false })
}

/// How long a remote user's typing lasts unless it is renewed (ms), and so how long a notice of it is worth sending.
pub const TYPING_LASTS: u64 = 30_000;

/// Tells other servers that one of our users types, or stopped.
pub async fn tell_servers_typing(
    world: &World,
    room_id: &RoomId,
    user: &OwnedUserId,
    typing: bool,
    servers: Vec<OwnedServerName>,
) {
    let content = TypingContent::new(room_id.to_owned(), user.clone(), typing);
    let edu = json!({ "edu_type": "m.typing", "content": content });
    let Ok(edu) = serde_json::value::to_raw_value(&edu) else { return };
    let until = world.now() + TYPING_LASTS;
    let told = stream::iter(servers).for_each_concurrent(AT_ONCE, |server| {
        let owe = OweEdu {
            key: format!("typing {room_id} {user}"),
            edu: edu.clone(),
            until: Some(until),
            durable: false,
            unhurried: false,
        };
        async move {
            // Typing is stale in a moment: it is not told again.
            world.ask(&destination_object(&server), &owe).await.ok();
        }
    });
    told.await;
}
