//! Which threads does the room have?
//! ([querying threads](https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room))

use std::{collections::BTreeSet, rc::Rc};

use ruma::EventId;
use tombolo_protocol::event::THREAD;

use crate::objects::room::{
    Result, Room,
    graph::{events::Stored, relations::Scope, threads::begins_thread},
    messages::{Position, Threads, ThreadsReply},
    reading::view::Viewer,
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

impl Room<'_> {
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
