//! Which rooms does a client see: by its lists, and by their names?

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedRoomId;
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{json::members, membership::Membership};

use super::{connections::Sent, wanted::InScope};
use crate::objects::user_sync::{
    ListFilter, Result, Slide, StreamPosition, User, stream::Last, tags::TAGS,
};

/// The account data type of the list of direct messages.
const DIRECT: &str = "m.direct";
/// Of how many rooms it is found out at once what they are.
const MOST_UNKNOWN: usize = 100;

/// What a client sees.
#[derive(Default)]
pub struct Scope<'a> {
    /// Those that the client names first.
    pub rooms: Vec<InScope<'a>>,
    /// How many rooms each list has.
    pub counts: BTreeMap<String, u64>,
    /// Rooms of which is not known what they are.
    pub unknown: Vec<OwnedRoomId>,
}

type Direct = BTreeSet<String>;
type Tags = BTreeMap<String, BTreeSet<String>>;

/// What account data says of rooms, as it was when it changed last at this position.
#[derive(Default)]
pub struct Marks {
    at: StreamPosition,
    direct: Option<Rc<Direct>>,
    tags: Option<Rc<Tags>>,
}

/// What filters look at beside the rooms.
#[derive(Default)]
struct Beside {
    direct: Rc<Direct>,
    tags: Rc<Tags>,
}

/// Rooms that no list has, but for those that the client has to be told it left.
#[derive(Default)]
struct Hidden {
    invites: BTreeSet<OwnedRoomId>,
    forgotten: BTreeSet<String>,
}

impl Sent {
    /// Whether the client was sent the room, and not yet that the user is out of it.
    fn lacks_leave(&self, room: &OwnedRoomId) -> bool {
        self.rooms.get(room).is_some_and(|sent| !sent.membership.is_out())
    }
}

impl User<'_> {
    pub fn scope<'a>(&mut self, message: &'a Slide, sent: &Sent) -> Result<Scope<'a>> {
        let named = self.named(message, sent)?;
        let hidden = self.hidden(sent)?;
        let beside = self.beside(message)?;
        let rooms = &self.loaded()?.rooms;
        let mut listed: Vec<_> =
            rooms.iter().filter(|(room, last)| hidden.leaves((room, last), sent)).collect();
        if message.lists.values().any(|list| list.filter.asks_traits()) {
            let unknown = listed.iter().filter(|(_, last)| last.traits.is_none());
            let unknown: Vec<_> =
                unknown.map(|(room, _)| OwnedRoomId::clone(room)).take(MOST_UNKNOWN).collect();
            if !unknown.is_empty() {
                return Ok(Scope { unknown, ..Scope::default() });
            }
        }
        // Those first in which something happened last.
        listed.sort_by_key(|(_, last)| Reverse((last.active, last.pos)));
        let mut scope = Scope { rooms: named, ..Scope::default() };
        let named = scope.rooms.iter().filter_map(|room| rooms.get_key_value(&room.room_id));
        let mut places: BTreeMap<&OwnedRoomId, usize> =
            named.zip(0..).map(|((room, _), place)| (room, place)).collect();
        for (number, (name, list)) in message.lists.iter().enumerate() {
            let mut count = 0;
            for (room, last) in &listed {
                if !list.filter.passes(room, last, &beside) {
                    continue;
                }
                if within(list.ranges.as_deref(), count) {
                    let place = *places.entry(room).or_insert(scope.rooms.len());
                    scope.show(place, (room, last), number);
                }
                count += 1;
            }
            scope.counts.insert(name.clone(), count);
        }
        Ok(scope)
    }

    /// The rooms that the client names and may see.
    fn named<'a>(&mut self, message: &'a Slide, sent: &Sent) -> Result<Vec<InScope<'a>>> {
        let mut named = Vec::new();
        for (room, wanted) in &message.subscriptions {
            let Some(last) = self.loaded()?.rooms.get(room).cloned() else { continue };
            let hidden = match last.membership {
                Membership::Invite => self.hides_invite(room, None)?,
                membership if membership.is_out() => {
                    !sent.lacks_leave(room) && self.has_forgotten(room)?
                }
                _ => false,
            };
            if !hidden {
                named.push(InScope::of(room, &last, Some(wanted)));
            }
        }
        Ok(named)
    }

    /// The rooms of the user that no list has, as far as only rows say so.
    fn hidden(&mut self, sent: &Sent) -> Result<Hidden> {
        let rooms = &self.loaded()?.rooms;
        let invites = rooms.iter().filter(|(_, last)| last.membership == Membership::Invite);
        let invites: Vec<_> = invites.map(|(room, _)| room.clone()).collect();
        let some_left = rooms.iter().any(|(room, last)| is_left((room, last), sent));
        let mut hidden = Hidden::default();
        for room in invites {
            if self.hides_invite(&room, None)? {
                hidden.invites.insert(room);
            }
        }
        if some_left {
            hidden.forgotten = self.forgotten_rooms()?;
        }
        Ok(hidden)
    }

    /// What the filters of these lists look at.
    fn beside(&mut self, message: &Slide) -> Result<Beside> {
        let filters = || message.lists.values().map(|list| &list.filter);
        let mut beside = Beside::default();
        if filters().any(|filter| filter.is_dm.is_some()) {
            beside.direct = self.direct_messages()?;
        }
        if filters().any(|filter| filter.tags.is_some() || !filter.not_tags.is_empty()) {
            beside.tags = self.all_tags()?;
        }
        Ok(beside)
    }

    /// What account data says of rooms, as far as it was read since it changed.
    fn marks(&mut self) -> Result<&mut Marks> {
        let at = self.loaded()?.account_data;
        if self.cache.marks.at != at {
            self.cache.marks = Marks { at, ..Marks::default() };
        }
        Ok(&mut self.cache.marks)
    }

    /// The rooms that the user has marked as direct messages.
    pub fn direct_messages(&mut self) -> Result<Rc<Direct>> {
        if let Some(direct) = &self.marks()?.direct {
            return Ok(Rc::clone(direct));
        }
        let content = self.item("", DIRECT)?.map(RawValue::from_string).transpose()?;
        let of_users = members(content.as_deref()).into_values();
        let rooms =
            of_users.filter_map(|rooms| serde_json::from_str::<Vec<String>>(rooms.get()).ok());
        let direct = Rc::new(rooms.flatten().collect());
        self.marks()?.direct = Some(Rc::clone(&direct));
        Ok(direct)
    }

    /// The tags of all rooms.
    fn all_tags(&mut self) -> Result<Rc<Tags>> {
        if let Some(tags) = &self.marks()?.tags {
            return Ok(Rc::clone(tags));
        }
        let query = "SELECT room, content FROM account_data WHERE type = ?";
        let rows = self.sql.rows(query, values![TAGS], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let mut tags = BTreeMap::new();
        for (room, content) in rows {
            let content = RawValue::from_string(content)?;
            let of_room = members(members(Some(&content)).get("tags").map(|tags| &**tags));
            tags.insert(room, of_room.into_keys().collect());
        }
        let tags = Rc::new(tags);
        self.marks()?.tags = Some(Rc::clone(&tags));
        Ok(tags)
    }
}

impl Scope<'_> {
    /// Notes that a list shows a room, which has this place in the scope or gets it.
    fn show(&mut self, place: usize, (room, last): (&OwnedRoomId, &Last), list: usize) {
        if place == self.rooms.len() {
            self.rooms.push(InScope::of(room, last, None));
        }
        if let Some(room) = self.rooms.get_mut(place) {
            room.lists.push(list);
        }
    }
}

impl Hidden {
    /// Whether lists have a room.
    fn leaves(&self, (room, last): (&OwnedRoomId, &Last), sent: &Sent) -> bool {
        match last.membership {
            Membership::Join | Membership::Knock => true,
            Membership::Invite => !self.invites.contains(room),
            Membership::Leave | Membership::Ban => {
                is_left((room, last), sent)
                    && (!self.forgotten.contains(room.as_str()) || sent.lacks_leave(room))
            }
        }
    }
}

/// Whether lists have a room that the user is out of, unless it is forgotten: somebody else ended the stay, or the client
/// was sent the room.
fn is_left((room, last): (&OwnedRoomId, &Last), sent: &Sent) -> bool {
    let removed = || last.traits.as_ref().is_some_and(|traits| traits.removed);
    last.membership.is_out() && (removed() || sent.rooms.contains_key(room))
}

fn within(ranges: Option<&[(u64, u64)]>, place: u64) -> bool {
    let holds = |(first, last): &(u64, u64)| (*first..=*last).contains(&place);
    ranges.is_none_or(|ranges| ranges.iter().any(holds))
}

impl ListFilter {
    /// Whether it looks at what rooms are.
    fn asks_traits(&self) -> bool {
        self.is_encrypted.is_some() || self.room_types.is_some() || !self.not_room_types.is_empty()
    }

    fn passes(&self, room: &OwnedRoomId, last: &Last, beside: &Beside) -> bool {
        let traits = last.traits.as_deref();
        let room_type = traits.and_then(|traits| traits.room_type.as_deref());
        let has_type =
            |types: &Vec<Option<String>>| types.iter().any(|wanted| wanted.as_deref() == room_type);
        let is_encrypted = || traits.is_some_and(|traits| traits.encrypted);
        let has_one = |tags: &BTreeSet<String>| {
            let own = beside.tags.get(room.as_str());
            own.is_some_and(|own| !own.is_disjoint(tags))
        };
        self.is_dm.is_none_or(|wanted| wanted == beside.direct.contains(room.as_str()))
            && self.is_encrypted.is_none_or(|wanted| wanted == is_encrypted())
            && self.is_invite.is_none_or(|wanted| wanted == (last.membership == Membership::Invite))
            && self.room_types.as_ref().is_none_or(has_type)
            && !has_type(&self.not_room_types)
            && self.tags.as_ref().is_none_or(has_one)
            && !has_one(&self.not_tags)
            && self.within.as_ref().is_none_or(|within| within.contains(room))
    }
}
