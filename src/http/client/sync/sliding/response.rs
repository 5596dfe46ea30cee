//! The response of a sliding sync, in either form.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use tombolo_protocol::membership::Membership;

use super::Form;
use crate::{
    error::Result,
    flows::sync::{
        Data,
        sliding::{Update, Updates},
    },
    http::client::{keys::USUAL, rooms::thread_subscriptions::Changed, tokens},
    objects::{
        room::messages::{Detail, Hero, SlidingWindowReply},
        user_sync::messages::Subscriptions,
    },
};

#[derive(Serialize)]
pub struct SlidingResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    txn_id: Option<String>,
    pos: String,
    lists: BTreeMap<String, List>,
    rooms: BTreeMap<OwnedRoomId, Room>,
    extensions: Extensions,
}

#[derive(Serialize)]
struct List {
    count: u64,
}

/// What is left out did not change; of a room that is `initial`, it is not set.
#[derive(Default, Serialize)]
struct Room {
    #[serde(skip_serializing_if = "Option::is_none")]
    bump_stamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<Membership>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heroes: Vec<Hero>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_dm: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    initial: bool,
    #[serde(flatten)]
    expanded: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    required_state: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeline: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_live: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_count: Option<u32>,
    /// The stripped state, under the name that the form has for it.
    #[serde(flatten)]
    stripped: BTreeMap<&'static str, Box<RawValue>>,
    #[serde(flatten)]
    counts: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Extensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    to_device: Option<ToDevice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e2ee: Option<Encryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_data: Option<AccountData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<OfRooms>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<OfRooms>,
    #[serde(
        rename = "io.element.msc4308.thread_subscriptions",
        skip_serializing_if = "Option::is_none"
    )]
    thread_subscriptions: Option<Threads>,
}

#[derive(Serialize)]
struct ToDevice {
    next_batch: String,
    events: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Encryption {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_lists: Option<Devices>,
    device_one_time_keys_count: BTreeMap<String, u64>,
    device_unused_fallback_key_types: Vec<String>,
}

#[derive(Serialize)]
struct Devices {
    changed: BTreeSet<OwnedUserId>,
    left: BTreeSet<OwnedUserId>,
}

#[derive(Serialize)]
struct AccountData {
    global: Vec<Data>,
    rooms: BTreeMap<OwnedRoomId, Vec<Data>>,
}

#[derive(Serialize)]
struct OfRooms {
    rooms: BTreeMap<OwnedRoomId, Data>,
}

#[derive(Serialize)]
struct Threads {
    #[serde(flatten)]
    changed: Changed,
    /// Where `/thread_subscriptions` goes on, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
}

/// Makes the response.
pub fn render(mut updates: Updates, form: Form, txn_id: Option<String>) -> Result<SlidingResponse> {
    let mut rooms = BTreeMap::new();
    for update in std::mem::take(&mut updates.rooms) {
        rooms.insert(update.room.room_id.clone(), room(update, form)?);
    }
    let counts = std::mem::take(&mut updates.counts).into_iter();
    Ok(SlidingResponse {
        txn_id,
        pos: tokens::of_connection(updates.pos),
        lists: counts.map(|(name, count)| (name, List { count })).collect(),
        rooms,
        extensions: extensions(updates),
    })
}

fn extensions(updates: Updates) -> Extensions {
    let (wanted, subscriptions) = (updates.wanted, updates.subscriptions);
    let of_rooms = |rooms: BTreeMap<_, _>| (!rooms.is_empty()).then_some(OfRooms { rooms });
    let data = AccountData { global: updates.account_data, rooms: updates.account_data_of_rooms };
    let to_device = wanted.to_device.is_some().then(|| ToDevice {
        next_batch: tokens::of_stream(updates.messages_upto, None),
        events: updates.messages,
    });
    let (lists, mut counts) = (updates.device_lists, updates.key_counts);
    counts.one_time_keys.entry(USUAL.to_owned()).or_default();
    let e2ee = wanted.e2ee.then(|| Encryption {
        device_lists: (!lists.is_empty())
            .then_some(Devices { changed: lists.changed, left: lists.left }),
        device_one_time_keys_count: counts.one_time_keys,
        device_unused_fallback_key_types: counts.unused_fallback_keys,
    });
    Extensions {
        to_device,
        e2ee,
        account_data: Some(data).filter(|data| !data.global.is_empty() || !data.rooms.is_empty()),
        receipts: of_rooms(updates.receipts),
        typing: of_rooms(updates.typing),
        thread_subscriptions: (!subscriptions.changed.is_empty()).then(|| threads(subscriptions)),
    }
}

fn threads(subscriptions: Subscriptions) -> Threads {
    let prev_batch = subscriptions.earlier.map(tokens::of_subscriptions);
    Threads { changed: Changed::of(subscriptions.changed), prev_batch }
}

fn room(update: Update, form: Form) -> Result<Room> {
    let Update { room: known, window } = update;
    let (is_stable, asked) = (form == Form::Stable, window.is_some());
    let mut room = match window {
        Some(window) => of_window(window, known.initial, form)?,
        None => Room { initial: known.initial, ..Room::default() },
    };
    if let Some(stripped) = known.stripped.filter(|_| known.membership.is_waiting()) {
        let name = if is_stable { "stripped_state" } else { "invite_state" };
        room.stripped.insert(name, stripped);
    }
    if room.bump_stamp.is_none() && (asked || known.membership.is_waiting()) {
        room.bump_stamp = i64::try_from(known.active).ok();
    }
    room.is_dm = known.is_dm.or((room.initial && known.direct).then_some(true));
    if is_stable {
        room.membership = Some(known.membership);
        room.lists = known.lists;
    } else {
        room.counts.insert("notification_count", known.unread.notifications);
        room.counts.insert("highlight_count", known.unread.highlights);
    }
    Ok(room)
}

fn of_window(window: SlidingWindowReply, initial: bool, form: Form) -> Result<Room> {
    let initial = initial || window.anew;
    let (joined, invited) = window.members.unzip();
    let mut room = Room {
        bump_stamp: window.bump_stamp,
        name: detail(window.name, initial)?,
        avatar: detail(window.avatar, initial)?,
        heroes: window.heroes,
        initial,
        required_state: window.state,
        timeline: window.timeline,
        prev_batch: (window.prev_batch > 0).then(|| tokens::of_room(window.prev_batch)),
        limited: Some(window.limited),
        num_live: Some(window.live),
        joined_count: joined,
        invited_count: invited,
        ..Room::default()
    };
    if window.expanded {
        let stable = form == Form::Stable;
        let name = if stable { "expanded_timeline" } else { "unstable_expanded_timeline" };
        room.expanded.insert(name, true);
    }
    // The form before had no way to say that state is set no more.
    if form == Form::Stable {
        for (kind, state_key) in window.removed {
            let stub = to_raw_value(&json!({ "type": kind, "state_key": state_key }))?;
            room.required_state.push(stub);
        }
    }
    Ok(room)
}

/// A text, or `null` where there is none any more.
fn detail(detail: Detail, initial: bool) -> Result<Option<Box<RawValue>>> {
    Ok(match detail {
        Detail::Set(text) => Some(to_raw_value(&text)?),
        Detail::Unset if !initial => Some(RawValue::NULL.to_owned()),
        Detail::Unset | Detail::Unchanged => None,
    })
}
