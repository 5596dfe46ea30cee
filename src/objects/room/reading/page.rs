//! Which events come before or after a place in history?
//! ([`/messages`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages))

use std::{collections::BTreeSet, rc::Rc};

use tombolo_platform::values;

use crate::objects::room::{
    Result, Room, Sn,
    graph::{events::Stored, sieve::Sieve},
    messages::{EventFilter, HistoryGap, Page, PageReply, Position},
    reading::view::Viewer,
};

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 1000;
/// How many events are looked at for one page, whatever the filter hides.
const MAX_SCANNED: usize = 5000;

/// One page. A position stands between events: the event at a position lies before it.
pub fn page(room: &mut Room<'_>, message: Page) -> Result<PageReply> {
    room.graph()?;
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    let newest = room.visible_state(&viewer.memberships)?.at;
    let start = message.from.unwrap_or(if message.backwards { newest } else { 0 }).min(newest);
    let scan = room.scan(&viewer, &message, start, newest)?;
    let state = room.lazy_members(&viewer, &message, &scan.events)?;
    let viewer = Viewer { ignored: message.filter.ignored, ..viewer };
    let events = room.bundled_views(&viewer, &scan.events, true)?;
    Ok(PageReply { events, start, end: scan.end, state, gap: scan.gap })
}

/// The events of a page.
pub struct Scan {
    pub events: Vec<Rc<Stored>>,
    /// Where the page ends; `None` when there is no more.
    pub end: Option<Position>,
    pub gap: Option<HistoryGap>,
}

impl Scan {
    /// A scan that has no more events to look at. It ends at the client's `to` if it found any event; else nothing
    /// follows.
    fn ended(self, to: Option<Position>) -> Self {
        Self { end: to.filter(|_| !self.events.is_empty()), ..self }
    }
}

impl Room<'_> {
    /// The events of a page from a position on; `newest` is the last one that the viewer may see.
    pub fn scan(
        &mut self,
        viewer: &Viewer,
        message: &Page,
        start: Position,
        newest: Position,
    ) -> Result<Scan> {
        let sieve = Sieve::new(&message.filter, newest)?;
        if wanted(message) == 0 {
            Ok(Scan { events: Vec::new(), end: Some(start), gap: None })
        } else if message.backwards {
            self.scan_back(viewer, (message, &sieve), start)
        } else {
            self.scan_forward(viewer, (message, &sieve), start, newest)
        }
    }

    fn scan_back(
        &mut self,
        viewer: &Viewer,
        (message, sieve): (&Page, &Sieve<'_>),
        start: Position,
    ) -> Result<Scan> {
        let limit = wanted(message);
        let low = message.to.unwrap_or(0);
        let mut scan = Scan { events: Vec::new(), end: None, gap: None };
        let (mut next, mut scanned) = (start, 0);
        // A page that starts right below a gap has to fill it first.
        if !message.over_gaps
            && let Some(above) = self.gap_above(start, message)?
        {
            scan.gap = Some(above);
            scan.end = Some(start);
        }
        while scan.gap.is_none() {
            let page = self.between(low + 1, next, true, MAX_LIMIT)?;
            let Some(lowest) = page.last().and_then(|event| event.pos) else {
                return Ok(scan.ended(message.to));
            };
            for event in page {
                let pos = event.pos.unwrap_or_default();
                scanned += 1;
                if self.passes(sieve, &event)?
                    && self.user_sees(&viewer.user, &viewer.memberships, &event)?
                {
                    scan.events.push(Rc::clone(&event));
                }
                scan.end = Some(pos - 1);
                if scan.events.len() >= limit || scanned >= MAX_SCANNED {
                    return Ok(scan);
                }
                if !message.over_gaps
                    && let Some(gap) = self.gap_at(event.sn, message)?
                {
                    scan.gap = Some(gap);
                    return Ok(scan);
                }
            }
            next = lowest - 1;
        }
        Ok(scan)
    }

    fn scan_forward(
        &mut self,
        viewer: &Viewer,
        (message, sieve): (&Page, &Sieve<'_>),
        start: Position,
        newest: Position,
    ) -> Result<Scan> {
        let limit = wanted(message);
        let high = message.to.unwrap_or(newest).min(newest);
        let mut scan = Scan { events: Vec::new(), end: None, gap: None };
        let (mut next, mut scanned) = (start, 0);
        loop {
            let page = self.between(next + 1, high, false, MAX_LIMIT)?;
            let Some(highest) = page.last().and_then(|event| event.pos) else {
                return Ok(scan.ended(message.to.filter(|to| *to < newest)));
            };
            for event in page {
                scanned += 1;
                if self.passes(sieve, &event)?
                    && self.user_sees(&viewer.user, &viewer.memberships, &event)?
                {
                    scan.events.push(Rc::clone(&event));
                }
                scan.end = event.pos;
                if scan.events.len() >= limit || scanned >= MAX_SCANNED {
                    return Ok(scan);
                }
            }
            next = highest;
        }
    }

    /// The gap below the event that stands right above a position, if there is one.
    fn gap_above(&mut self, pos: Position, page: &Page) -> Result<Option<HistoryGap>> {
        let query = "SELECT sn FROM events WHERE pos > ? ORDER BY pos LIMIT 1";
        match self.sql.row(query, values![pos], |row| row.int(0))? {
            Some(sn) => self.gap_at(sn, page),
            None => Ok(None),
        }
    }

    /// The gap below an event, but for what no server gives.
    fn gap_at(&mut self, sn: Sn, page: &Page) -> Result<Option<HistoryGap>> {
        let mut below = self.missing_below(sn)?;
        below.retain(|id| !page.not_given.contains(id));
        if below.is_empty() {
            return Ok(None);
        }
        Ok(Some(HistoryGap { below, servers: self.helpers()? }))
    }

    /// The member events of a page's senders, as they were at its newest event.
    fn lazy_members(
        &mut self,
        viewer: &Viewer,
        message: &Page,
        events: &[Rc<Stored>],
    ) -> Result<Vec<Box<serde_json::value::RawValue>>> {
        if !message.filter.lazy_load_members {
            return Ok(Vec::new());
        }
        let newest = events.iter().filter_map(|event| event.pos).max().unwrap_or_default();
        let senders: BTreeSet<_> = events.iter().map(|event| event.pdu.sender.clone()).collect();
        let mut state = Vec::new();
        for sender in senders {
            if let Some(sn) = self.mainline(newest, "m.room.member", sender.as_str())? {
                let member = self.event(sn)?;
                state.push(self.client_view(viewer, &member, true)?);
            }
        }
        Ok(state)
    }
}

fn wanted(message: &Page) -> usize {
    limit(&message.filter) as usize
}

/// How many events are asked for.
pub fn limit(filter: &EventFilter) -> u32 {
    filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
}
