//! Which event was sent at a time?
//! ([`/timestamp_to_event`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event))

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedEventId, OwnedServerName, OwnedUserId};
use tombolo_platform::values;

use crate::objects::room::{
    FOREVER, Result, Room, Sn,
    graph::{events::Stored, indexes::Index},
    messages::{Asker, EventByTime, EventByTimeReply, HistoryGap, Position},
    reading::{entitlement::Horizon, view::Viewer},
};

/// How many events are read together, and how many for one message, whatever the asker may not see.
const PAGE: u32 = 50;
const MAX_SCANNED: usize = 1000;

/// Who asks, and up to where they may read.
enum Reader {
    User { viewer: Viewer, end: Position },
    Server { name: OwnedServerName, horizon: Horizon },
}

/// What was found by its time.
enum Closest {
    Is(Rc<Stored>),
    None,
    /// Nothing up to this time and place.
    Beyond((i64, Position)),
}

/// The closest event that the asker may see, and, for a user, whether a closer one may be missing here.
pub fn event_by_time(room: &mut Room<'_>, message: EventByTime) -> Result<EventByTimeReply> {
    room.graph()?;
    let reader = room.reader(message.asker, message.ignored)?;
    if !room.catch_up(Index::Times)? {
        let reached = message.after;
        return Ok(EventByTimeReply { unfinished: true, reached, ..EventByTimeReply::default() });
    }
    let from = message.after.unwrap_or((message.ts, if message.backwards { FOREVER } else { 0 }));
    let found = match room.closest(&reader, from, message.backwards)? {
        Closest::Is(event) => Some(event),
        Closest::None => None,
        Closest::Beyond(place) => {
            let reached = Some(place);
            let reply = EventByTimeReply { unfinished: true, reached, ..Default::default() };
            return Ok(reply);
        }
    };
    let below = match (&found, message.backwards) {
        _ if matches!(reader, Reader::Server { .. }) => Vec::new(),
        // Forwards, what is missing below the event may be closer; backwards, what is missing above it.
        (Some(event), false) => room.missing_below(event.sn)?,
        (Some(event), true) => room.missing_above(event.pos.unwrap_or_default())?,
        (None, _) => room.missing_above(0)?,
    };
    let gap = match below.is_empty() {
        true => None,
        false => Some(HistoryGap { below, servers: room.helpers()? }),
    };
    let found = found.map(|event| (event.pdu.event_id.clone(), event.pdu.origin_server_ts));
    Ok(EventByTimeReply { found, gap, unfinished: false, reached: None })
}

impl Room<'_> {
    fn reader(&mut self, asker: Asker, ignored: BTreeSet<OwnedUserId>) -> Result<Reader> {
        match asker {
            Asker::User(user) => {
                let viewer = Viewer { ignored, ..self.viewer(user, String::new())? };
                let end = self.visible_state(&viewer.memberships)?.at;
                Ok(Reader::User { viewer, end })
            }
            Asker::Server(name) => {
                let horizon = self.entitled(&name)?;
                Ok(Reader::Server { name, horizon })
            }
        }
    }

    /// The event of the timeline that is closest to a time and place, in one direction.
    fn closest(
        &mut self,
        reader: &Reader,
        mut from: (i64, Position),
        backwards: bool,
    ) -> Result<Closest> {
        let mut scanned = 0;
        loop {
            let page = self.sent_beyond(from, backwards, PAGE)?;
            let Some(last) = page.last().copied() else { return Ok(Closest::None) };
            for (_, pos) in page {
                scanned += 1;
                let Some(event) = self.between(pos, pos, false, 1)?.pop() else { continue };
                if self.is_for(reader, &event)? {
                    return Ok(Closest::Is(event));
                }
            }
            if scanned >= MAX_SCANNED {
                return Ok(Closest::Beyond(last));
            }
            from = last;
        }
    }

    fn is_for(&mut self, reader: &Reader, event: &Stored) -> Result<bool> {
        match reader {
            Reader::User { viewer, end } => Ok(event.pos.is_some_and(|pos| pos <= *end)
                && viewer.hears(event)
                && self.user_sees(&viewer.user, &viewer.memberships, event)?),
            Reader::Server { name, horizon } => {
                Ok(horizon.covers(event) && self.server_sees(name, event)?)
            }
        }
    }

    /// What is missing right above a position; from 0, in the lowest gap.
    fn missing_above(&mut self, pos: Position) -> Result<Vec<OwnedEventId>> {
        let query = match pos {
            0 => {
                "SELECT e.sn FROM holes h JOIN events e ON e.sn = h.child WHERE h.missing <> '[]' AND e.pos > ? ORDER BY e.pos LIMIT 1"
            }
            _ => "SELECT sn FROM events WHERE pos > ? ORDER BY pos LIMIT 1",
        };
        let above: Option<Sn> = self.sql.row(query, values![pos], |row| row.int(0))?;
        above.map_or(Ok(Vec::new()), |sn| self.missing_below(sn))
    }
}
