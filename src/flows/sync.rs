//! What is new for a client?
//! ([syncing](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))
//!
//! The user's object says which rooms have news and up to where; each room is asked once for its window. While there is
//! nothing, the Worker waits on a socket to the user's object: only here runs a timer.

use futures_util::{StreamExt, stream};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, Waited, World};

use super::{room, user_object};
use crate::{
    error::{Result, unavailable},
    objects::{
        room::messages::{EventFilter, Refusal, Window, WindowReply},
        user_sync::messages::{Pull, Pulled, RoomNews, StreamPosition},
    },
};

/// How many rooms are asked at once.
const ROOMS_AT_ONCE: usize = 16;
/// The longest wait (ms).
const LONGEST: u64 = 60_000;

/// Who a valid token names; the session may have ended.
pub struct Claim {
    pub user: OwnedUserId,
    pub session: String,
}

/// What the client asks for.
#[derive(Debug, Default)]
pub struct Wish {
    pub since: Option<StreamPosition>,
    pub timeout: u64,
    pub full_state: bool,
    pub filter: SyncFilter,
}

/// A filter, as far as it is applied ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering)).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SyncFilter {
    pub room: RoomFilter,
    pub account_data: EventFilter,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoomFilter {
    pub rooms: Option<Vec<String>>,
    pub not_rooms: Vec<String>,
    pub include_leave: bool,
    pub timeline: EventFilter,
    pub state: EventFilter,
    pub ephemeral: EventFilter,
    pub account_data: EventFilter,
}

/// Answers a sync.
pub async fn sync(world: &World, claim: Claim, wish: Wish) -> Result<Value> {
    let until = world.now() + wish.timeout.min(LONGEST);
    let mut wish = wish;
    loop {
        let pulled = pull(world, &claim, &wish, until).await?;
        let response = respond(world, &claim.user, &wish, &pulled).await?;
        let done = wish.since.is_none() || wish.full_state || world.now() >= until;
        if done || response.get("rooms").is_some() || response.get("account_data").is_some() {
            return Ok(response);
        }
        // What a filter hides is no reason to answer.
        wish.since = Some(pulled.next);
    }
}

async fn pull(world: &World, claim: &Claim, wish: &Wish, until: u64) -> Result<Pulled> {
    let address = user_object(&claim.user);
    let hold = wish.since.is_some() && !wish.full_state && until > world.now();
    let mut pull = Pull {
        session: claim.session.clone(),
        since: wish.since,
        hold,
        include_leave: wish.filter.room.include_leave,
        full_state: wish.full_state,
    };
    if hold {
        match world.wait(&address, &pull, until).await.map_err(unavailable)? {
            Waited::Answered(pulled) => return Ok(pulled),
            Waited::Refused(refusal) => return Err(refusal.into()),
            Waited::Woken | Waited::TimedOut => {}
        }
    }
    pull.hold = false;
    Ok(world.ask(&address, &pull).await?)
}

async fn respond(world: &World, user: &OwnedUserId, wish: &Wish, pulled: &Pulled) -> Result<Value> {
    let wanted = |room: &&RoomNews| {
        let id = room.room_id.to_string();
        wish.filter.room.rooms.as_ref().is_none_or(|rooms| rooms.contains(&id))
            && !wish.filter.room.not_rooms.contains(&id)
    };
    let sections: Vec<Result<Option<Section>>> = stream::iter(pulled.rooms.iter().filter(wanted))
        .map(|news| async move { section(world, user, &pulled.device_id, wish, news).await })
        .buffered(ROOMS_AT_ONCE)
        .collect()
        .await;
    let mut rooms: Map<String, Value> = Map::new();
    for section in sections {
        let Some(Section { name, room_id, content }) = section? else { continue };
        if let Some(members) = rooms.entry(name).or_insert_with(|| json!({})).as_object_mut() {
            members.insert(room_id, content);
        }
    }
    let mut response = json!({ "next_batch": format!("s{}", pulled.next) });
    if !rooms.is_empty() {
        response["rooms"] = Value::Object(rooms);
    }
    let account_data = items(&pulled.account_data, &wish.filter.account_data)?;
    if !account_data.is_empty() {
        response["account_data"] = json!({ "events": account_data });
    }
    Ok(response)
}

/// What the response says of one room, and in which section.
struct Section {
    name: &'static str,
    room_id: String,
    content: Value,
}

async fn section(
    world: &World,
    user: &OwnedUserId,
    device: &str,
    wish: &Wish,
    news: &RoomNews,
) -> Result<Option<Section>> {
    let room_id = news.room_id.to_string();
    let part = |name, content| Ok(Some(Section { name, room_id, content }));
    let name = match news.membership.as_str() {
        "invite" => return part("invite", json!({ "invite_state": shown_to_invited(news) })),
        "knock" => return part("knock", json!({ "knock_state": shown_to_invited(news) })),
        "join" => "join",
        _ => "leave",
    };
    let window = Window {
        user: user.clone(),
        device: device.to_owned(),
        from: news.from,
        to: news.to,
        full_state: wish.full_state,
        timeline: wish.filter.room.timeline.clone(),
        state: wish.filter.room.state.clone(),
    };
    let window = match world.ask(&room(&news.room_id), &window).await {
        Ok(window) => window,
        // A room we were never in: an invite that ended.
        Err(AskError::Refused(Refusal::Absent)) => {
            let empty = json!({ "events": [] });
            return part(name, json!({ "timeline": empty, "state": empty }));
        }
        Err(error) => return Err(error.into()),
    };
    let content = joined(wish, news, &window)?;
    let quiet = news.from == news.to
        && news.account_data.is_empty()
        && news.typing.is_none()
        && !wish.full_state;
    let nothing = wish.since.is_some()
        && window.timeline.is_empty()
        && window.state.is_empty()
        && window.receipts.is_none()
        && news.account_data.is_empty()
        && news.typing.is_none()
        && news.membership == "join";
    if quiet || nothing { Ok(None) } else { part(name, content) }
}

fn shown_to_invited(news: &RoomNews) -> Value {
    json!({ "events": news.stripped.as_deref().unwrap_or(RawValue::NULL) })
}

fn joined(wish: &Wish, news: &RoomNews, window: &WindowReply) -> Result<Value> {
    let mut content = json!({
        "timeline": {
            "events": window.timeline,
            "limited": window.limited,
            "prev_batch": format!("t{}", window.prev_batch),
        },
        "state": { "events": window.state },
    });
    if news.membership != "join" {
        return Ok(content);
    }
    content["summary"] = json!({
        "m.joined_member_count": window.joined_members,
        "m.invited_member_count": window.invited_members,
    });
    if !window.heroes.is_empty() {
        content["summary"]["m.heroes"] = json!(window.heroes);
    }
    let mut ephemeral: Vec<Value> = Vec::new();
    if let Some(receipts) =
        window.receipts.as_deref().filter(|_| wish.filter.room.ephemeral.passes("m.receipt"))
    {
        ephemeral.push(json!({ "type": "m.receipt", "content": receipts }));
    }
    if let Some(typing) =
        news.typing.as_ref().filter(|_| wish.filter.room.ephemeral.passes("m.typing"))
    {
        ephemeral.push(json!({ "type": "m.typing", "content": { "user_ids": typing } }));
    }
    content["ephemeral"] = json!({ "events": ephemeral });
    content["account_data"] =
        json!({ "events": items(&news.account_data, &wish.filter.room.account_data)? });
    Ok(content)
}

fn items(items: &[(String, Box<RawValue>)], filter: &EventFilter) -> Result<Vec<Value>> {
    let passing = items.iter().filter(|(kind, _)| filter.passes(kind));
    passing.map(|(kind, content)| Ok(json!({ "type": kind, "content": content }))).collect()
}
