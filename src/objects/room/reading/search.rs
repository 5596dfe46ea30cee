//! Which events of the room hold these words, and what stands around them?
//! ([search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search))

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::objects::room::{
    Result, Room,
    graph::{events::Stored, indexes::Index, sieve::Sieve},
    messages::{Around, EventFilter, Hit, HitView, Hits, Page, Position, Search, SearchReply},
    reading::{page::limit, view::Viewer},
};

/// How many events that hold the words are looked at: those beyond are not found.
const MAX_MATCHES: u32 = 2000;

/// The events that hold the words, of those that the user may see.
pub fn search(room: &mut Room<'_>, message: Search) -> Result<SearchReply> {
    room.graph()?;
    let viewer = room.viewer(message.user, String::new())?;
    let newest = room.visible_state(&viewer.memberships)?.at;
    if !room.catch_up(Index::Words)? {
        return Ok(SearchReply { unfinished: true, ..SearchReply::default() });
    }
    let (mut hits, sieve) = (Vec::new(), Sieve::new(&message.filter, newest)?);
    for found in room.matches(&message.expression, message.recent, MAX_MATCHES)? {
        let event = room.event(found.sn)?;
        let Some(pos) = event.pos.filter(|pos| *pos <= newest) else { continue };
        if room.passes(&sieve, &event)?
            && room.user_sees(&viewer.user, &viewer.memberships, &event)?
            && !room.is_erased_for_user(&viewer.memberships, &event)?
        {
            let ts = event.pdu.origin_server_ts;
            hits.push(Hit { sn: found.sn, ts, pos, rank: found.rank });
        }
    }
    let count = u32::try_from(hits.len()).unwrap_or(u32::MAX);
    let rank = |hit: &Hit| if message.recent { 0 } else { hit.rank };
    hits.sort_by_key(|hit| Reverse((rank(hit), hit.ts, hit.pos)));
    hits.retain(|hit| message.before.is_none_or(|before| (hit.ts, hit.pos) < before));
    hits.truncate(limit(&message.filter) as usize);
    Ok(SearchReply { hits, count, unfinished: false })
}

/// Hits as the user sees them. What they may not see, or what was redacted meanwhile, is left out.
pub fn hits(room: &mut Room<'_>, message: Hits) -> Result<Vec<HitView>> {
    room.graph()?;
    let viewer = room.viewer(message.user.clone(), message.device.clone())?;
    let viewer = Viewer { ignored: message.ignored.clone(), ..viewer };
    let newest = room.visible_state(&viewer.memberships)?.at;
    let mut views = Vec::new();
    for sn in &message.sns {
        let event = room.event(*sn)?;
        let Some(pos) = event.pos.filter(|pos| *pos <= newest) else { continue };
        let shown = event.redacted_by.is_none()
            && viewer.hears(&event)
            && room.user_sees(&viewer.user, &viewer.memberships, &event)?;
        if !shown {
            continue;
        }
        let around = match message.around {
            Some(limits) => Some(room.around(&viewer, &message, (&event, pos, newest), limits)?),
            None => None,
        };
        let (event_id, sender) = (event.pdu.event_id.clone(), event.pdu.sender.clone());
        let event = room.bundled_view(&viewer, &event, true)?;
        views.push(HitView { sn: *sn, event_id, sender, event, around });
    }
    Ok(views)
}

impl Room<'_> {
    /// What stands around a hit.
    fn around(
        &mut self,
        viewer: &Viewer,
        message: &Hits,
        (event, pos, newest): (&Rc<Stored>, Position, Position),
        (before, after): (u32, u32),
    ) -> Result<Around> {
        let ignored = &message.ignored;
        let page = |backwards: bool, limit: u32| Page {
            user: message.user.clone(),
            device: message.device.clone(),
            from: None,
            to: None,
            backwards,
            over_gaps: false,
            not_given: BTreeSet::new(),
            filter: EventFilter {
                limit: Some(limit),
                ignored: ignored.clone(),
                ..EventFilter::default()
            },
        };
        let earlier = self.scan(viewer, &page(true, before), pos - 1, newest)?;
        let later = self.scan(viewer, &page(false, after), pos, newest)?;
        let lowest = earlier.events.last().and_then(|event| event.pos).unwrap_or(pos);
        let mut profiles = BTreeMap::new();
        if message.profiles {
            for event in earlier.events.iter().chain([event]).chain(&later.events) {
                let at = event.pos.unwrap_or(pos);
                let sender = &event.pdu.sender;
                if let Some(sn) = self.mainline(at, "m.room.member", sender.as_str())? {
                    let member = self.event(sn)?;
                    profiles.insert(sender.clone(), member.pdu.content.clone());
                }
            }
        }
        Ok(Around {
            before: self.bundled_views(viewer, &earlier.events, true)?,
            after: self.bundled_views(viewer, &later.events, true)?,
            start: earlier.end.unwrap_or(lowest - 1),
            end: later.end.unwrap_or(newest),
            profiles,
        })
    }
}
