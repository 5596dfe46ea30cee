//! What does one `/sync` show of the room?
//! ([syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing))
//!
//! No event past `to` is shown, so the same token always shows the same events. The summary (member counts, heroes) is as
//! of now.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::glob::matches_type;

use super::{
    EventFilter, Position, Result, Room, Sn, Window, WindowReply,
    state::Key,
    timeline::{Before, Stored},
    view::Viewer,
};

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;
/// How many events are looked at together.
const PAGE: u32 = 2 * MAX_LIMIT;
/// The most members that a room without a name is called after.
const HEROES: usize = 5;

/// The timeline of the range, the state before it, receipts and the summary.
pub fn window(room: &mut Room<'_>, message: Window) -> Result<WindowReply> {
    room.graph()?;
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    if !viewer.stretches.joined_until(message.to) {
        return room.parting(&viewer, &message);
    }
    let end = room.visible_end(&viewer, message.to);
    let was_joined = message.from > 0 && viewer.stretches.at(message.from) == Some("join");
    // A user who comes back was told what they saw before they left.
    let low = if viewer.stretches.joined_until(message.from) { message.from } else { 0 };
    let slice = room.slice(&viewer, low, end, &message.timeline)?;
    let anew = !was_joined || message.full_state;
    let shown = room.state_shown(&viewer, &message, &Range { anew, low, end }, &slice)?;
    let mut timeline = Vec::new();
    for event in &slice.events {
        timeline.push(room.client_view(&viewer, event, false)?);
    }
    let start = slice.events.first().and_then(|event| event.pos).map_or(end, |pos| pos - 1);
    let head = room.head()?;
    Ok(WindowReply {
        timeline,
        limited: slice.limited,
        prev_batch: start,
        state: room.client_state(&viewer, &shown)?,
        receipts: room.receipts_between(&viewer.user, message.from, message.to, anew)?,
        heroes: if anew || low < room.settled()? { room.heroes(&viewer)? } else { Vec::new() },
        joined_members: u32::try_from(head.joined).unwrap_or_default(),
        invited_members: u32::try_from(head.invited).unwrap_or_default(),
    })
}

/// What is looked at: above `low`, up to `end`; `anew` where the client knows nothing of the room yet.
struct Range {
    anew: bool,
    low: Position,
    end: Position,
}

/// A stretch of timeline, oldest first.
pub struct Slice {
    pub events: Vec<Rc<Stored>>,
    /// Whether there is more below.
    pub limited: bool,
}

impl Slice {
    /// The same, the other way round.
    fn turned(mut self) -> Self {
        self.events.reverse();
        self
    }
}

impl Room<'_> {
    /// What a user learns of a room they were invited to, or kept out of, but never in: how that ended.
    fn parting(&mut self, viewer: &Viewer, message: &Window) -> Result<WindowReply> {
        let (mut timeline, mut state) = (Vec::new(), Vec::new());
        let is_new = |pos: Option<Position>| pos.is_some_and(|pos| message.from < pos);
        if let Some(sn) = self.mainline(message.to, "m.room.member", viewer.user.as_str())? {
            let event = self.event(sn)?;
            let placed = event.pos.filter(|pos| *pos <= message.to && !event.is_history());
            if is_new(placed) {
                if message.timeline.lets_through(&event) {
                    timeline.push(self.client_view(viewer, &event, false)?);
                }
            // It came with the state, and has its place elsewhere in the graph, if any.
            } else if is_new(viewer.stretches.since(message.to))
                && message.state.lets_through(&event)
            {
                state.push(self.client_view(viewer, &event, false)?);
            }
        }
        Ok(WindowReply {
            timeline,
            limited: false,
            prev_batch: message.to,
            state,
            receipts: None,
            heroes: Vec::new(),
            joined_members: 0,
            invited_members: 0,
        })
    }

    /// Where the user's view of the room ends: at their leave, or at `to`.
    fn visible_end(&self, viewer: &Viewer, to: Position) -> Position {
        if viewer.stretches.at(to) == Some("join") {
            return to;
        }
        let stays = viewer.stretches.0.iter().filter(|stretch| stretch.membership == "join");
        stays.filter_map(|stretch| stretch.until).filter(|until| *until <= to).max().unwrap_or(to)
    }

    /// The newest events above `low` that the viewer may see and the filter lets through.
    fn slice(
        &mut self,
        viewer: &Viewer,
        low: Position,
        high: Position,
        filter: &EventFilter,
    ) -> Result<Slice> {
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let mut next = high;
        let mut slice = Slice { events: Vec::new(), limited: false };
        loop {
            let page = self.between(low + 1, next, true, PAGE)?;
            let is_last = page.len() < PAGE as usize;
            let Some(lowest) = page.last().and_then(|event| event.pos) else {
                return Ok(slice.turned());
            };
            for event in page {
                // What came in below a hole was in no window before, so it is in none after: `/messages` has it.
                if event.is_history() {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
                let shown = filter.lets_through(&event)
                    && self.user_sees(&viewer.user, &viewer.stretches, &event)?;
                if shown && slice.events.len() == limit {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
                if shown {
                    slice.events.push(Rc::clone(&event));
                }
                // Below this event there may be others that we have not been given yet.
                if self.is_above_hole(event.sn)? {
                    return Ok(Slice { limited: true, ..slice }.turned());
                }
            }
            if is_last {
                return Ok(slice.turned());
            }
            next = lowest - 1;
        }
    }

    /// The state the client needs at the start of the timeline: all of it, or what changed since `low`; and what
    /// changed within the timeline without an event of the timeline saying so.
    fn state_shown(
        &mut self,
        viewer: &Viewer,
        message: &Window,
        range: &Range,
        slice: &Slice,
    ) -> Result<BTreeMap<Key, Sn>> {
        let &Range { anew, low, end } = range;
        let start = slice
            .events
            .first()
            .and_then(|event| event.before)
            .unwrap_or(Before { at: end, fork: None });
        let mut shown = BTreeMap::new();
        if anew {
            shown = self.whole(start)?;
        } else {
            for key in self.changed(low, start.at)? {
                shown.extend(self.value(start, &key.0, &key.1)?.map(|sn| (key, sn)));
            }
        }
        for key in self.changed(start.at.max(low), end)? {
            let Some(sn) = self.mainline(end, &key.0, &key.1)? else { continue };
            let pos = self.event(sn)?.pos;
            if pos.is_none_or(|pos| pos <= start.at || pos > end) {
                shown.insert(key, sn);
            }
        }
        let visible: BTreeSet<Sn> = slice.events.iter().map(|event| event.sn).collect();
        shown.retain(|_, sn| !visible.contains(sn));
        if message.state.lazy_load_members {
            self.keep_needed_members(viewer, &mut shown, slice, anew)?;
        }
        let mut kept = BTreeMap::new();
        for (key, sn) in shown {
            if message.state.lets_through(&*self.event(sn)?) {
                kept.insert(key, sn);
            }
        }
        Ok(kept)
    }

    /// Lazy loading: of the members only the senders of the timeline, the viewer, and those who changed.
    fn keep_needed_members(
        &mut self,
        viewer: &Viewer,
        shown: &mut BTreeMap<Key, Sn>,
        slice: &Slice,
        anew: bool,
    ) -> Result<()> {
        let mut needed: BTreeSet<String> =
            slice.events.iter().map(|event| event.pdu.sender.to_string()).collect();
        needed.insert(viewer.user.to_string());
        let changed: BTreeSet<Key> =
            if anew { BTreeSet::new() } else { shown.keys().cloned().collect() };
        shown.retain(|key, _| {
            key.0 != "m.room.member" || needed.contains(&key.1) || changed.contains(key)
        });
        for user in needed {
            let key = ("m.room.member".to_owned(), user);
            if let Some(first) = slice.events.first().filter(|_| !shown.contains_key(&key))
                && let Some(sn) = self.value(
                    first.before.unwrap_or(Before { at: 0, fork: None }),
                    &key.0,
                    &key.1,
                )?
            {
                shown.insert(key, sn);
            }
        }
        Ok(())
    }

    fn client_state(
        &mut self,
        viewer: &Viewer,
        shown: &BTreeMap<Key, Sn>,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut state = Vec::with_capacity(shown.len());
        for sn in shown.values() {
            let event = self.event(*sn)?;
            state.push(self.client_view(viewer, &event, false)?);
        }
        Ok(state)
    }

    /// Members after whom a room without a name or alias is called.
    fn heroes(&mut self, viewer: &Viewer) -> Result<Vec<ruma::OwnedUserId>> {
        if self.now("m.room.name", "")?.is_some()
            || self.now("m.room.canonical_alias", "")?.is_some()
        {
            return Ok(Vec::new());
        }
        let query =
            "SELECT sn FROM now WHERE type = 'm.room.member' AND key <> ? ORDER BY since LIMIT 50";
        let (mut present, mut gone) = (Vec::new(), Vec::new());
        for sn in self.sql.rows(query, values![viewer.user.as_str()], |row| row.int(0))? {
            let event = self.event(sn)?;
            let Some(user) = event.pdu.state_key.as_deref().and_then(|key| key.try_into().ok())
            else {
                continue;
            };
            match event.pdu.membership().as_deref() {
                Some("join" | "invite") => present.push(user),
                Some("leave" | "ban") => gone.push(user),
                _ => {}
            }
        }
        let mut heroes = if present.is_empty() { gone } else { present };
        heroes.truncate(HEROES);
        Ok(heroes)
    }
}

impl EventFilter {
    /// Whether an event passes ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering)).
    pub fn lets_through(&self, event: &Stored) -> bool {
        let pdu = &event.pdu;
        let has_url = || pdu.content_field("url").is_some_and(|url| url.get().starts_with('"'));
        self.passes(pdu.kind())
            && self.senders.as_ref().is_none_or(|senders| senders.contains(&pdu.sender))
            && !self.not_senders.contains(&pdu.sender)
            && self.contains_url.is_none_or(|wanted| wanted == has_url())
    }

    /// Whether something of this type passes.
    pub fn passes(&self, kind: &str) -> bool {
        let matches = |pattern: &String| matches_type(pattern, kind);
        self.types.as_ref().is_none_or(|types| types.iter().any(matches))
            && !self.not_types.iter().any(matches)
    }
}
