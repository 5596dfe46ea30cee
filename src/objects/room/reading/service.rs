//! How does an application service see events?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))

use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{
    admission::Checked,
    event::{self, client_event},
    json::parse_object,
};

use crate::{
    objects::room::{
        Result, Room,
        messages::{ForService, ForServiceReply},
    },
    shell::Stop,
};

/// The events of a range.
pub fn for_service(room: &mut Room<'_>, message: ForService) -> Result<ForServiceReply> {
    match room.graph() {
        Ok(_) => {}
        Err(Stop::Refused(_)) => return farewells(room, &message),
        Err(fault) => return Err(fault),
    }
    let ForService { from, to, limit, bytes } = message;
    let (mut events, mut upto, mut sum) = (Vec::new(), from, 0);
    let found = room.between(from.saturating_add(1), to, false, limit)?;
    let mut full = found.len() >= limit as usize;
    for event in found {
        // What was found later below a gap is no news.
        if !event.is_history() {
            let shown = room.service_view(&event)?;
            sum += shown.get().len() as u64;
            if sum > bytes && !events.is_empty() {
                full = true;
                break;
            }
            events.push(shown);
        }
        upto = event.pos.unwrap_or(upto);
    }
    Ok(ForServiceReply { events, upto: if full { upto } else { to } })
}

/// Of a room that was purged: how our users left, of which a service has yet to hear.
fn farewells(room: &mut Room<'_>, message: &ForService) -> Result<ForServiceReply> {
    let version = room.row()?.version;
    let query = "SELECT pos, json FROM farewells WHERE pos > ? AND pos <= ? ORDER BY pos LIMIT ?";
    let values = values![message.from, message.to, message.limit];
    let rows = room.sql.rows(query, values, |row| Ok((row.int(0)?, row.text(1)?)))?;
    let is_full = rows.len() >= message.limit as usize;
    let last = rows.last().map(|(pos, _)| *pos).filter(|_| is_full);
    let broken = |_| Stop::broken("how a user left a purged room cannot be read");
    let shown = rows.into_iter().map(|(_, text)| {
        let event = parse_object(text.as_bytes()).map_err(|_| Stop::broken("no event"))?;
        let event_id = event::event_id(&event, version);
        let json = RawValue::from_string(text)?;
        let pdu = Checked { event_id, json }.pdu(version).map_err(broken)?;
        Ok(RawValue::from_string(client_event(&pdu, true))?)
    });
    Ok(ForServiceReply { events: shown.collect::<Result<_>>()?, upto: last.unwrap_or(message.to) })
}
