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

use ruma::RoomId;
use serde_json::value::RawValue;
use tombolo_platform::values;

pub use self::connections::Sent;
use self::{
    connections::{Connection, SentRoom},
    wanted::{Config, InScope},
};
use super::{
    ConnectionPos, Result, RoomsWanted, Slid, SlidRoom, SlidWindow, Slide, StreamPosition,
    UnreadCounts, User,
};
use crate::objects::room::messages::{Position, RequiredState};

/// The most rooms of one response, and the most events that are wanted of them together: a Worker asks so many objects,
/// and holds their answers. The others follow in the next one.
const MOST_ROOMS: usize = 200;
const MOST_EVENTS: u32 = 4_000;

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
    let polled = user.poll_presence(&slid.device_id, message.presence.take())?;
    slid.tell = polled.and_then(|polled| polled.tell);
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
        let (dms, mut rooms, mut events) = (self.direct_messages()?, Vec::new(), 0_u32);
        for room in scope {
            let receipts = wants(message.extensions.receipts.as_ref(), room);
            let is_dm = dms.contains(room.room_id.as_str());
            let before = connection.sent.rooms.get(&room.room_id);
            let known = before.map(|before| (before, connection.sent.config(before)));
            let due = Due::of(room, known, (receipts, is_dm));
            let tally = self.tallies()?.get(&room.room_id).cloned().unwrap_or_default();
            let counted = tally.pos > connection.at;
            if due.is_none() && !counted {
                continue;
            }
            let mut unread = UnreadCounts::default();
            tally.counts.into_values().for_each(|counts| unread.add(counts));
            let waits = room.last.membership.is_waiting();
            let window = match known {
                _ if waits || !due.asks => None,
                known => Some(self.window(room, (connection, known), &due)?),
            };
            rooms.push(SlidRoom {
                room_id: room.room_id.clone(),
                membership: room.last.membership,
                lists: room.lists.clone(),
                initial: before.is_none(),
                moved: before.is_some_and(|before| before.membership != room.last.membership),
                window,
                stripped: if waits { self.stripped_of(room)? } else { None },
                unread,
                counted,
                is_dm: (due.dm || before.is_none() && is_dm).then_some(is_dm),
                active: room.last.active,
            });
            sent.note(room, before, (receipts, is_dm, due.asks));
            events = events.saturating_add(room.config.limit);
            if rooms.len() >= MOST_ROOMS || events >= MOST_EVENTS {
                break;
            }
        }
        Ok(rooms)
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
            None => self.upto_at(&room.room_id, connection.at)?,
        };
        let receipts_from = match known {
            _ if !due.receipts => None,
            Some((before, _)) if before.receipts => Some(from),
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

    /// Up to where a room was told at a position of the stream, if anything was.
    fn upto_at(&mut self, room: &RoomId, at: StreamPosition) -> Result<Option<Position>> {
        let query = "SELECT upto FROM stream WHERE room = ? AND pos <= ? ORDER BY pos DESC LIMIT 1";
        let values = values![room.as_str(), at];
        Ok(self.sql.row(query, values, |row| row.int(0))?)
    }

    fn stripped_of(&mut self, room: &InScope) -> Result<Option<Box<RawValue>>> {
        let text = self.stripped_at(room.last.pos)?;
        Ok(text.map(RawValue::from_string).transpose()?)
    }
}

/// Why a room is due.
struct Due {
    /// Whether the room is to be asked.
    asks: bool,
    /// Whether the client wants more events than it was sent.
    expanded: bool,
    receipts: bool,
    /// Whether it became a direct message, or is none any more.
    dm: bool,
}

impl Due {
    fn of(
        room: &InScope,
        known: Option<(&SentRoom, &Config)>,
        (receipts, is_dm): (bool, bool),
    ) -> Self {
        let Some((before, config)) = known else {
            return Self { asks: true, expanded: false, receipts, dm: false };
        };
        let moved = before.upto < room.last.upto || before.membership != room.last.membership;
        let is_new = |required: &RequiredState| !config.required.contains(required);
        let expanded = room.config.limit > config.limit;
        let asks = moved
            || expanded
            || room.config.required.iter().any(is_new)
            || receipts && !before.receipts;
        Self { asks, expanded, receipts, dm: before.is_dm != is_dm }
    }

    fn is_none(&self) -> bool {
        !self.asks && !self.dm
    }
}
