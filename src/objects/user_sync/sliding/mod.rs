//! What is new for a device over a sliding sync?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))
//!
//! This object knows of each room how far it was told, and of each connection how far it was sent: what lies between is
//! asked of the room. What a response sends is noted here before the rooms are asked. A response that gets lost is asked
//! for again from the position before, whose note is kept until the client goes on.

mod beside;
mod connections;
mod filters;
mod wanted;

use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

pub use self::connections::Sent;
use self::{
    connections::{Connection, SentRoom},
    wanted::{Config, InScope},
};
use super::{
    ConnectionPos, Result, RoomsWanted, Slid, SlidRoom, SlidWindow, Slide, UnreadCounts, User,
    pull::MAX_STRIPPED,
};
use crate::objects::room::messages::{RequiredState, StateElement};

/// The most rooms of one response, and the most events that are wanted of them together: a Worker asks so many objects,
/// and holds their answers. The others follow in the next one.
const MOST_ROOMS: usize = 200;
const MOST_EVENTS: u32 = 4_000;
/// For how many events all members of a room are taken.
const ALL_MEMBERS: u32 = 200;

/// Everything that is new, or, on a connection that begins, everything that is asked for.
pub fn slide(user: &mut User<'_>, mut message: Slide) -> Result<Slid> {
    let device_id = user.device_of(&message.session)?;
    user.note_seen(&device_id)?;
    let connection = user.connection(&device_id, &message)?;
    let next = user.loaded()?.pos;
    let (scope, counts, unknown) = user.scope(&message, &connection.sent)?;
    let mut slid = Slid { device_id, counts, unknown, ..Slid::default() };
    if !slid.unknown.is_empty() {
        return Ok(slid);
    }
    let mut sent = Sent::clone(&connection.sent);
    slid.rooms = user.rooms_due(&message, &connection, &scope, &mut sent)?;
    user.add_account_data_beside((&message, &connection), &scope, &mut sent, &mut slid)?;
    user.add_typing_beside((&message, &connection), &scope, &mut slid)?;
    user.add_encryption(&message, &connection, &mut slid)?;
    user.add_subscriptions(&message, &connection, &mut slid)?;
    if let Some(poll) = message.presence.take().filter(|_| user.config.presence) {
        slid.tell = user.note_poll(&slid.device_id, &poll, message.goes_on)?;
    }
    slid.ignored = (*user.ignored()?).clone();
    if message.hold && message.pos.is_some() && slid.is_nothing() {
        user.effects.hold = true;
        return Ok(slid);
    }
    let id = user.keep(&slid.device_id, &message, (&connection, sent))?;
    slid.pos = Some(ConnectionPos { id, at: next });
    user.issue(next)?;
    Ok(slid)
}

impl Slid {
    fn is_nothing(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.account_data_of_rooms.is_empty()
            && self.typing.is_empty()
            && self.shares.is_empty()
            && self.devices_changed.is_empty()
            && self.messages.is_empty()
            && self.subscriptions.changed.is_empty()
            && self.tell.is_none()
    }
}

impl RoomsWanted {
    /// Whether something is wanted of a room.
    fn names(&self, room: &InScope) -> bool {
        let by_list = self.lists.as_ref().map_or(!room.lists.is_empty(), |lists| {
            lists.iter().any(|list| list == "*" || room.lists.contains(list))
        });
        let by_name = |name: &String| name == "*" || *name == *room.room_id;
        let subscribed = self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(by_name));
        by_list || room.subscribed && subscribed
    }
}

/// Whether something is wanted of a room.
fn wants(wanted: Option<&RoomsWanted>, room: &InScope) -> bool {
    wanted.is_some_and(|wanted| wanted.names(room))
}

impl User<'_> {
    /// The rooms of which something is new, and notes that it is sent.
    fn rooms_due(
        &mut self,
        message: &Slide,
        connection: &Connection,
        scope: &[InScope],
        sent: &mut Sent,
    ) -> Result<Vec<SlidRoom>> {
        let (dms, mut rooms, mut load) = (self.direct_messages()?, Vec::new(), Load::default());
        for room in scope {
            let receipts = wants(message.extensions.receipts.as_ref(), room);
            let is_dm = dms.contains(room.room_id.as_str());
            let before = connection.sent.rooms.get(&room.room_id);
            let known = before.map(|before| (before, connection.sent.config(before)));
            let due = Due::of(room, known, (receipts, is_dm));
            let tally = match room.last.membership {
                Membership::Join => self.tallies()?.get(&room.room_id).cloned(),
                _ => None,
            };
            let tally = tally.unwrap_or_default();
            let counted = !message.without_counts && tally.pos > connection.at;
            if due.is_none() && !counted {
                continue;
            }
            let mut unread = UnreadCounts::default();
            tally.counts.into_values().for_each(|counts| unread.add(counts));
            let shown = self.slid_room(room, (connection, known), &due)?;
            sent.note(room, (receipts, is_dm, shown.window.is_some()));
            load.add(room, known, &shown);
            rooms.push(SlidRoom { unread, counted, ..shown });
            if load.is_full() {
                break;
            }
        }
        Ok(rooms)
    }

    /// A room as it is shown, but for what is unread.
    fn slid_room(
        &mut self,
        room: &InScope,
        (connection, known): (&Connection, Option<(&SentRoom, &Config)>),
        due: &Due,
    ) -> Result<SlidRoom> {
        let membership = room.last.membership;
        let window = match known {
            _ if membership.is_waiting() || !due.asks => None,
            known => Some(self.window(room, (connection, known), due)?),
        };
        let stripped = if membership == Membership::Join { None } else { self.stripped_of(room)? };
        Ok(SlidRoom {
            room_id: room.room_id.clone(),
            membership,
            lists: room.lists.clone(),
            initial: known.is_none(),
            moved: known.is_some_and(|(before, _)| before.membership != membership),
            window,
            stripped,
            unread: UnreadCounts::default(),
            counted: false,
            is_dm: due.dm.then_some(due.direct),
            direct: due.direct,
            active: room.last.active,
        })
    }

    fn window(
        &mut self,
        room: &InScope,
        (connection, known): (&Connection, Option<(&SentRoom, &Config)>),
        due: &Due,
    ) -> Result<SlidWindow> {
        let (from, to) = (known.map_or(0, |(before, _)| before.upto), room.last.upto);
        let live_from = match known {
            Some((before, _)) => Some(before.upto),
            // Nothing has just happened for a client that begins.
            None if connection.id.is_none() => Some(to),
            None => self.told_at(&room.room_id, connection.at)?,
        };
        let receipts_from = match known {
            _ if !due.receipts => None,
            // Who comes back is shown the room from the beginning.
            Some((before, _)) if before.receipts && before.membership == Membership::Join => {
                Some(from)
            }
            _ => Some(0),
        };
        Ok(SlidWindow {
            from,
            to,
            live_from,
            limit: room.config.limit,
            expanded: due.expanded,
            required: room.config.required.clone(),
            required_before: known.map(|(_, config)| config.required.clone()).unwrap_or_default(),
            receipts_from,
        })
    }

    fn stripped_of(&mut self, room: &InScope) -> Result<Option<Box<RawValue>>> {
        let text = self.stripped_at(room.last.pos)?;
        Ok(text.map(RawValue::from_string).transpose()?)
    }
}

/// Why a room is due.
struct Due {
    /// Whether there may be news that the room itself, or its invite, tells.
    asks: bool,
    /// Whether the client wants more events than it was sent.
    expanded: bool,
    receipts: bool,
    /// Whether it became a direct message, or is none any more.
    dm: bool,
    /// Whether it is one.
    direct: bool,
}

impl Due {
    fn of(
        room: &InScope,
        known: Option<(&SentRoom, &Config)>,
        (receipts, direct): (bool, bool),
    ) -> Self {
        let Some((before, config)) = known else {
            return Self { asks: true, expanded: false, receipts, dm: false, direct };
        };
        let membership = room.last.membership;
        let moved = before.upto < room.last.upto || before.membership != membership;
        let is_new = |required: &RequiredState| !config.required.contains(required);
        let expanded = room.config.limit > config.limit;
        let wants_more =
            expanded || room.config.required.iter().any(is_new) || receipts && !before.receipts;
        // An invite says what it says, whatever is wanted.
        let asks = moved || wants_more && !membership.is_waiting();
        let dm = before.is_dm != direct && !membership.is_out();
        Self { asks, expanded, receipts, dm, direct }
    }

    fn is_none(&self) -> bool {
        !self.asks && !self.dm
    }
}

/// How much one response is to bring.
#[derive(Default)]
struct Load {
    rooms: usize,
    events: u32,
    stripped: usize,
}

impl Load {
    fn add(&mut self, room: &InScope, known: Option<(&SentRoom, &Config)>, shown: &SlidRoom) {
        self.rooms += 1;
        self.stripped += shown.stripped.as_ref().map_or(0, |stripped| stripped.get().len());
        if shown.window.is_none() {
            return;
        }
        let is_new = |required: &&RequiredState| {
            known.is_none_or(|(_, config)| !config.required.contains(required))
        };
        let state = room.config.required.iter().filter(is_new).map(RequiredState::weight);
        let events = state.fold(room.config.limit, u32::saturating_add);
        self.events = self.events.saturating_add(events);
    }

    fn is_full(&self) -> bool {
        self.rooms >= MOST_ROOMS || self.events >= MOST_EVENTS || self.stripped >= MAX_STRIPPED
    }
}

impl RequiredState {
    /// How many events this is taken for.
    fn weight(&self) -> u32 {
        let all_members = |element: &StateElement| {
            let of_members = element.kind.as_deref().is_none_or(|kind| kind == "m.room.member");
            of_members && element.state_key.is_none() && !self.lazy_members
        };
        let of_each = self.include.iter().map(|element| match all_members(element) {
            true => ALL_MEMBERS,
            false => 1,
        });
        of_each.fold(0, u32::saturating_add)
    }
}
