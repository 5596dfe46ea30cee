//! How does an application service see events?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))

use serde_json::value::RawValue;
use tombolo_protocol::{
    admission::Checked,
    event::{self, client_event},
    json::parse_object,
    room_version::RoomVersion,
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
    let farewells = room.farewells(message.from, message.to, message.limit)?;
    if let Some((upto, _)) = farewells.last() {
        // What came later is asked for again.
        let (upto, version) = (*upto, room.row()?.version);
        let shown = farewells.into_iter().map(|(_, text)| farewell(version, text, true));
        return Ok(ForServiceReply { events: shown.collect::<Result<_>>()?, upto });
    }
    room.graph()?;
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

/// An event of a room that was purged, as clients see it.
pub fn farewell(version: &RoomVersion, text: String, with_room: bool) -> Result<Box<RawValue>> {
    let broken = || Stop::broken("what we told of a purged room cannot be read");
    let event = parse_object(text.as_bytes()).map_err(|_| broken())?;
    let (event_id, json) = (event::event_id(&event, version), RawValue::from_string(text)?);
    let pdu = Checked { event_id, json }.pdu(version).map_err(|_| broken())?;
    Ok(RawValue::from_string(client_event(&pdu, with_room))?)
}
