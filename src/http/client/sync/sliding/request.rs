//! What does a request for a sliding sync ask for, in either form?

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, UserId};
use serde::Deserialize;

use crate::{
    error::{Result, invalid_param},
    flows::sync::sliding::{List, Request},
    http::{client::tokens, query},
    objects::{
        room::messages::{RequiredState, StateElement},
        user_sync::messages::{
            Extensions, ListFilter, ListWanted, RoomWanted, RoomsWanted, ToDeviceWanted,
        },
    },
};

/// How many lists a request may have, and how many rooms it may name.
const MOST_LISTS: usize = 100;
const MOST_SUBSCRIPTIONS: usize = 100;
/// The same in the form before, which had no limit: clients name every room that was on the screen.
const MOST_UNSTABLE_SUBSCRIPTIONS: usize = 1_000;
/// How many ranges all lists may have: each room of a list is looked for in all of its ranges.
const MOST_RANGES: usize = 200;
/// How many spaces all lists may name, and the longest name of a connection or a list (bytes).
const MOST_SPACES: usize = 100;
const LONGEST_NAME: usize = 255;
/// The most subscriptions to threads of a response.
const MOST_THREADS: u32 = 100;
/// The most events of a timeline.
const MOST_EVENTS: u32 = 100;
/// How many elements of state a list or a room may want, and how many different lists may want together.
const MOST_ELEMENTS: usize = 200;
const MOST_ELEMENTS_OF_LISTS: usize = 1_000;
/// How many tags and types of rooms all filters may name, and how many lists and rooms an extension.
const MOST_FILTERED: usize = 1_000;
const MOST_NAMED_LISTS: usize = 100;
const MOST_NAMED_ROOMS: usize = 1_000;

/// A request as the proposal has it.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Proposed {
    conn_id: Option<String>,
    pos: Option<String>,
    timeout: Option<u64>,
    pub set_presence: Option<String>,
    lists: BTreeMap<String, ProposedList>,
    room_subscriptions: BTreeMap<String, ProposedRoom>,
    extensions: ExtensionsBody,
}

#[derive(Deserialize)]
struct ProposedList {
    #[serde(flatten)]
    room: ProposedRoom,
    range: Option<(u64, u64)>,
    #[serde(default)]
    filters: Filters,
}

#[derive(Deserialize)]
struct ProposedRoom {
    timeline_limit: u32,
    required_state: RequiredState,
}

/// A request in the form before.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Unstable {
    conn_id: Option<String>,
    pub txn_id: Option<String>,
    lists: BTreeMap<String, UnstableList>,
    room_subscriptions: BTreeMap<String, UnstableRoom>,
    extensions: ExtensionsBody,
}

#[derive(Deserialize)]
struct UnstableList {
    #[serde(flatten)]
    room: UnstableRoom,
    ranges: Option<Vec<(u64, u64)>>,
    #[serde(default)]
    filters: Option<Filters>,
}

#[derive(Deserialize)]
struct UnstableRoom {
    timeline_limit: u32,
    #[serde(default)]
    required_state: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filters {
    is_dm: Option<bool>,
    is_encrypted: Option<bool>,
    #[serde(alias = "is_invite")]
    is_invited: Option<bool>,
    room_types: Option<Vec<Option<String>>>,
    not_room_types: Option<Vec<Option<String>>>,
    tags: Option<BTreeSet<String>>,
    not_tags: Option<BTreeSet<String>>,
    spaces: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExtensionsBody {
    to_device: ToDevice,
    e2ee: Switch,
    account_data: OfRooms,
    receipts: OfRooms,
    typing: OfRooms,
    #[serde(rename = "io.element.msc4308.thread_subscriptions")]
    thread_subscriptions: ThreadSubscriptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToDevice {
    enabled: bool,
    since: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ThreadSubscriptions {
    enabled: bool,
    limit: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OfRooms {
    enabled: bool,
    #[serde(flatten)]
    wanted: RoomsWanted,
}

impl Proposed {
    pub fn read(self) -> Result<Request> {
        let mut lists = BTreeMap::new();
        for (name, list) in self.lists {
            must_be_opaque(&name)?;
            let ranges = list.range.map(|range| vec![range]);
            lists.insert(name, (list.room.read()?, ranges, list.filters));
        }
        let mut rooms = BTreeMap::new();
        for (room, wanted) in self.room_subscriptions {
            rooms.insert(room, wanted.read()?);
        }
        let asked = (self.conn_id, self.pos.as_deref(), self.timeout.unwrap_or_default());
        let request = request(asked, lists, (rooms, MOST_SUBSCRIPTIONS), self.extensions)?;
        Ok(Request { without_counts: true, ..request })
    }
}

impl ProposedRoom {
    fn read(self) -> Result<RoomWanted> {
        let mut required = self.required_state;
        for elements in [&mut required.include, &mut required.exclude] {
            must_be_few("required_state", elements.len(), MOST_ELEMENTS)?;
            say_once(elements);
        }
        Ok(RoomWanted { limit: self.timeline_limit.min(MOST_EVENTS), required })
    }
}

impl Unstable {
    /// With the parameters of the query, which say from where on and how long.
    pub fn read(self, user: &UserId, parameters: &[(String, String)]) -> Result<Request> {
        let timeout = query::first(parameters, "timeout").map_or(Ok(0), str::parse);
        let timeout = timeout.map_err(|_| invalid_param("timeout is no number"))?;
        let pos = query::first(parameters, "pos");
        let mut lists = BTreeMap::new();
        for (name, list) in self.lists {
            let filters = list.filters.unwrap_or_default();
            lists.insert(name, (list.room.read(user)?, list.ranges, filters));
        }
        let mut rooms = BTreeMap::new();
        for (room, wanted) in self.room_subscriptions {
            rooms.insert(room, wanted.read(user)?);
        }
        let asked = (self.conn_id, pos, timeout);
        request(asked, lists, (rooms, MOST_UNSTABLE_SUBSCRIPTIONS), self.extensions)
    }
}

impl UnstableRoom {
    /// `*` stands for everything, `$ME` for the user, and `$LAZY` for the members whom the timeline needs.
    fn read(self, user: &UserId) -> Result<RoomWanted> {
        must_be_few("required_state", self.required_state.len(), MOST_ELEMENTS)?;
        let mut required = RequiredState::default();
        for (kind, state_key) in self.required_state {
            if (kind.as_str(), state_key.as_str()) == ("m.room.member", "$LAZY") {
                required.lazy_members = true;
                continue;
            }
            let state_key = if state_key == "$ME" { user.to_string() } else { state_key };
            let [kind, state_key] = [kind, state_key].map(|text| (text != "*").then_some(text));
            required.include.push(StateElement { kind, state_key });
        }
        say_once(&mut required.include);
        Ok(RoomWanted { limit: self.timeline_limit.min(MOST_EVENTS), required })
    }
}

/// Takes out elements that are there twice. Their order says nothing.
fn say_once(elements: &mut Vec<StateElement>) {
    elements.sort_unstable();
    elements.dedup();
}

/// What a list wants, whichever form it has: of its rooms, their places, and which they are.
type Wanted = (RoomWanted, Option<Vec<(u64, u64)>>, Filters);

fn request(
    (conn_id, pos, timeout): (Option<String>, Option<&str>, u64),
    lists: BTreeMap<String, Wanted>,
    (rooms, most): (BTreeMap<String, RoomWanted>, usize),
    extensions: ExtensionsBody,
) -> Result<Request> {
    let connection = conn_id.unwrap_or_default();
    must_be_few("lists", lists.len(), MOST_LISTS)?;
    must_want_little(&lists)?;
    must_be_few("room_subscriptions", rooms.len(), most)?;
    must_be_few("conn_id", connection.len(), LONGEST_NAME)?;
    let mut read = BTreeMap::new();
    for (name, (room, ranges, filters)) in lists {
        must_be_few("the name of a list", name.len(), LONGEST_NAME)?;
        let (filter, spaces) = filters.read();
        read.insert(name, List { wanted: ListWanted { ranges, filter, room }, spaces });
    }
    // A name that is none names no room, as one does of a room that the user cannot see.
    let subscriptions = rooms
        .into_iter()
        .filter_map(|(room, wanted)| OwnedRoomId::try_from(room).ok().map(|room| (room, wanted)));
    Ok(Request {
        connection,
        pos: pos.filter(|pos| !pos.is_empty()).map(tokens::connection_pos).transpose()?,
        timeout,
        lists: read,
        subscriptions: subscriptions.collect(),
        extensions: extensions.read()?,
        without_counts: false,
        presence: None,
    })
}

impl Filters {
    /// How many tags and types it names.
    fn names(&self) -> usize {
        let tags = [&self.tags, &self.not_tags].into_iter().flatten().map(BTreeSet::len);
        let types = [&self.room_types, &self.not_room_types].into_iter().flatten().map(Vec::len);
        tags.chain(types).sum()
    }

    fn read(self) -> (ListFilter, Option<Vec<OwnedRoomId>>) {
        let spaces = self.spaces.map(|spaces| {
            spaces.into_iter().filter_map(|space| OwnedRoomId::try_from(space).ok()).collect()
        });
        let filter = ListFilter {
            is_dm: self.is_dm,
            is_encrypted: self.is_encrypted,
            is_invite: self.is_invited,
            room_types: self.room_types,
            not_room_types: self.not_room_types.unwrap_or_default(),
            tags: self.tags,
            not_tags: self.not_tags.unwrap_or_default(),
            within: None,
        };
        (filter, spaces)
    }
}

impl ExtensionsBody {
    fn read(self) -> Result<Extensions> {
        let threads = self.thread_subscriptions;
        let of_rooms = |body: OfRooms| body.enabled.then_some(body.wanted);
        let to_device = self.to_device.enabled.then_some(self.to_device.since);
        for wanted in [&self.account_data, &self.receipts, &self.typing] {
            let RoomsWanted { lists, rooms } = &wanted.wanted;
            must_be_few("lists", lists.as_ref().map_or(0, BTreeSet::len), MOST_NAMED_LISTS)?;
            must_be_few("rooms", rooms.as_ref().map_or(0, BTreeSet::len), MOST_NAMED_ROOMS)?;
        }
        let to_device = to_device.map(|since| {
            let since = since.filter(|since| !since.is_empty());
            let since = since.map(|since| tokens::stream_positions(&since)).transpose()?;
            Result::Ok(ToDeviceWanted { since: since.map(|(_, messages)| messages) })
        });
        Ok(Extensions {
            to_device: to_device.transpose()?,
            e2ee: self.e2ee.enabled,
            account_data: of_rooms(self.account_data),
            receipts: of_rooms(self.receipts),
            typing: of_rooms(self.typing),
            thread_subscriptions: threads
                .enabled
                .then(|| threads.limit.unwrap_or(MOST_THREADS).clamp(1, MOST_THREADS)),
        })
    }
}

/// All lists together have few ranges, name few spaces, tags and types, and want little state. What several of them want counts once.
fn must_want_little(lists: &BTreeMap<String, Wanted>) -> Result<()> {
    let filters = || lists.values().map(|(_, _, filters)| filters);
    let spaces = filters().flat_map(|filters| &filters.spaces).map(Vec::len);
    must_be_few("spaces", spaces.sum(), MOST_SPACES)?;
    let ranges = lists.values().filter_map(|(_, ranges, _)| ranges.as_ref()).map(Vec::len);
    must_be_few("ranges", ranges.sum(), MOST_RANGES)?;
    must_be_few("filters", filters().map(Filters::names).sum(), MOST_FILTERED)?;
    let required: BTreeSet<_> = lists.values().map(|(room, ..)| &room.required).collect();
    let elements = required.iter().map(|of| of.include.len() + of.exclude.len());
    must_be_few("required_state", elements.sum(), MOST_ELEMENTS_OF_LISTS)
}

/// A list is called by an opaque identifier (<https://spec.matrix.org/v1.19/appendices/#opaque-identifiers>).
fn must_be_opaque(name: &str) -> Result<()> {
    let is_opaque = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_opaque) {
        return Err(invalid_param("The name of a list is an opaque identifier"));
    }
    Ok(())
}

fn must_be_few(name: &str, number: usize, most: usize) -> Result<()> {
    if number > most { Err(invalid_param(format!("{name}: more than {most}"))) } else { Ok(()) }
}
