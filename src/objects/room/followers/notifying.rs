//! What do the push rules of local users judge, and what do they need to know?
//! ([receiving notifications](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications))
//!
//! The rules are judged in the user's object, with the news that brings the event. What a telling begins after was told
//! to the user before, so each event is judged once.

use std::rc::Rc;

use ruma::{EventId, UserId};
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::{Row, values};
use tombolo_protocol::{
    event::{Pdu, client_event},
    json::members,
    power_levels::{Level, PowerLevels},
};

use crate::objects::room::{
    Result, Room,
    graph::events::Stored,
    messages::{Notifiable, NotifiableEvent, Notify, Position},
};

/// How many events one telling has judged: the newest.
const MOST_EVENTS: u32 = 500;
/// An event that is longer is judged by what of its content rules commonly look at, and by so much of its body (bytes).
const MAX_EVENT: usize = 4 << 10;
const MAX_BODY: usize = 2 << 10;
const LOOKED_AT: [&str; 4] = ["msgtype", "membership", "m.mentions", "m.relates_to"];

impl Room<'_> {
    /// The events after a position that push rules judge; `None` where there are none.
    pub fn notifiable(&mut self, since: Position) -> Result<Option<Notifiable>> {
        let row = self.row()?;
        let newest = self.between(since + 1, row.pos, true, MOST_EVENTS)?;
        let newest = newest.iter().filter(|event| !event.is_history());
        let events: Vec<_> = newest.filter(|event| event.redacted_by.is_none()).collect();
        if events.is_empty() {
            return Ok(None);
        }
        let power = self.power_now()?;
        let mut shown = Vec::new();
        for event in events.into_iter().rev() {
            shown.push(self.notifiable_event(event, &power)?);
        }
        Ok(Some(Notifiable {
            events: shown,
            members: u64::try_from(row.joined).unwrap_or_default(),
            room_level: power.notification("room"),
        }))
    }

    fn notifiable_event(
        &mut self,
        event: &Rc<Stored>,
        power: &PowerLevels,
    ) -> Result<NotifiableEvent> {
        let redacts = match &event.pdu.redacts {
            Some(target) => self.find(target)?.filter(|held| held.redacted_by == Some(event.sn)),
            None => None,
        };
        Ok(NotifiableEvent {
            pos: event.pos.unwrap_or_default(),
            event_id: event.pdu.event_id.clone(),
            event: RawValue::from_string(client_event(&*cut_down(&event.pdu)?, true))?,
            thread: self.thread_of(event)?,
            level: match power.user(&event.pdu.sender) {
                Level::Finite(level) => level,
                Level::Infinite => i64::MAX,
            },
            redacts: redacts.map(|held| held.pdu.event_id.clone()),
        })
    }

    /// How a joined user, who was told up to a position, stands to what came since.
    pub fn notify(&mut self, user: &UserId, told: Position) -> Result<Notify> {
        let query = "SELECT max(pos) FROM moves WHERE pos > ? AND (user = ? AND became = 'join' OR user = '*')";
        let joined =
            self.sql.row(query, values![told, user.as_str()], |row| row.int_or_null(0))?.flatten();
        let member = self.now_event("m.room.member", user.as_str())?;
        Ok(Notify {
            since: joined.unwrap_or(told),
            display_name: member.and_then(|member| member.pdu.content_str("displayname")),
            read: self.read_since(user, told)?,
        })
    }

    /// What a user has read since a position: threads (`None`: all), and up to where.
    fn read_since(
        &mut self,
        user: &UserId,
        since: Position,
    ) -> Result<Vec<(Option<String>, Position)>> {
        let query = "SELECT thread, event FROM receipts WHERE user = ? AND pos > ?";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        let mut upto = Vec::new();
        for (thread, event) in self.sql.rows(query, values![user.as_str(), since], read)? {
            let Ok(event) = EventId::parse(event) else { continue };
            let pos = self.find(&event)?.and_then(|event| event.pos);
            upto.extend(pos.map(|pos| ((!thread.is_empty()).then_some(thread), pos)));
        }
        Ok(upto)
    }
}

/// A long event with what of its content is judged.
fn cut_down(pdu: &Rc<Pdu>) -> Result<Rc<Pdu>> {
    if pdu.content.get().len() <= MAX_EVENT {
        return Ok(Rc::clone(pdu));
    }
    let mut content = members(Some(&pdu.content));
    let body =
        content.remove("body").and_then(|body| serde_json::from_str::<String>(body.get()).ok());
    content
        .retain(|name, value| LOOKED_AT.contains(&name.as_str()) && value.get().len() <= MAX_BODY);
    if let Some(mut body) = body {
        let end = (0..=MAX_BODY.min(body.len())).rev().find(|end| body.is_char_boundary(*end));
        body.truncate(end.unwrap_or_default());
        content.insert("body".to_owned(), to_raw_value(&body)?);
    }
    Ok(Rc::new(pdu.with_content(to_raw_value(&content)?)))
}
