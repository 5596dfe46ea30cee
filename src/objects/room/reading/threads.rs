//! Which threads does the room have?
//! ([querying threads](https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room))

use std::{collections::BTreeSet, rc::Rc};

use ruma::EventId;
use tombolo_protocol::event::{Relation, THREAD};

use crate::{
    objects::room::{
        Result, Room,
        graph::{events::Stored, relations::Scope, threads::begins_thread},
        messages::{Position, Refusal, ThreadPlace, ThreadPlaceReply, Threads, ThreadsReply},
        reading::view::Viewer,
    },
    shell::Stop,
};

/// The most threads of one page.
const MAX_LIMIT: usize = 100;
/// How many threads are read together, and how many for one page, whatever the viewer may not see.
const PAGE: u32 = 100;
const MAX_SCANNED: usize = 1000;

/// One page of threads, each by its root, sorted by their newest events.
pub fn threads(room: &mut Room<'_>, message: Threads) -> Result<ThreadsReply> {
    room.graph()?;
    let viewer = room.viewer(message.user, message.device)?;
    let viewer = Viewer { ignored: message.ignored, ..viewer };
    let newest = room.visible_state(&viewer.memberships)?.at;
    let scope = Scope::new(&viewer.user, &viewer.ignored, newest)?;
    let limit = (message.limit as usize).min(MAX_LIMIT);
    let (mut roots, mut scanned) = (Vec::new(), 0);
    let mut from = message.from.unwrap_or(newest);
    let next = 'pages: loop {
        let page = room.threads_below(from, &scope, PAGE)?;
        let more = page.len() == PAGE as usize;
        let own =
            if message.participated { room.own_threads(&page, &scope)? } else { BTreeSet::new() };
        for (root, latest) in page {
            if roots.len() >= limit || scanned >= MAX_SCANNED {
                break 'pages Some(from);
            }
            scanned += 1;
            from = latest - 1;
            let wanted = |event: &Stored| {
                !message.participated || own.contains(&root) || event.pdu.sender == viewer.user
            };
            roots.extend(room.root(&viewer, &root)?.filter(|event| wanted(event)));
        }
        if !more {
            break None;
        }
    };
    let events = room.bundled_views(&viewer, &roots, true)?;
    Ok(ThreadsReply { events, next })
}

/// Where a thread and an event in it are. An event of a user whom the viewer ignores does not bring them into a thread,
/// nor does one that was redacted, which is in none.
pub fn place(room: &mut Room<'_>, message: ThreadPlace) -> Result<ThreadPlaceReply> {
    let newest = room.graph()?.pos;
    let viewer = room.viewer(message.user, String::new())?;
    let viewer = Viewer { ignored: message.ignored, ..viewer };
    room.seen(&viewer, &message.root)?;
    let Some(event_id) = message.event_id else {
        return Ok(ThreadPlaceReply { newest, event: None });
    };
    let event = room.seen(&viewer, &event_id)?;
    let pos = event.pos.filter(|_| viewer.hears(&event));
    let pos = pos.ok_or(Stop::Refused(Refusal::NotFound))?;
    let relation = Relation::of(&event.pdu.content).filter(|_| !event.pdu.is_state());
    let root = relation.filter(|relation| relation.rel_type == THREAD);
    if root.is_none_or(|relation| message.root != *relation.event_id) {
        return Err(Stop::Refused(Refusal::Unfit("the event is not in the thread".to_owned())));
    }
    Ok(ThreadPlaceReply { newest, event: Some(pos) })
}

impl Room<'_> {
    /// An event that the viewer may see.
    fn seen(&mut self, viewer: &Viewer, id: &EventId) -> Result<Rc<Stored>> {
        let not_found = || Stop::Refused(Refusal::NotFound);
        let event = self.find(id)?.ok_or_else(not_found)?;
        if self.sees(viewer, &event)? { Ok(event) } else { Err(not_found()) }
    }

    /// The event with which a thread begins, if the viewer may see it. That of a user whom the viewer ignores is shown
    /// redacted: others speak below it.
    fn root(&mut self, viewer: &Viewer, id: &str) -> Result<Option<Rc<Stored>>> {
        let Ok(id) = EventId::parse(id) else { return Ok(None) };
        let Some(event) = self.find(&id)? else { return Ok(None) };
        // Nor is a thread shown with state.
        let begins = begins_thread(&event) && !event.pdu.is_state();
        let shown = begins && self.user_sees(&viewer.user, &viewer.memberships, &event)?;
        Ok(shown.then_some(event))
    }

    /// In which of these threads the user wrote.
    fn own_threads(
        &mut self,
        threads: &[(String, Position)],
        scope: &Scope<'_>,
    ) -> Result<BTreeSet<String>> {
        let roots = threads.iter().map(|(root, _)| root.as_str()).collect();
        let summaries = self.relations_of(&roots, scope)?.into_iter();
        let own = summaries.filter(|summary| summary.own && summary.rel_type == THREAD);
        Ok(own.map(|summary| summary.target).collect())
    }
}
