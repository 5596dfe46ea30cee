//! What does one `/sync` show of the room?
//! ([syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing))
//!
//! No event past `to` is shown, so the same token always shows the same events. The summary (member counts, heroes) is
//! as of now.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedUserId, UserId};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room, Sn,
    graph::{
        events::{Before, Stored},
        sieve::Sieve,
        state::Key,
    },
    messages::{EventFilter, Position, Window, WindowReply},
    reading::view::Viewer,
    sending::typing::is_shown,
};

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;
/// How many events are looked at together.
const PAGE: u32 = 2 * MAX_LIMIT;
/// How many events are looked at for one timeline, whatever the filter hides.
const MAX_SCANNED: u32 = 2000;
/// How many heroes a room without a name has at most.
const HEROES: usize = 5;
/// How many members are looked at for heroes: in a room of many who left it would cost too much to find five who did
/// not.
const MOST_CANDIDATES: u32 = 500;

/// The timeline of the range, the state beside it, receipts and the summary.
pub fn window(room: &mut Room<'_>, message: Window) -> Result<WindowReply> {
    room.graph()?;
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    let (raw, ignored) = (message.timeline.raw, message.timeline.ignored.clone());
    let viewer = Viewer { raw, ignored, ..viewer };
    // An invite hides earlier stays from a client that had not seen them; the end of the invite brings them up.
    let brought_up = !message.stay_only && viewer.memberships.uncovered(message.from, message.to);
    if !viewer.memberships.joined_between(message.from, message.to + 1) && !brought_up {
        return if message.stay_only {
            Ok(WindowReply::default())
        } else {
            room.parting(&viewer, &message)
        };
    }
    let range = room.range(&viewer, &message);
    let Range { low, end, .. } = range;
    let mut slice = room.slice(&viewer, low, end, &message.timeline)?;
    if !message.state_after {
        slice = room.cut_to_the_right_state(slice, &message.state, end)?;
    }
    let named = range.anew || room.changed(low, end)?.iter().any(|(kind, _)| names_rooms(kind));
    let heroes = if named && !room.is_called()? { room.heroes(&viewer)? } else { Vec::new() };
    let mut shown = room.state_shown(&viewer, &message, (&range, &heroes), &slice)?;
    let limited = slice.limited || brought_up;
    // A client that gets everything has what others say of an event as events.
    let mut timeline = match limited {
        true => room.bundled_views(&viewer, &slice.events, false)?,
        false => room.views(&viewer, &slice.events, false)?,
    };
    let [last, behind] = room.end_of_stay(&viewer, &message, end, &slice)?;
    if message.state_after && !behind.is_empty() {
        shown.remove(&owned(("m.room.member", viewer.user.as_str())));
    }
    let mut state = room.client_views(&viewer, shown.into_values(), false)?;
    timeline.extend(last);
    state.extend(behind);
    let made = (range.since, message.to);
    let receipts = room.receipts_between(&viewer.user, made, &message.timeline.ignored)?;
    let row = room.row()?;
    Ok(WindowReply {
        timeline,
        limited,
        anew: range.anew,
        prev_batch: slice.start(end),
        state,
        receipts,
        heroes,
        joined_members: u32::try_from(row.joined).unwrap_or_default(),
        invited_members: u32::try_from(row.invited).unwrap_or_default(),
    })
}

/// Which part of the room a client is shown.
pub struct Range {
    /// Since when the client has known the room, without a break; 0 where it does not know it yet.
    since: Position,
    /// Whether the client is shown the room from the beginning.
    pub anew: bool,
    /// The client was told the state up to here, and maybe what came later.
    told: Position,
    /// Events and changes above `low` and up to `end` are looked at.
    pub low: Position,
    pub end: Position,
}

/// A period of timeline, oldest first.
pub struct Slice {
    pub events: Vec<Rc<Stored>>,
    /// Whether there is more below.
    pub limited: bool,
}

impl Slice {
    /// The slice with its events in the other order.
    fn turned(mut self) -> Self {
        self.events.reverse();
        self
    }

    /// The position right before the first event; the end of the window where there is none.
    pub fn start(&self, end: Position) -> Position {
        self.events.first().and_then(|event| event.pos).map_or(end, |pos| pos - 1)
    }

    /// From which position on the timeline tells of state, and of which keys. Where the state is the one after the
    /// timeline, a client takes none from the timeline.
    fn tells(&self, message: &Window, end: Position) -> (Position, BTreeMap<Key, usize>) {
        if message.state_after { (end, BTreeMap::new()) } else { (self.start(end), self.said()) }
    }

    /// For each state key that the timeline sets, the index of the last event that does.
    fn said(&self) -> BTreeMap<Key, usize> {
        let state = self.events.iter().enumerate();
        state.filter_map(|(index, event)| Some((owned(event.pdu.key()?), index))).collect()
    }
}

impl Room<'_> {
    pub fn range(&mut self, viewer: &Viewer, message: &Window) -> Range {
        let (from, memberships) = (message.from, &viewer.memberships);
        let was_joined = from > 0 && memberships.at(from) == Some(Membership::Join);
        let since = if was_joined { from } else { 0 };
        // A user who comes back was shown the room before: the range begins at `from`.
        let low = if memberships.joined_until(from) { from } else { 0 };
        // An invite may have hidden from the client what became of the room during the stays before it: only what was
        // there at the first join counts as told.
        let told = if was_joined { low } else { memberships.first_joined(low).unwrap_or_default() };
        let end = memberships.visible_end(message.to);
        Range { since, anew: !was_joined || message.full_state, told, low, end }
    }

    /// The newest events above `low` that the viewer may see and the filter lets through.
    pub fn slice(
        &mut self,
        viewer: &Viewer,
        low: Position,
        high: Position,
        filter: &EventFilter,
    ) -> Result<Slice> {
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT) as usize;
        let (mut next, mut scanned) = (high, 0);
        let mut slice = Slice { events: Vec::new(), limited: false };
        if filter.types.as_ref().is_some_and(Vec::is_empty) {
            return Ok(slice);
        }
        let sieve = Sieve::new(filter, high)?;
        loop {
            let page = self.between(low + 1, next, true, PAGE)?;
            let is_last = page.len() < PAGE as usize;
            let Some(lowest) = page.last().and_then(|event| event.pos) else {
                return Ok(slice.turned());
            };
            for event in page {
                // History that came in below a gap was in no window before, so it is in none after: `/messages` has it.
                if event.is_history() {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
                let shown = self.passes(&sieve, &event)?
                    && self.user_sees(&viewer.user, &viewer.memberships, &event)?;
                if shown && slice.events.len() == limit {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
                if shown {
                    slice.events.push(Rc::clone(&event));
                }
                // Below this event there may be others that we have not been given yet.
                if self.is_above_gap(event.sn)? {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
            }
            if is_last {
                return Ok(slice.turned());
            }
            scanned += PAGE;
            if scanned >= MAX_SCANNED {
                return Ok(Slice { limited: true, ..slice }.turned());
            }
            next = lowest - 1;
        }
    }

    /// Cuts off the timeline's beginning up to an event that would leave the client with a wrong state: one of a fork
    /// that lost against an older event. `/messages` has the events that are cut off.
    fn cut_to_the_right_state(
        &mut self,
        mut slice: Slice,
        filter: &EventFilter,
        end: Position,
    ) -> Result<Slice> {
        let (mut first, sieve) = (0, Sieve::new(filter, end)?);
        for (key, index) in slice.said() {
            let value = self.mainline(end, &key.0, &key.1)?;
            let wrong = value != Some(slice.events[index].sn);
            let mended = match value {
                Some(sn) => {
                    let event = self.event(sn)?;
                    self.passes(&sieve, &event)?
                }
                None => true,
            };
            if wrong && mended {
                first = first.max(index + 1);
            }
        }
        slice.limited |= first > 0;
        slice.events.drain(..first);
        Ok(slice)
    }

    /// The state the client needs beside the timeline: applied one after the other, `state` and the timeline give the
    /// state at the end of the window. A key that the timeline sets is shown as it was at the timeline's start. Any
    /// other key (the viewer may not see the event, the filter hides it, it is cut off) is shown as it is at the end.
    /// With `state_after`, every key is.
    fn state_shown(
        &mut self,
        viewer: &Viewer,
        message: &Window,
        (range, heroes): (&Range, &[OwnedUserId]),
        slice: &Slice,
    ) -> Result<BTreeMap<Key, Sn>> {
        let &Range { anew, low, end, .. } = range;
        let (start, said) = slice.tells(message, end);
        let mut shown = BTreeMap::new();
        if anew {
            shown = self.whole(Before { at: start, fork: None })?;
        } else {
            for key in self.changed(low, start)? {
                shown.extend(self.mainline(start, &key.0, &key.1)?.map(|sn| (key, sn)));
            }
        }
        for key in self.changed(start, end)? {
            if !said.contains_key(&key) {
                match self.mainline(end, &key.0, &key.1)? {
                    Some(sn) => shown.insert(key, sn),
                    None => shown.remove(&key),
                };
            }
        }
        if message.state.lazy_load_members {
            let viewer = anew.then_some(&*viewer.user);
            let needed = needed_members(viewer, heroes, slice);
            self.load_lazily(&mut shown, range, needed, (start, &said))?;
        }
        let timeline = slice.events.iter().filter(|_| !message.state_after);
        let visible: BTreeSet<Sn> = timeline.map(|event| event.sn).collect();
        let (mut kept, sieve) = (BTreeMap::new(), Sieve::new(&message.state, end)?);
        for (key, sn) in shown {
            let event = self.event(sn)?;
            if !visible.contains(&sn) && self.passes(&sieve, &event)? {
                kept.insert(key, sn);
            }
        }
        Ok(kept)
    }

    /// Lazy loading: keeps of the members only those that are needed and those that changed since the client was told
    /// of them, and adds needed ones that did not change.
    fn load_lazily(
        &mut self,
        shown: &mut BTreeMap<Key, Sn>,
        range: &Range,
        needed: BTreeSet<String>,
        (start, said): (Position, &BTreeMap<Key, usize>),
    ) -> Result<()> {
        let changed: BTreeSet<Key> = match range.told {
            0 => BTreeSet::new(),
            told => self.changed(told, range.end)?.into_iter().collect(),
        };
        shown.retain(|key, _| {
            key.0 != "m.room.member" || needed.contains(&key.1) || changed.contains(key)
        });
        for user in needed {
            let key = ("m.room.member".to_owned(), user);
            let at = if said.contains_key(&key) { start } else { range.end };
            if !shown.contains_key(&key)
                && let Some(sn) = self.mainline(at, &key.0, &key.1)?
            {
                shown.insert(key, sn);
            }
        }
        Ok(())
    }

    /// The heroes, after whom a room without a name is called: members who are joined or invited, else those who left or
    /// are banned.
    pub fn heroes(&mut self, viewer: &Viewer) -> Result<Vec<OwnedUserId>> {
        let query =
            "SELECT sn FROM now WHERE type = 'm.room.member' AND key <> ? ORDER BY since LIMIT ?";
        let (mut present, mut gone) = (Vec::new(), Vec::new());
        let values = values![viewer.user.as_str(), MOST_CANDIDATES];
        for sn in self.sql.rows(query, values, |row| row.int(0))? {
            let event = self.event(sn)?;
            let user =
                event.pdu.state_key.as_deref().and_then(|key| OwnedUserId::try_from(key).ok());
            let Some(user) = user.filter(|user| is_shown(user)) else {
                continue;
            };
            match event.pdu.membership() {
                Some(Membership::Join | Membership::Invite) => present.push(user),
                Some(Membership::Leave | Membership::Ban) if gone.len() < HEROES => gone.push(user),
                _ => {}
            }
            if present.len() == HEROES {
                break;
            }
        }
        Ok(if present.is_empty() { gone } else { present })
    }

    /// Whether the room has a name or an alias now.
    fn is_called(&mut self) -> Result<bool> {
        Ok(self.is_named()? || self.is_set("m.room.canonical_alias", "alias")?)
    }

    /// Whether the room has a name now.
    pub fn is_named(&mut self) -> Result<bool> {
        self.is_set("m.room.name", "name")
    }

    /// Whether a text of the current state is set, and not empty.
    fn is_set(&mut self, kind: &str, field: &str) -> Result<bool> {
        let event = self.now_event(kind, "")?;
        let text = event.and_then(|event| event.pdu.content_str(field));
        Ok(text.is_some_and(|text| !text.is_empty()))
    }
}

/// Whether state of this type can change the heroes.
pub fn names_rooms(kind: &str) -> bool {
    matches!(kind, "m.room.member" | "m.room.name" | "m.room.canonical_alias")
}

/// The members that a client needs to show a timeline and to name the room; the viewer, where the room is new to it.
fn needed_members(
    viewer: Option<&UserId>,
    heroes: &[OwnedUserId],
    slice: &Slice,
) -> BTreeSet<String> {
    let senders = slice.events.iter().map(|event| &*event.pdu.sender);
    let heroes = heroes.iter().map(|user| &**user);
    senders.chain(heroes).chain(viewer).map(ToString::to_string).collect()
}

fn owned((kind, key): (&str, &str)) -> Key {
    (kind.to_owned(), key.to_owned())
}
