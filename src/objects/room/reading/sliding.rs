//! What does one sliding sync show of the room?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))
//!
//! The timeline is cut out of the room as for `/sync` (`window.rs`). The state is always that at the window's end.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedUserId;
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::values;
use tombolo_protocol::{json::members, membership::Membership};

use crate::objects::room::{
    Result, Room,
    graph::{
        events::{Before, Stored},
        state::Key,
    },
    messages::{
        Detail, EventFilter, Hero, Position, RequiredState, SlidingWindow, SlidingWindowReply,
        StateElement, Traits, TraitsOf, Window, WindowReply,
    },
    reading::{
        view::Viewer,
        window::{Range, Slice, names_rooms},
    },
};
use crate::shell::Stop;

const MEMBER: &str = "m.room.member";
/// What counts as activity.
const BUMPS: [&str; 7] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "m.beacon_info",
];
/// How many events are looked at for the last activity: few at first.
const LOOKED_AT: [u32; 2] = [8, 100];

/// The timeline of the range, the state that is wanted of it, receipts and what the room is called.
pub fn sliding_window(room: &mut Room<'_>, message: SlidingWindow) -> Result<SlidingWindowReply> {
    if let Some(purged) = room.purged_window(&message)? {
        return Ok(purged);
    }
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    let viewer = Viewer { ignored: message.ignored.clone(), ..viewer };
    let window = window_of(&message);
    let brought_up = viewer.memberships.uncovered(message.from, message.to);
    if !viewer.memberships.joined_between(message.from, message.to + 1) && !brought_up {
        let WindowReply { timeline, state, prev_batch, .. } = room.parting(&viewer, &window)?;
        let live = message.live_at_end(timeline.len());
        return Ok(SlidingWindowReply { timeline, live, state, prev_batch, ..Default::default() });
    }
    let range = room.range(&viewer, &window);
    let low = if message.expanded || range.anew { 0 } else { range.low };
    let slice = room.slice(&viewer, low, range.end, &window.timeline)?;
    let changed = if range.anew { Vec::new() } else { room.changed(range.low, range.end)? };
    let limited = slice.limited || brought_up;
    let mut timeline = match limited {
        true => room.bundled_views(&viewer, &slice.events, false)?,
        false => room.views(&viewer, &slice.events, false)?,
    };
    let joined = viewer.memberships.since(range.end).map_or(range.end, |since| since - 1);
    let cut = Cut { range: &range, changed: &changed, slice: &slice, limited };
    let (mut state, mut removed) = room.required_state(&viewer, &message, &cut)?;
    let [last, behind] = room.end_of_stay(&viewer, &window, range.end, &slice)?;
    if !behind.is_empty() {
        // How the stay ended is set, though nothing said while it lasted that the user was there.
        removed.retain(|(kind, state_key)| kind != MEMBER || state_key != viewer.user.as_str());
    }
    let live = message.live(&slice, joined).saturating_add(message.live_at_end(last.len()));
    timeline.extend(last);
    state.extend(behind);
    let receipts = room.receipts_wanted(&viewer, &message, (&range, &window.timeline))?;
    let prev_batch = slice.start(range.end);
    let expanded = message.expanded && !range.anew && prev_batch < range.low;
    let reply = SlidingWindowReply {
        timeline,
        live,
        limited,
        anew: range.anew,
        expanded,
        prev_batch,
        state,
        removed,
        receipts,
        ..Default::default()
    };
    room.described(&viewer, &cut, reply)
}

impl SlidingWindow {
    /// How many events of a slice have just happened, where the user joined after `joined`.
    fn live(&self, slice: &Slice, joined: Position) -> u32 {
        let live_from = self.live_from.unwrap_or(joined);
        let live = slice.events.iter().filter(|event| event.pos.is_some_and(|pos| pos > live_from));
        u32::try_from(live.count()).unwrap_or(u32::MAX)
    }

    /// How many of the events that end a stay have just happened: none for a client that begins.
    fn live_at_end(&self, events: usize) -> u32 {
        let begins = self.live_from.is_some_and(|live_from| live_from >= self.to);
        if begins { 0 } else { u32::try_from(events).unwrap_or(u32::MAX) }
    }
}

/// What a window cuts out of the room.
struct Cut<'a> {
    range: &'a Range,
    /// The state that changed in it; of a room that is shown from the beginning, none.
    changed: &'a [Key],
    slice: &'a Slice,
    limited: bool,
}

/// What a list of rooms is filtered by, for a user.
pub fn traits_of(room: &mut Room<'_>, message: TraitsOf) -> Result<Traits> {
    room.graph()?;
    let traits = room.traits()?;
    let removed = room.was_removed(message.user.as_str())?;
    Ok(Traits { removed, ..traits })
}

/// The same window, for what is shown as in a `/sync`.
fn window_of(message: &SlidingWindow) -> Window {
    let ignored = message.ignored.clone();
    let timeline = EventFilter { limit: Some(message.limit), ignored, ..EventFilter::default() };
    Window {
        user: message.user.clone(),
        device: message.device.clone(),
        from: message.from,
        to: message.to,
        full_state: false,
        stay_only: false,
        state_after: true,
        timeline,
        state: EventFilter::default(),
    }
}

/// What one element names: a type, a state key; `None` stands for all.
type Element<'a> = (Option<&'a str>, Option<&'a str>);

/// Which of the wants of a client name a key. Each want is a bit: however many there are, a key is looked up a few times.
#[derive(Default)]
struct Wants<'a> {
    include: BTreeMap<Element<'a>, u128>,
    exclude: BTreeMap<Element<'a>, u128>,
    lazy_members: u128,
}

impl<'a> Wants<'a> {
    /// So many in each as there are bits.
    fn all(required: &'a [RequiredState]) -> Vec<Self> {
        required.chunks(128).map(Self::of).collect()
    }

    fn of(required: &'a [RequiredState]) -> Self {
        let (mut wants, mut bit) = (Self::default(), 1);
        for of in required {
            for (named, elements) in
                [(&mut wants.include, &of.include), (&mut wants.exclude, &of.exclude)]
            {
                for StateElement { kind, state_key } in elements {
                    *named.entry((kind.as_deref(), state_key.as_deref())).or_default() |= bit;
                }
            }
            wants.lazy_members |= if of.lazy_members { bit } else { 0 };
            bit <<= 1;
        }
        wants
    }

    fn has(&self, (kind, key): &'a Key) -> bool {
        let (kind, key) = (Some(kind.as_str()), Some(key.as_str()));
        let of = |named: &BTreeMap<Element<'a>, u128>, elements: [Element<'a>; 2]| {
            elements.iter().filter_map(|element| named.get(element)).fold(0, |all, bits| all | bits)
        };
        let (with_key, without) = ([(kind, key), (None, key)], [(kind, None), (None, None)]);
        let lazy = if kind == Some(MEMBER) { self.lazy_members } else { 0 };
        let included = of(&self.include, with_key) | (of(&self.include, without) & !lazy);
        included & !(of(&self.exclude, with_key) | of(&self.exclude, without)) != 0
    }
}

fn shows<'a>(wants: &[Wants<'a>], key: &'a Key) -> bool {
    wants.iter().any(|wants| wants.has(key))
}

impl Room<'_> {
    /// Of a room that was purged: how the user left it. `None` where there is a room to read.
    fn purged_window(&mut self, message: &SlidingWindow) -> Result<Option<SlidingWindowReply>> {
        match self.graph() {
            Ok(_) => Ok(None),
            Err(Stop::Refused(refusal)) => {
                let left = self.farewell_to(&message.user, (message.from, message.to))?;
                let state = vec![left.ok_or(Stop::Refused(refusal))?];
                Ok(Some(SlidingWindowReply { state, ..Default::default() }))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The state that is wanted, and what is set no more.
    fn required_state(
        &mut self,
        viewer: &Viewer,
        message: &SlidingWindow,
        cut: &Cut<'_>,
    ) -> Result<(Vec<Box<RawValue>>, Vec<Key>)> {
        let SlidingWindow { required, required_before, .. } = message;
        let range = cut.range;
        let before: &[RequiredState] = if range.anew { &[] } else { required_before };
        let mut wanted = self.included(range.end, required, before)?;
        let wants = Wants::all(required);
        let changed: BTreeSet<&Key> = cut.changed.iter().filter(|key| shows(&wants, key)).collect();
        wanted.extend(changed.iter().copied().cloned());
        if required.iter().any(|required| required.lazy_members) {
            wanted.extend(lazily(cut.slice));
            if !cut.limited {
                wanted.extend(cut.changed.iter().filter(|key| key.0 == MEMBER).cloned());
            }
        }
        let (mut sns, mut removed) = (Vec::new(), Vec::new());
        for key in wanted {
            match self.mainline(range.end, &key.0, &key.1)? {
                Some(sn) => sns.push(sn),
                None if changed.contains(&key) => removed.push(key),
                None => {}
            }
        }
        Ok((self.client_views(viewer, sns, false)?, removed))
    }

    /// The keys at a position that some of these include and none of those before.
    fn included(
        &mut self,
        at: Position,
        required: &[RequiredState],
        before: &[RequiredState],
    ) -> Result<BTreeSet<Key>> {
        let (mut keys, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        // Whether all state is to be read, and whether all but the members.
        let (mut whole, mut without_members) = (false, false);
        for new in required.iter().filter(|required| !before.contains(required)) {
            for element in &new.include {
                match (element.kind.as_deref(), &element.state_key) {
                    (Some(kind), Some(key)) => _ = keys.insert((kind.to_owned(), key.clone())),
                    (Some(MEMBER), None) if new.lazy_members => {}
                    (Some(kind), None) => _ = kinds.insert(kind),
                    (None, Some(user)) => {
                        without_members = true;
                        keys.insert((MEMBER.to_owned(), user.clone()));
                    }
                    (None, None) if new.lazy_members => without_members = true,
                    (None, None) => whole = true,
                }
            }
        }
        // Of a large room this is much: each part of the state is read once, however many elements name it.
        if whole {
            keys.extend(self.whole(Before { at, fork: None })?.into_keys());
        } else {
            if without_members {
                keys.extend(self.without_members(Before { at, fork: None })?.into_keys());
                kinds.retain(|kind| *kind == MEMBER);
            }
            for kind in kinds {
                keys.extend(self.keys_of(at, kind)?);
            }
        }
        let (wants, had) = (Wants::all(required), Wants::all(before));
        Ok(keys.into_iter().filter(|key| shows(&wants, key) && !shows(&had, key)).collect())
    }

    /// The state keys of a type at a position.
    fn keys_of(&mut self, at: Position, kind: &str) -> Result<Vec<Key>> {
        let query = "SELECT key FROM now WHERE type = ?1 AND since <= ?2
                     UNION SELECT key FROM past WHERE type = ?1 AND since <= ?2 AND until > ?2";
        let keys = self.sql.rows(query, values![kind, at], |row| row.text(0))?;
        Ok(keys.into_iter().map(|key| (kind.to_owned(), key)).collect())
    }

    /// The receipts that are wanted. Of those that were wanted never before, the ones of the newest events and the user's
    /// own: a large room has thousands.
    fn receipts_wanted(
        &mut self,
        viewer: &Viewer,
        message: &SlidingWindow,
        (range, timeline): (&Range, &EventFilter),
    ) -> Result<Option<Box<RawValue>>> {
        let Some(from) = message.receipts_from else { return Ok(None) };
        let made = (from, message.to);
        let receipts = self.receipts_between(&viewer.user, made, &message.ignored)?;
        if from > 0 || receipts.is_none() {
            return Ok(receipts);
        }
        let slice = self.slice(viewer, 0, range.end, timeline)?;
        let mut by_event = members(receipts.as_deref());
        let own = format!("\"{}\":", viewer.user);
        by_event.retain(|event_id, of_event| {
            let is_shown = slice.events.iter().any(|event| event.pdu.event_id == **event_id);
            is_shown || of_event.get().contains(&own)
        });
        let some = !by_event.is_empty();
        Ok(some.then(|| to_raw_value(&by_event)).transpose()?)
    }

    /// Adds what the room is called and how many are in it, as far as that may be news.
    fn described(
        &mut self,
        viewer: &Viewer,
        cut: &Cut<'_>,
        mut reply: SlidingWindowReply,
    ) -> Result<SlidingWindowReply> {
        let (&Range { anew, end, .. }, changed) = (cut.range, cut.changed);
        let is_new = |kind: &str| anew || changed.iter().any(|key| key.0 == kind);
        if is_new("m.room.name") {
            reply.name = self.detail(end, ("m.room.name", "name"))?;
        }
        if is_new("m.room.avatar") {
            reply.avatar = self.detail(end, ("m.room.avatar", "url"))?;
        }
        if viewer.memberships.at(end) != Some(Membership::Join) {
            return Ok(reply);
        }
        // An alias is no name: nothing else says it here.
        if (anew || changed.iter().any(|(kind, _)| names_rooms(kind))) && !self.is_named()? {
            for user_id in self.heroes(viewer)? {
                reply.heroes.push(self.hero(user_id)?);
            }
        }
        if is_new(MEMBER) {
            let row = self.row()?;
            let count = |members: i64| u32::try_from(members).unwrap_or_default();
            reply.members = Some((count(row.joined), count(row.invited)));
        }
        reply.bump_stamp = self.last_activity(end)?;
        Ok(reply)
    }

    fn detail(&mut self, at: Position, (kind, field): (&str, &str)) -> Result<Detail> {
        let event = self.mainline(at, kind, "")?.map(|sn| self.event(sn)).transpose()?;
        let text = event.and_then(|event| event.pdu.content_str(field));
        Ok(text.filter(|text| !text.is_empty()).map_or(Detail::Unset, Detail::Set))
    }

    fn hero(&mut self, user_id: OwnedUserId) -> Result<Hero> {
        let member = self.now_event(MEMBER, user_id.as_str())?;
        let text = |field| member.as_ref().and_then(|member| member.pdu.content_str(field));
        Ok(Hero { displayname: text("displayname"), avatar_url: text("avatar_url"), user_id })
    }

    /// When the last activity was, up to a position (ms). A long time without any counts as activity at its beginning.
    fn last_activity(&mut self, end: Position) -> Result<Option<i64>> {
        let mut last = None;
        for most in LOOKED_AT {
            let events = self.between(1, end, true, most)?;
            let sent = |event: &Rc<Stored>| event.pdu.origin_server_ts;
            let activity = events.iter().filter(|event| BUMPS.contains(&event.pdu.kind()));
            // Of two servers, one clock may be behind: what is said later moves no room down.
            let newest = activity.map(sent).max();
            last = newest.or(events.last().map(sent));
            if newest.is_some() {
                break;
            }
        }
        let now = i64::try_from(self.moment.now).unwrap_or(i64::MAX);
        // A clock that is ahead brings no room to the top for ever.
        Ok(last.map(|sent| sent.clamp(0, now)))
    }
}

/// The members whom a client needs to show a timeline.
fn lazily(slice: &Slice) -> impl Iterator<Item = Key> {
    let pdus = || slice.events.iter().map(|event| &event.pdu);
    let senders = pdus().map(|pdu| pdu.sender.to_string());
    let targets = pdus().filter(|pdu| pdu.kind() == MEMBER);
    let targets = targets.filter_map(|pdu| pdu.state_key.as_ref().map(ToString::to_string));
    senders.chain(targets).map(|user| (MEMBER.to_owned(), user))
}
