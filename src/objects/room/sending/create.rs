//! How does a room begin here?
//!
//! One message with all initial events, one transaction. The Worker built the create event: in version 12 its hash
//! names the room, and so this object.

use crate::{
    objects::room::{
        FIRST, Result, Room,
        graph::events::{Before, Entry, Verdict},
        invalid,
        messages::{Create, Created, Refusal, Send},
        outside::invites::supported,
        row::{Life, RoomRow},
        sending::send,
    },
    shell::Stop,
};

/// Makes the room and its initial events. Asked again with the same create event, it answers again.
pub fn create(room: &mut Room<'_>, message: Create) -> Result<Created> {
    let held = room.find_row()?.is_some();
    if held && room.find(&message.create.event_id)?.is_none() {
        return Err(Stop::Refused(Refusal::Forbidden("the room exists".to_owned())));
    }
    if !held {
        begin(room, &message)?;
        for draft in message.events {
            send::write(room, &Send::of(message.creator.clone(), draft))?;
        }
        room.set_published(message.published)?;
    }
    let locals = room.locals()?;
    let news = room.news_of(locals)?;
    let listing = if message.published { room.listing_due()? } else { None };
    Ok(Created { news, listing })
}

fn begin(room: &mut Room<'_>, message: &Create) -> Result<()> {
    let version = supported(&message.version)?;
    let pdu = message.create.pdu(version).map_err(|fault| invalid(fault.to_string()))?;
    if pdu.room_id != room.name || pdu.kind() != "m.room.create" || pdu.sender != message.creator {
        return Err(invalid("this create event makes another room"));
    }
    let row =
        RoomRow { notified_up_to: 0, ..RoomRow::new(pdu.room_id.clone(), version, Life::Live) };
    room.set_row(row.clone())?;
    let sn = room.add(&Entry {
        pdu: &pdu,
        pos: Some(FIRST),
        verdict: Verdict::Accepted,
        reason: None,
        auth: &[],
        prev: &[],
        before: Some(Before::linear(FIRST)),
        ours: true,
        given_by: None,
        transaction: None,
    })?;
    room.set_row(RoomRow { extremities: vec![sn], ..row })?;
    room.change(&("m.room.create".to_owned(), String::new()), Some(sn), FIRST)
}
