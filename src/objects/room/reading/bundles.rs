//! What is an event shown with, of what others say of it?
//! ([aggregations](https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events))
//!
//! Gathered when the event is shown, as things stand then: whoever reads it again may read more. A page takes one
//! look-up, and further ones only for events of which something is said.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::value::RawValue;
use tombolo_protocol::event::{ANNOTATION, REFERENCE, REPLACEMENT, Relation, THREAD};

use crate::{
    objects::room::{
        Result, Room, Sn,
        graph::{events::Stored, relations::Scope, threads::begins_thread},
        messages::Position,
        reading::{
            bundle::{Bundle, Reference, References, Thread},
            entitlement::Memberships,
            view::Viewer,
        },
    },
    shell::Stop,
};

/// How many of the newest events of a thread are looked at for one that the viewer may see.
const NEWEST: u32 = 20;
/// How many of the newest edits of an event are looked at for one that counts.
const EDITS: u32 = 20;
/// How many references are shown with an event, and how many are looked at for a page; `/relations` has all.
const MAX_REFERENCES: u32 = 1000;
const REFERENCES_OF_PAGE: u32 = 5000;

/// What is shown with each of some events.
type Bundles = BTreeMap<Sn, Bundle>;

/// A thread, before its newest event is shown.
struct Found {
    root: Sn,
    latest: Rc<Stored>,
    count: i64,
    own: bool,
}

impl Room<'_> {
    /// Events as the viewer sees them, each with what is said of it.
    pub fn bundled_views(
        &mut self,
        viewer: &Viewer,
        events: &[Rc<Stored>],
        room_id: bool,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut bundles = self.bundles(viewer, events, room_id)?;
        let mut views = Vec::with_capacity(events.len());
        for event in events {
            let bundle = bundles.remove(&event.sn);
            views.push(self.view_with(viewer, event, (room_id, bundle))?);
        }
        Ok(views)
    }

    /// The same, of one event.
    pub fn bundled_view(
        &mut self,
        viewer: &Viewer,
        event: &Rc<Stored>,
        room_id: bool,
    ) -> Result<Box<RawValue>> {
        let bundle = self.bundles(viewer, std::slice::from_ref(event), room_id)?.remove(&event.sn);
        self.view_with(viewer, event, (room_id, bundle))
    }

    fn bundles(
        &mut self,
        viewer: &Viewer,
        events: &[Rc<Stored>],
        room_id: bool,
    ) -> Result<Bundles> {
        if events.is_empty() || !self.has_relations()? {
            return Ok(Bundles::new());
        }
        let end = self.readable_end(&viewer.memberships)?;
        let scope = Scope::new(&viewer.user, &viewer.ignored, end)?;
        let (mut bundles, threads) = self.gather(viewer, &scope, (events, true), room_id)?;
        let latest: Vec<Rc<Stored>> =
            threads.iter().map(|found| Rc::clone(&found.latest)).collect();
        let (mut inner, _) = self.gather(viewer, &scope, (&latest, false), room_id)?;
        for Found { root, latest, count, own } in threads {
            let bundle = inner.remove(&latest.sn);
            let latest_event = self.view_with(viewer, &latest, (room_id, bundle))?;
            let thread = Thread { latest_event, count, current_user_participated: own };
            bundles.entry(root).or_default().thread = Some(thread);
        }
        Ok(bundles)
    }

    /// What is said of some events, and, where wanted, the threads that they began.
    fn gather(
        &mut self,
        viewer: &Viewer,
        scope: &Scope<'_>,
        (events, with_threads): (&[Rc<Stored>], bool),
        room_id: bool,
    ) -> Result<(Bundles, Vec<Found>)> {
        let (mut bundles, mut threads) = (Bundles::new(), Vec::new());
        let bundling: BTreeMap<&str, &Rc<Stored>> = events
            .iter()
            .filter(|event| takes_bundles(event))
            .map(|event| (event.pdu.event_id.as_str(), event))
            .collect();
        if bundling.is_empty() {
            return Ok((bundles, threads));
        }
        let mut left = REFERENCES_OF_PAGE;
        let ids: BTreeSet<&str> = bundling.keys().copied().collect();
        for summary in self.relations_of(&ids, scope)? {
            let Some(event) = bundling.get(summary.target.as_str()).copied() else { continue };
            match summary.rel_type.as_str() {
                REPLACEMENT => {
                    if let Some(edit) = self.replacement(viewer, scope, event)? {
                        let view = self.client_view(viewer, &edit, room_id)?;
                        bundles.entry(event.sn).or_default().replacement = Some(view);
                    }
                }
                REFERENCE => {
                    let references = self.references(viewer, scope, (event, &mut left))?;
                    if !references.chunk.is_empty() {
                        bundles.entry(event.sn).or_default().references = Some(references);
                    }
                }
                THREAD if with_threads && begins_thread(event) => {
                    let id = &summary.target;
                    if let Some(latest) = self.latest_seen(viewer, id, scope)? {
                        let own = summary.own || event.pdu.sender == viewer.user;
                        threads.push(Found { root: event.sn, latest, count: summary.count, own });
                    }
                }
                _ => {}
            }
        }
        Ok((bundles, threads))
    }

    /// The newest event of a thread that the viewer may see.
    fn latest_seen(
        &mut self,
        viewer: &Viewer,
        root: &str,
        scope: &Scope<'_>,
    ) -> Result<Option<Rc<Stored>>> {
        for sn in self.newest_of_thread(root, scope, NEWEST)? {
            let event = self.event(sn)?;
            if self.user_sees(&viewer.user, &viewer.memberships, &event)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The newest valid edit of an event: by the time that its sender says, then by its ID
    /// ([validity](https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events)). Nothing replaces
    /// what was redacted.
    fn replacement(
        &mut self,
        viewer: &Viewer,
        scope: &Scope<'_>,
        event: &Stored,
    ) -> Result<Option<Rc<Stored>>> {
        if event.redacted_by.is_some() || self.is_erased_for_user(&viewer.memberships, event)? {
            return Ok(None);
        }
        let mut newest: Option<Rc<Stored>> = None;
        for sn in self.edits_of(&event.pdu, scope, EDITS)? {
            let edit = self.event(sn)?;
            let age = |edit: &Stored| (edit.pdu.origin_server_ts, edit.pdu.event_id.clone());
            let newer = newest.as_ref().is_none_or(|newest| age(newest) < age(&edit));
            if newer
                && is_edit(&edit)
                && self.user_sees(&viewer.user, &viewer.memberships, &edit)?
            {
                newest = Some(edit);
            }
        }
        Ok(newest)
    }

    /// What refers to an event; `left` is how much may still be looked at for the page.
    fn references(
        &mut self,
        viewer: &Viewer,
        scope: &Scope<'_>,
        (event, left): (&Stored, &mut u32),
    ) -> Result<References> {
        let mut chunk = Vec::new();
        let limit = MAX_REFERENCES.min(*left);
        for sn in self.references_to(event.pdu.event_id.as_str(), scope, limit)? {
            *left = left.saturating_sub(1);
            let event = self.event(sn)?;
            if self.user_sees(&viewer.user, &viewer.memberships, &event)? {
                chunk.push(Reference { event_id: event.pdu.event_id.clone() });
            }
        }
        Ok(References { chunk })
    }

    /// Up to where a viewer may read the room; 0 where they may read nothing.
    fn readable_end(&mut self, memberships: &Memberships) -> Result<Position> {
        match self.visible_state(memberships) {
            Ok(state) => Ok(state.at),
            Err(Stop::Refused(_)) => Ok(0),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether anything may be shown with an event: not with state, and not with what itself is shown with another.
fn takes_bundles(event: &Stored) -> bool {
    let relation = Relation::of(&event.pdu.content);
    !event.pdu.is_state()
        && relation
            .is_none_or(|relation| !matches!(relation.rel_type.as_str(), ANNOTATION | REPLACEMENT))
}

/// Whether an event has what takes the place of another's content. That of an encrypted event cannot be seen.
fn is_edit(event: &Stored) -> bool {
    let pdu = &event.pdu;
    !pdu.is_state()
        && (pdu.kind() == "m.room.encrypted" || pdu.content_field("m.new_content").is_some())
}
