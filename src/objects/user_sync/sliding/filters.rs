//! Which rooms does a client see: by its lists, and by their names?

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ruma::OwnedRoomId;
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{json::members, membership::Membership};

use super::{connections::Sent, wanted::InScope};
use crate::objects::user_sync::{ListFilter, Result, Slide, User, stream::Last, tags::TAGS};

/// The account data type of the list of direct messages.
const DIRECT: &str = "m.direct";
/// Of how many rooms it is found out at once what they are.
const MOST_UNKNOWN: usize = 100;

/// The rooms in scope, those that the client names first; how many rooms each list has; and rooms of which is not known
/// what they are.
type Scope = (Vec<InScope>, BTreeMap<String, u64>, Vec<OwnedRoomId>);

/// What filters look at beside the rooms.
#[derive(Default)]
struct Beside {
    direct: BTreeSet<String>,
    tags: BTreeMap<String, BTreeSet<String>>,
}

impl User<'_> {
    pub fn scope(&mut self, message: &Slide, sent: &Sent) -> Result<Scope> {
        let listed = self.server_list(sent)?;
        let filters = || message.lists.values().map(|list| &list.filter);
        let by_traits = |filter: &ListFilter| {
            filter.is_encrypted.is_some()
                || filter.room_types.is_some()
                || !filter.not_room_types.is_empty()
        };
        if filters().any(by_traits) {
            let unknown = listed.iter().filter(|(_, last)| last.traits.is_none());
            let unknown: Vec<_> =
                unknown.map(|(room, _)| room.clone()).take(MOST_UNKNOWN).collect();
            if !unknown.is_empty() {
                return Ok((Vec::new(), BTreeMap::new(), unknown));
            }
        }
        let mut beside = Beside::default();
        if filters().any(|filter| filter.is_dm.is_some()) {
            beside.direct = self.direct_messages()?;
        }
        if filters().any(|filter| filter.tags.is_some() || !filter.not_tags.is_empty()) {
            beside.tags = self.all_tags()?;
        }
        let (mut found, mut counts) = (BTreeMap::new(), BTreeMap::new());
        let mut order = self.subscribed(message, &mut found)?;
        for (name, list) in &message.lists {
            let passing =
                listed.iter().filter(|(room, last)| list.filter.passes(room, last, &beside));
            let passing: Vec<_> = passing.collect();
            for (place, (room, last)) in (0..).zip(&passing) {
                if !within(list.ranges.as_deref(), place) {
                    continue;
                }
                if !found.contains_key(room) {
                    order.push(room.clone());
                }
                let place = found.entry(room.clone()).or_insert_with(|| InScope::of(room, last));
                place.lists.push(name.clone());
                place.config.add(list.room.limit, &list.room.required);
            }
            counts.insert(name.clone(), passing.len() as u64);
        }
        let rooms = order.iter().filter_map(|room| found.remove(room)).collect();
        Ok((rooms, counts, Vec::new()))
    }

    /// Puts in the rooms that the client names and may see; answers them in their order.
    fn subscribed(
        &mut self,
        message: &Slide,
        found: &mut BTreeMap<OwnedRoomId, InScope>,
    ) -> Result<Vec<OwnedRoomId>> {
        for (room, wanted) in &message.subscriptions {
            let Some(last) = self.loaded()?.rooms.get(room).cloned() else { continue };
            let hidden = match last.membership {
                Membership::Invite => self.hides_invite(room, None)?,
                membership => membership.is_out() && self.has_forgotten(room)?,
            };
            if !hidden {
                let mut place = InScope::of(room, &last);
                place.subscribed = true;
                place.config.add(wanted.limit, &wanted.required);
                found.insert(room.clone(), place);
            }
        }
        Ok(found.keys().cloned().collect())
    }

    /// The rooms of which lists are made, those first in which something happened last.
    fn server_list(&mut self, sent: &Sent) -> Result<Vec<(OwnedRoomId, Last)>> {
        let forgotten = self.forgotten_rooms()?;
        let mut rooms = Vec::new();
        for (room, last) in self.loaded()?.rooms.clone() {
            let removed = || last.traits.as_ref().is_some_and(|traits| traits.removed);
            let listed = match last.membership {
                Membership::Join | Membership::Knock => true,
                Membership::Invite => !self.hides_invite(&room, None)?,
                Membership::Leave | Membership::Ban => {
                    (removed() || sent.rooms.contains_key(&room))
                        && !forgotten.contains(room.as_str())
                }
            };
            if listed {
                rooms.push((room, last));
            }
        }
        rooms.sort_by_key(|(_, last)| Reverse((last.active, last.pos)));
        Ok(rooms)
    }

    /// The rooms that the user has marked as direct messages.
    pub fn direct_messages(&mut self) -> Result<BTreeSet<String>> {
        let content = self.item("", DIRECT)?.map(RawValue::from_string).transpose()?;
        let of_users = members(content.as_deref()).into_values();
        let rooms =
            of_users.filter_map(|rooms| serde_json::from_str::<Vec<String>>(rooms.get()).ok());
        Ok(rooms.flatten().collect())
    }

    /// The tags of all rooms.
    fn all_tags(&mut self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let query = "SELECT room, content FROM account_data WHERE type = ?";
        let rows = self.sql.rows(query, values![TAGS], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let mut tags = BTreeMap::new();
        for (room, content) in rows {
            let content = RawValue::from_string(content)?;
            let of_room = members(members(Some(&content)).get("tags").map(|tags| &**tags));
            tags.insert(room, of_room.into_keys().collect());
        }
        Ok(tags)
    }
}

fn within(ranges: Option<&[(u64, u64)]>, place: u64) -> bool {
    let holds = |(first, last): &(u64, u64)| (*first..=*last).contains(&place);
    ranges.is_none_or(|ranges| ranges.iter().any(holds))
}

impl ListFilter {
    fn passes(&self, room: &OwnedRoomId, last: &Last, beside: &Beside) -> bool {
        let traits = last.traits.as_deref();
        let room_type = || traits.and_then(|traits| traits.room_type.clone());
        let is_encrypted = || traits.is_some_and(|traits| traits.encrypted);
        let has_one = |tags: &Vec<String>| {
            let own = beside.tags.get(room.as_str());
            own.is_some_and(|own| tags.iter().any(|tag| own.contains(tag)))
        };
        self.is_dm.is_none_or(|wanted| wanted == beside.direct.contains(room.as_str()))
            && self.is_encrypted.is_none_or(|wanted| wanted == is_encrypted())
            && self.is_invite.is_none_or(|wanted| wanted == (last.membership == Membership::Invite))
            && self.room_types.as_ref().is_none_or(|types| types.contains(&room_type()))
            && (self.not_room_types.is_empty() || !self.not_room_types.contains(&room_type()))
            && self.tags.as_ref().is_none_or(has_one)
            && !has_one(&self.not_tags)
            && self.within.as_ref().is_none_or(|within| within.contains(room))
    }
}
