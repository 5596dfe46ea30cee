//! What is new for a client?
//! ([syncing](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))
//!
//! The user's object says which rooms have news and up to where; each room is asked once for its window. While there is
//! nothing, the Worker waits on a socket to the user's object: a timer runs only here.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::{AskError, Waited, World};
use tombolo_protocol::{
    event::{Projection, field},
    membership::Membership,
};

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

/// The user a valid token names; the session may have ended.
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
    pub filter: Rc<SyncFilter>,
}

/// A filter ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering)). There is no presence to filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SyncFilter {
    /// The fields of events that are shown, where not all are.
    #[serde(deserialize_with = "projection")]
    pub event_fields: Option<Projection>,
    pub event_format: String,
    pub room: RoomFilter,
    pub account_data: EventFilter,
}

impl SyncFilter {
    /// Which events of a room's timeline are shown, and how.
    fn timeline(&self, room: &RoomId, ignored: &BTreeSet<OwnedUserId>) -> EventFilter {
        let (ignored, raw) = (ignored.clone(), self.event_format == "federation");
        EventFilter { ignored, raw, ..self.room.timeline.of_room(room) }
    }
}

fn projection<'de, D: Deserializer<'de>>(
    fields: D,
) -> std::result::Result<Option<Projection>, D::Error> {
    let paths = Vec::<String>::deserialize(fields)?;
    Ok(if paths.is_empty() { None } else { Some(Projection::of(&paths)) })
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

/// The response. It is written straight to text, like all that holds events.
#[derive(Debug, Serialize)]
pub struct Synced {
    next_batch: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rooms: BTreeMap<&'static str, BTreeMap<OwnedRoomId, Content>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_data: Option<Events<Item>>,
}

/// Answers a sync.
pub async fn sync(world: &World, claim: Claim, wish: Wish) -> Result<Synced> {
    let until = world.now() + wish.timeout.min(LONGEST);
    let mut wish = wish;
    loop {
        let pulled = pull(world, &claim, &wish, until).await?;
        let next = pulled.next;
        let response = respond(world, &claim.user, &wish, pulled).await?;
        let done = wish.since.is_none() || wish.full_state || world.now() >= until;
        if done || !response.rooms.is_empty() || response.account_data.is_some() {
            return Ok(response);
        }
        // What a filter hides is no reason to answer.
        wish.since = Some(next);
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

async fn respond(world: &World, user: &OwnedUserId, wish: &Wish, pulled: Pulled) -> Result<Synced> {
    let Pulled { device_id: device, next, rooms: news, account_data, ignored } = pulled;
    let viewer = &Viewer { user: user.clone(), device, ignored };
    let wanted = |room: &RoomNews| {
        let id = room.room_id.to_string();
        wish.filter.room.rooms.as_ref().is_none_or(|rooms| rooms.contains(&id))
            && !wish.filter.room.not_rooms.contains(&id)
    };
    let sections: Vec<Result<Vec<Section>>> = stream::iter(news.into_iter().filter(wanted))
        .map(|news| async move { sections(world, viewer, wish, news).await })
        .buffered(ROOMS_AT_ONCE)
        .collect()
        .await;
    let mut rooms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for of_room in sections {
        for Section { name, room_id, content } in of_room? {
            rooms.entry(name).or_default().insert(room_id, content);
        }
    }
    let account_data = Events { events: items(account_data, &wish.filter.account_data) };
    let account_data = Some(account_data).filter(|data| !data.events.is_empty());
    Ok(Synced { next_batch: format!("s{next}"), rooms, account_data })
}

/// For whom rooms are asked.
struct Viewer {
    user: OwnedUserId,
    device: String,
    ignored: BTreeSet<OwnedUserId>,
}

/// What the response says of one room, and in which section.
struct Section {
    name: &'static str,
    room_id: OwnedRoomId,
    content: Content,
}

/// What is said of a room.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    Invite { invite_state: Stripped },
    Knock { knock_state: Stripped },
    Room(Box<Shown>),
}

/// A list of events that is text already.
#[derive(Debug, Serialize)]
struct Stripped {
    events: Box<RawValue>,
}

#[derive(Debug, Default, Serialize)]
struct Events<T> {
    events: Vec<T>,
}

/// Something that is no event of the room.
#[derive(Debug, Default, Serialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    content: Box<RawValue>,
}

/// A room the user is in, or was.
#[derive(Debug, Default, Serialize)]
struct Shown {
    timeline: Timeline,
    state: Events<Box<RawValue>>,
    account_data: Events<Item>,
    #[serde(flatten)]
    joined: Option<Joined>,
}

#[derive(Debug, Default, Serialize)]
struct Timeline {
    events: Vec<Box<RawValue>>,
    limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
}

/// What only a user who is in the room is told.
#[derive(Debug, Serialize)]
struct Joined {
    summary: Summary,
    ephemeral: Events<Item>,
}

#[derive(Debug, Serialize)]
struct Summary {
    #[serde(rename = "m.joined_member_count")]
    joined: u32,
    #[serde(rename = "m.invited_member_count")]
    invited: u32,
    #[serde(rename = "m.heroes", skip_serializing_if = "Vec::is_empty")]
    heroes: Vec<OwnedUserId>,
}

#[derive(Serialize)]
struct Typing {
    user_ids: Vec<OwnedUserId>,
}

/// What the response says of a room. An invite does not hide a stay that ended since the last sync.
async fn sections(
    world: &World,
    viewer: &Viewer,
    wish: &Wish,
    news: RoomNews,
) -> Result<Vec<Section>> {
    if !news.membership.is_waiting() {
        return Ok(inside(world, viewer, wish, (news, false)).await?.into_iter().collect());
    }
    let mut sections = Vec::new();
    if wish.since.is_some() && news.from > 0 {
        let stay = RoomNews::of(news.room_id.clone(), Membership::Leave, news.from, news.to);
        sections.extend(inside(world, viewer, wish, (stay, true)).await?);
    }
    if !news.hidden {
        sections.push(outside(news)?);
    }
    Ok(sections)
}

/// A room that the user is invited to, or knocks at.
fn outside(news: RoomNews) -> Result<Section> {
    let (room_id, is_invite) = (news.room_id.clone(), news.membership == Membership::Invite);
    let events = stripped(news)?;
    Ok(if is_invite {
        Section { name: "invite", room_id, content: Content::Invite { invite_state: events } }
    } else {
        Section { name: "knock", room_id, content: Content::Knock { knock_state: events } }
    })
}

/// A room that the user is in, or was. With `stay_only`, nothing is said of one that the user was not in meanwhile.
async fn inside(
    world: &World,
    viewer: &Viewer,
    wish: &Wish,
    (news, stay_only): (RoomNews, bool),
) -> Result<Option<Section>> {
    let room_id = news.room_id.clone();
    let name = if news.membership == Membership::Join { "join" } else { "leave" };
    let part = |content| Ok(Some(Section { name, room_id, content }));
    let window = Window {
        user: viewer.user.clone(),
        device: viewer.device.clone(),
        from: news.from,
        to: news.to,
        full_state: wish.full_state,
        stay_only,
        timeline: wish.filter.timeline(&news.room_id, &viewer.ignored),
        state: wish.filter.room.state.of_room(&news.room_id),
    };
    let window = match world.ask(&room(&news.room_id), &window).await {
        Ok(window) => window,
        // A room we were never in: an invite that ended.
        Err(AskError::Refused(Refusal::Absent)) if stay_only => return Ok(None),
        Err(AskError::Refused(Refusal::Absent)) => return part(Content::Room(Box::default())),
        Err(error) => return Err(error.into()),
    };
    let quiet = news.from == news.to
        && news.account_data.is_empty()
        && news.typing.is_none()
        && !wish.full_state;
    // A gap alone is news: what lies in it is had by `/messages`. So is a room alone, where the client does not know
    // it.
    let nothing = wish.since.is_some()
        && !wish.full_state
        && !window.anew
        && !window.limited
        && window.timeline.is_empty()
        && window.state.is_empty()
        && window.receipts.is_none()
        && news.account_data.is_empty()
        && news.typing.is_none()
        && (stay_only || name == "join");
    if quiet || nothing {
        return Ok(None);
    }
    part(Content::Room(Box::new(shown(wish, news, window)?)))
}

/// The state shown to a user who is invited or knocks; none of it where there was too much to be loaded.
fn stripped(news: RoomNews) -> Result<Stripped> {
    let none = || RawValue::from_string("[]".to_owned());
    Ok(Stripped { events: news.stripped.map_or_else(none, Ok)? })
}

fn shown(wish: &Wish, news: RoomNews, window: WindowReply) -> Result<Shown> {
    let prev_batch = Some(format!("t{}", window.prev_batch));
    let filter = &wish.filter.room;
    let events = projected(wish, window.timeline)?;
    let account_data = items(news.account_data, &filter.account_data.of_room(&news.room_id));
    let mut shown = Shown {
        timeline: Timeline { events, limited: window.limited, prev_batch },
        state: Events { events: projected(wish, window.state)? },
        account_data: Events { events: account_data },
        joined: None,
    };
    if news.membership != Membership::Join {
        return Ok(shown);
    }
    let typing = news.typing.map(|user_ids| to_raw_value(&Typing { user_ids })).transpose()?;
    let ephemeral = [("m.receipt", window.receipts), ("m.typing", typing)];
    let ephemeral =
        ephemeral.into_iter().filter_map(|(kind, content)| Some((kind.to_owned(), content?)));
    shown.joined = Some(Joined {
        summary: Summary {
            joined: window.joined_members,
            invited: window.invited_members,
            heroes: window.heroes,
        },
        ephemeral: Events { events: items(ephemeral, &filter.ephemeral.of_room(&news.room_id)) },
    });
    Ok(shown)
}

/// Events with the fields that the client wants.
fn projected(wish: &Wish, events: Vec<Box<RawValue>>) -> Result<Vec<Box<RawValue>>> {
    let Some(projection) = &wish.filter.event_fields else { return Ok(events) };
    let shown = events.iter().map(|event| projection.shown(event));
    Ok(shown.collect::<std::result::Result<_, _>>()?)
}

/// What passes a filter, of things that nobody sent: no list of senders names one.
fn items(
    items: impl IntoIterator<Item = (String, Box<RawValue>)>,
    filter: &EventFilter,
) -> Vec<Item> {
    let has_url =
        |content: &RawValue| field(content, "url").is_some_and(|url| url.get().starts_with('"'));
    let passing = items.into_iter().filter(|(kind, content)| {
        filter.passes(kind)
            && filter.senders.is_none()
            && filter.contains_url.is_none_or(|wanted| wanted == has_url(content))
    });
    passing.map(|(kind, content)| Item { kind, content }).collect()
}
