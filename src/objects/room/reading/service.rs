//! How does an application service see events?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))

use crate::objects::room::{
    Result, Room,
    graph::farewells::farewell,
    messages::{ForService, ForServiceReply},
};

/// The events of a range.
pub fn for_service(room: &mut Room<'_>, message: ForService) -> Result<ForServiceReply> {
    let farewells = room.farewells(message.from, message.to, message.limit)?;
    let ForService { from, to, limit, bytes } = message;
    let (mut events, mut upto, mut sum) = (Vec::new(), from, 0);
    if !farewells.is_empty() {
        let version = room.row()?.version;
        for (pos, text) in farewells {
            let shown = farewell(version, text, true)?;
            sum += shown.get().len() as u64;
            if sum > bytes && !events.is_empty() {
                break;
            }
            events.push(shown);
            upto = pos;
        }
        // What came later is asked for again.
        return Ok(ForServiceReply { events, upto });
    }
    room.graph()?;
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
