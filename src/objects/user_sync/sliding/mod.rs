//! What is new for a device over a sliding sync?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))
//!
//! This object knows of each room how far it was told, and of each connection how far it was sent: what lies between is
//! asked of the room. What a response sends is noted here before the rooms are asked. A response that gets lost is asked
//! for again from the position before, whose note is kept until the client goes on.

mod beside;
mod connections;
mod due;
mod filters;
mod wanted;

use std::rc::Rc;

use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use self::{
    connections::{Connection, Note},
    due::{Due, Known, Load},
    filters::Scope,
    wanted::{Chosen, InScope, Shown, Wishes},
};
pub use self::{
    connections::{Draft, Sent, keep_sent},
    filters::Marks,
};
use super::{
    ConnectionPos, Result, Slid, SlidRoom, SlidWindow, Slide, StreamPosition, UnreadCounts, User,
};

/// Everything that is new, or, on a connection that begins, everything that is asked for.
pub fn slide(user: &mut User<'_>, mut message: Slide) -> Result<Slid> {
    let device_id = user.device_of(&message.session)?;
    user.note_seen(&device_id)?;
    let presence = message.presence.take();
    let lost = user.begins_again(&device_id, &mut message)?;
    let connection = user.connection(&device_id, &message)?;
    let next = user.loaded()?.pos;
    let Scope { rooms: scope, counts, unknown } = user.scope(&message, &connection.sent)?;
    let mut slid = Slid { device_id, counts, unknown, lost, ..Slid::default() };
    if !slid.unknown.is_empty() {
        return Ok(slid);
    }
    let mut sent = Rc::clone(&connection.sent);
    slid.rooms = user.rooms_due(&message, &connection, &scope, &mut sent)?;
    user.add_account_data_beside((&message, &connection), &scope, &mut sent, &mut slid)?;
    user.add_typing_beside((&message, &connection), &scope, &mut sent, &mut slid)?;
    user.add_encryption(&message, &connection, &mut slid)?;
    user.add_subscriptions(&message, &connection, &mut slid)?;
    if let Some(poll) = presence.filter(|_| user.config.presence) {
        slid.tell = user.note_poll(&slid.device_id, &poll, message.goes_on)?;
    }
    // The rooms of spaces were read before anything that the client was not told of: they may be others now.
    let is_up_to_date =
        connection.at == next || message.lists.values().all(|list| list.filter.within.is_none());
    if message.hold && message.pos.is_some() && is_up_to_date && slid.is_nothing() {
        user.effects.hold = true;
        return Ok(slid);
    }
    let ignored = user.ignored()?;
    let is_draft = message.waits_on && !slid.is_answer(&connection, !ignored.is_empty());
    let (id, is_draft) = user.keep((&slid.device_id, is_draft), &message, (&connection, sent))?;
    slid.pos = Some(ConnectionPos { id, at: next });
    slid.is_draft = is_draft;
    slid.ignored = (*ignored).clone();
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

    /// Whether this is sure to be answered. Rooms may have nothing to show: receipts that nobody asked for, and what users
    /// say whom this one ignores.
    fn is_answer(&self, connection: &Connection, ignores: bool) -> bool {
        let is_new = |room: &SlidRoom| room.initial || room.moved || room.counted;
        let shows = |room: &SlidRoom| {
            let Some(window) = &room.window else { return true };
            let is_active = room.active > connection.noted_at() || window.receipts_from.is_some();
            is_new(room) || room.is_dm.is_some() || is_active && !ignores
        };
        self.rooms.iter().any(shows)
            || !self.account_data.is_empty()
            || !self.account_data_of_rooms.is_empty()
            || !self.typing.is_empty()
            || !self.messages.is_empty()
            || !self.subscriptions.changed.is_empty()
    }
}

impl User<'_> {
    /// Begins again where the client is, if what was noted since is lost. The answer is the last of its request then: of
    /// two that wait on, each could take away what the other noted, for ever.
    fn begins_again(&mut self, device: &str, message: &mut Slide) -> Result<bool> {
        let (Some(pos), Some(kept)) = (message.pos, message.kept) else { return Ok(false) };
        let of = (device, &*message.connection);
        if pos == kept || self.has_draft(pos.id, of) || self.has_row(pos.id, of)? {
            return Ok(false);
        }
        (message.pos, message.hold, message.waits_on) = (Some(kept), false, false);
        Ok(true)
    }

    /// The rooms of which something is new, and notes that it is sent.
    fn rooms_due(
        &mut self,
        message: &Slide,
        connection: &Connection,
        scope: &[InScope<'_>],
        sent: &mut Rc<Sent>,
    ) -> Result<Vec<SlidRoom>> {
        let (dms, mut wishes) = (self.direct_messages()?, Wishes::of(message));
        let with_receipts = Chosen::of(message.extensions.receipts.as_ref(), message);
        let names: Vec<&String> = message.lists.keys().collect();
        let (mut rooms, mut load) = (Vec::new(), Load::default());
        for room in scope {
            let receipts = with_receipts.as_ref().is_some_and(|chosen| chosen.has(room));
            let is_dm = dms.contains(room.room_id.as_str());
            let shown = Shown { wish: wishes.of_room(room), receipts, is_dm };
            let before = connection.sent.rooms.get(&room.room_id);
            let known = before.map(|before| (before, connection.sent.config(before)));
            let due = Due::of(room, known, shown);
            let counts = if message.without_counts { None } else { Some(self.counted_at(room)?) };
            let counted = counts > Some(before.map_or(0, |before| before.counted));
            if due.is_none() && !counted {
                continue;
            }
            let slid = self.slid_room(room, (connection, known), &due)?;
            let note = Note { shown: &due.shown, asked: slid.window.is_some(), counted: counts };
            Rc::make_mut(sent).note(room, &note);
            load.add(&due, known, &slid);
            let lists = room.lists.iter().filter_map(|list| names.get(*list));
            let lists = lists.map(|name| String::clone(name)).collect();
            let unread = self.unread_of(room)?;
            rooms.push(SlidRoom { unread, counted, lists, ..slid });
            if load.is_full() {
                break;
            }
        }
        Ok(rooms)
    }

    /// Where in the stream changed last what is unread in a room.
    fn counted_at(&mut self, room: &InScope<'_>) -> Result<StreamPosition> {
        if room.last.membership != Membership::Join {
            return Ok(0);
        }
        Ok(self.tallies()?.get(&room.room_id).map_or(0, |tally| tally.pos))
    }

    fn unread_of(&mut self, room: &InScope<'_>) -> Result<UnreadCounts> {
        let mut unread = UnreadCounts::default();
        if room.last.membership == Membership::Join {
            let tally = self.tallies()?.get(&room.room_id);
            let counts = tally.into_iter().flat_map(|tally| tally.counts.values());
            counts.for_each(|counts| unread.add(*counts));
        }
        Ok(unread)
    }

    /// A room as it is shown, but for the lists that show it and what is unread.
    fn slid_room(
        &mut self,
        room: &InScope<'_>,
        (connection, known): (&Connection, Known<'_>),
        due: &Due<'_>,
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
            lists: Vec::new(),
            initial: known.is_none(),
            moved: known.is_some_and(|(before, _)| before.membership != membership),
            window,
            stripped,
            unread: UnreadCounts::default(),
            counted: false,
            is_dm: due.turned.then_some(due.shown.is_dm),
            direct: due.shown.is_dm,
            active: room.last.active,
        })
    }

    fn window(
        &mut self,
        room: &InScope<'_>,
        (connection, known): (&Connection, Known<'_>),
        due: &Due<'_>,
    ) -> Result<SlidWindow> {
        let (from, to) = (known.map_or(0, |(before, _)| before.upto), room.last.upto);
        let live_from = match known {
            Some((before, _)) => Some(before.upto),
            // Nothing has just happened for a client that begins.
            None if connection.id.is_none() => Some(to),
            None => self.told_at(&room.room_id, connection.at)?,
        };
        let receipts_from = match known {
            _ if !due.shown.receipts => None,
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
            limit: due.shown.wish.limit,
            expanded: due.expanded,
            required: due.shown.wish.to_config().required,
            required_before: known.map(|(_, config)| config.required.clone()).unwrap_or_default(),
            receipts_from,
        })
    }

    fn stripped_of(&mut self, room: &InScope<'_>) -> Result<Option<Box<RawValue>>> {
        let text = self.stripped_at(room.last.pos)?;
        Ok(text.map(RawValue::from_string).transpose()?)
    }
}
