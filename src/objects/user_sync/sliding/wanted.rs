//! What is wanted of a room, by all lists that show it and by its name?

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::objects::{
    room::messages::RequiredState,
    user_sync::{RoomWanted, RoomsWanted, Slide, stream::Last},
};

/// A room that a list shows, or that the client names.
pub struct InScope<'a> {
    pub room_id: OwnedRoomId,
    pub last: Last,
    /// The lists that show it, by their places in the request.
    pub lists: Vec<usize>,
    /// What is wanted of it by its name, if the client names it.
    pub named: Option<&'a RoomWanted>,
}

impl<'a> InScope<'a> {
    /// A room that no list shows yet.
    pub fn of(room: &OwnedRoomId, last: &Last, named: Option<&'a RoomWanted>) -> Self {
        Self { room_id: room.clone(), last: last.clone(), lists: Vec::new(), named }
    }
}

/// What the lists of a request want of their rooms. State that several of them want is compared once, not for each room.
pub struct Wishes<'a> {
    /// Of each list: the most events, and the place of its state below.
    lists: Vec<(u32, usize)>,
    /// In order, none twice.
    required: Vec<&'a RequiredState>,
    /// What the same lists want together: they show many rooms.
    held: BTreeMap<Vec<usize>, Rc<Wish<'a>>>,
}

impl<'a> Wishes<'a> {
    pub fn of(message: &'a Slide) -> Self {
        let rooms = || message.lists.values().map(|list| &list.room);
        let required: BTreeSet<&RequiredState> = rooms().map(|room| &room.required).collect();
        let required: Vec<_> = required.into_iter().collect();
        let place = |room: &RoomWanted| {
            let found = required.binary_search(&&room.required);
            (room.limit, found.unwrap_or_else(|place| place))
        };
        Self { lists: rooms().map(place).collect(), required, held: BTreeMap::new() }
    }

    /// What all that names a room wants of it.
    pub fn of_room(&mut self, room: &InScope<'a>) -> Rc<Wish<'a>> {
        let of_lists = self.of_lists(&room.lists);
        let Some(RoomWanted { limit, required }) = room.named else { return of_lists };
        let mut wish = Wish { more: Cell::default(), ..Wish::clone(&of_lists) };
        wish.limit = wish.limit.max(*limit);
        if let Err(place) = wish.required.binary_search(&required) {
            wish.required.insert(place, required);
        }
        Rc::new(wish)
    }

    fn of_lists(&mut self, lists: &[usize]) -> Rc<Wish<'a>> {
        if let Some(wish) = self.held.get(lists) {
            return Rc::clone(wish);
        }
        let of_lists = || lists.iter().filter_map(|list| self.lists.get(*list));
        let limit = of_lists().map(|(limit, _)| *limit).max().unwrap_or_default();
        let places: BTreeSet<usize> = of_lists().map(|(_, place)| *place).collect();
        let required = places.into_iter().filter_map(|place| self.required.get(place).copied());
        let required = required.collect();
        let wish = Rc::new(Wish { limit, required, more: Cell::default() });
        self.held.insert(lists.to_vec(), Rc::clone(&wish));
        wish
    }
}

/// What all that names a room wants of it.
#[derive(Clone, Default)]
pub struct Wish<'a> {
    pub limit: u32,
    /// What any of these includes is wanted. In order, none twice.
    pub required: Vec<&'a RequiredState>,
    /// Whether it wants state that the wish with this number did not: rooms of one list were mostly sent by one wish.
    more: Cell<Option<(usize, bool)>>,
}

impl Wish<'_> {
    /// Whether state is wanted that was not wanted by this wish before, which has a number.
    pub fn wants_more_state(&self, number: usize, before: &RoomConfig) -> bool {
        if let Some((_, more)) = self.more.get().filter(|(of, _)| *of == number) {
            return more;
        }
        let more = self.beyond(Some(before)).next().is_some();
        self.more.set(Some((number, more)));
        more
    }

    /// What is wanted and was not wanted before.
    pub fn beyond(&self, before: Option<&RoomConfig>) -> impl Iterator<Item = &RequiredState> {
        let held = before.map(|before| before.required.as_slice()).unwrap_or_default();
        let is_new = |required: &&RequiredState| held.binary_search(required).is_err();
        self.required.iter().copied().filter(is_new)
    }

    /// Whether the same was wanted before.
    pub fn is(&self, config: &RoomConfig) -> bool {
        self.limit == config.limit && self.required.iter().copied().eq(&config.required)
    }

    pub fn to_config(&self) -> RoomConfig {
        let required = self.required.iter().copied().cloned().collect();
        RoomConfig { limit: self.limit, required }
    }
}

/// As what a room is shown.
pub struct Shown<'a> {
    /// By which wish.
    pub wish: Rc<Wish<'a>>,
    pub receipts: bool,
    pub is_dm: bool,
}

/// By which wish a room was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomConfig {
    #[serde(rename = "l")]
    pub limit: u32,
    /// In order, none twice.
    #[serde(rename = "s")]
    pub required: Vec<RequiredState>,
}

impl RoomConfig {
    /// About how much this is (bytes).
    pub fn size(&self) -> usize {
        self.required.iter().map(RequiredState::size).sum()
    }
}

/// Of which rooms in scope something beside them is wanted.
pub struct Chosen<'a> {
    /// Whether it is, of each list.
    lists: Vec<bool>,
    /// Among the rooms that the client names. `None`: all.
    names: Option<&'a BTreeSet<String>>,
    all: bool,
}

impl<'a> Chosen<'a> {
    pub fn of(wanted: Option<&'a RoomsWanted>, message: &Slide) -> Option<Self> {
        const ALL: &str = "*";
        let RoomsWanted { lists, rooms } = wanted?;
        let is_chosen = |name: &String| {
            let among = |lists: &BTreeSet<String>| lists.contains(ALL) || lists.contains(name);
            lists.as_ref().is_none_or(among)
        };
        let all = rooms.as_ref().is_none_or(|rooms| rooms.contains(ALL));
        let lists = message.lists.keys().map(is_chosen).collect();
        Some(Self { lists, names: rooms.as_ref(), all })
    }

    pub fn has(&self, room: &InScope<'_>) -> bool {
        let named = || self.names.is_some_and(|names| names.contains(room.room_id.as_str()));
        room.lists.iter().any(|list| self.lists.get(*list).copied().unwrap_or_default())
            || room.named.is_some() && (self.all || named())
    }
}
