//! The response of `GET /_matrix/client/v3/sync`. It is serialised directly to text, like all answers with events.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tombolo_protocol::{event::Projection, membership::Membership};

use crate::{
    error::Result,
    flows::sync::{Content, Data, DeviceLists, Inside, Stay, Updates},
    http::client::{keys::USUAL, sync::presence, tokens},
    objects::{user_keys::messages::KeyCounts, user_sync::messages::UnreadCounts},
};

#[derive(Debug, Serialize)]
pub struct SyncResponse {
    next_batch: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rooms: BTreeMap<&'static str, BTreeMap<OwnedRoomId, Room>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_data: Option<Events<Data>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_lists: Option<Devices>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_device: Option<Events<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<Events<Value>>,
    device_one_time_keys_count: BTreeMap<String, u64>,
    device_unused_fallback_key_types: Vec<String>,
}

/// Users whose devices the client has to ask for again, and those whose devices it may forget.
#[derive(Debug, Serialize)]
struct Devices {
    changed: BTreeSet<OwnedUserId>,
    left: BTreeSet<OwnedUserId>,
}

/// The entry of a room.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Room {
    Invited { invite_state: Stripped },
    Knocking { knock_state: Stripped },
    Stay(Box<StayRoom>),
}

/// Which state the client asks for, and so under which name it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it was before the timeline.
    Before,
    /// As it is after the timeline.
    After,
    /// The same, as clients ask that know it by its proposal alone
    /// ([MSC4222](https://github.com/matrix-org/matrix-spec-proposals/pull/4222)).
    AfterUnstable,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "state",
            Self::After => "state_after",
            Self::AfterUnstable => "org.matrix.msc4222.state_after",
        }
    }
}

/// A list of events that is JSON text already.
#[derive(Debug, Serialize)]
struct Stripped {
    events: Box<RawValue>,
}

#[derive(Debug, Serialize)]
struct Events<T> {
    events: Vec<T>,
}

/// A room that the user is in, or was.
#[derive(Debug, Serialize)]
struct StayRoom {
    timeline: Timeline,
    #[serde(flatten)]
    state: BTreeMap<&'static str, Events<Box<RawValue>>>,
    account_data: Events<Data>,
    #[serde(flatten)]
    inside: Option<InsideRoom>,
}

#[derive(Debug, Serialize)]
struct Timeline {
    events: Vec<Box<RawValue>>,
    limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
}

#[derive(Debug, Serialize)]
struct InsideRoom {
    summary: Summary,
    ephemeral: Events<Data>,
    unread_notifications: Unread,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unread_thread_notifications: BTreeMap<String, Unread>,
}

/// How much of a room or thread is unread.
#[derive(Debug, Serialize)]
struct Unread {
    highlight_count: u64,
    notification_count: u64,
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

/// How the client wants its events.
type Form<'a> = (State, Option<&'a Projection>);

/// Makes the response; its events have only the fields that the client wants.
pub fn render(updates: Updates, now: u64, (state, fields): Form<'_>) -> Result<SyncResponse> {
    let next_batch = presence::token(&updates);
    let mut rooms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for update in updates.rooms {
        let of_section = rooms.entry(section(update.membership)).or_default();
        of_section
            .insert(update.room_id, room(update.membership, update.content, (state, fields))?);
    }
    let account_data = Some(Events { events: updates.account_data });
    let to_device = Some(Events { events: updates.messages });
    let presence = Some(Events { events: presence::events(&updates.presence, now) });
    let KeyCounts { mut one_time_keys, unused_fallback_keys, .. } = updates.key_counts;
    one_time_keys.entry(USUAL.to_owned()).or_default();
    Ok(SyncResponse {
        next_batch,
        presence: presence.filter(|presence| !presence.events.is_empty()),
        rooms,
        account_data: account_data.filter(|data| !data.events.is_empty()),
        device_lists: devices(updates.device_lists),
        to_device: to_device.filter(|messages| !messages.events.is_empty()),
        device_one_time_keys_count: one_time_keys,
        device_unused_fallback_key_types: unused_fallback_keys,
    })
}

fn devices(lists: DeviceLists) -> Option<Devices> {
    if lists.is_empty() {
        return None;
    }
    let DeviceLists { changed, left } = lists;
    Some(Devices { changed, left })
}

/// The section of the response for rooms with this membership.
fn section(membership: Membership) -> &'static str {
    match membership {
        Membership::Invite => "invite",
        Membership::Join => "join",
        Membership::Knock => "knock",
        Membership::Leave | Membership::Ban => "leave",
    }
}

fn room(membership: Membership, content: Content, form: Form<'_>) -> Result<Room> {
    let none = || RawValue::from_string("[]".to_owned());
    Ok(match content {
        Content::Stay(stay) => Room::Stay(Box::new(stay_room(*stay, form)?)),
        Content::Stripped(events) => {
            let events = Stripped { events: events.map_or_else(none, Ok)? };
            if membership == Membership::Knock {
                Room::Knocking { knock_state: events }
            } else {
                Room::Invited { invite_state: events }
            }
        }
    })
}

fn stay_room(stay: Stay, (state, fields): Form<'_>) -> Result<StayRoom> {
    let prev_batch = stay.prev_batch.map(tokens::of_room);
    let events = projected(stay.timeline, fields)?;
    Ok(StayRoom {
        timeline: Timeline { events, limited: stay.limited, prev_batch },
        state: BTreeMap::from([(state.name(), Events { events: projected(stay.state, fields)? })]),
        account_data: Events { events: stay.account_data },
        inside: stay.inside.map(inside_room),
    })
}

fn inside_room(inside: Inside) -> InsideRoom {
    let Inside { joined_members, invited_members, heroes, .. } = inside;
    let threads = inside.unread_threads.into_iter();
    InsideRoom {
        summary: Summary { joined: joined_members, invited: invited_members, heroes },
        ephemeral: Events { events: inside.ephemeral },
        unread_notifications: unread(inside.unread),
        unread_thread_notifications: threads.map(|(root, counts)| (root, unread(counts))).collect(),
    }
}

fn unread(counts: UnreadCounts) -> Unread {
    Unread { highlight_count: counts.highlights, notification_count: counts.notifications }
}

/// Events with the fields that the client wants.
fn projected(
    events: Vec<Box<RawValue>>,
    fields: Option<&Projection>,
) -> Result<Vec<Box<RawValue>>> {
    let Some(fields) = fields else { return Ok(events) };
    let shown = events.iter().map(|event| fields.shown(event));
    Ok(shown.collect::<std::result::Result<_, _>>()?)
}
