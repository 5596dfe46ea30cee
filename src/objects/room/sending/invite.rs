//! How does an invite of another server's user become part of the room?
//! ([inviting](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room))
//!
//! The invite is built and judged first, then signed by the invited user's server, and only then stored: a server that
//! refuses keeps its user out of the room.

use ruma::EventId;
use serde_json::value::RawValue;
use tombolo_protocol::event::{Pdu, SHOWN_TO_INVITED};

use crate::{
    objects::room::{
        Result, Room,
        graph::insertion::Source,
        messages::{DraftInvite, InviteFor, InviteForReply, Refusal, SendInvite, Sent},
        sending::send,
    },
    shell::Stop,
};

/// The invite as it goes to the invited user's server, if the room would take it.
pub fn draft(room: &mut Room<'_>, message: DraftInvite) -> Result<InviteForReply> {
    room.live()?;
    if let Some(transaction) = &message.send.transaction
        && let Some((held, _)) = send::sent_before(room, &message.send, transaction)?
    {
        return room.standing(&held);
    }
    send::check_open(room, &message.send)?;
    let pdu = send::build(room, &message.send)?;
    send::allowed(room, &pdu)?;
    match send::same_state(room, &pdu)? {
        Some((held, _)) => room.standing(&held),
        None => room.invite(&pdu),
    }
}

/// Takes the invite in, as both servers signed it.
pub fn send(room: &mut Room<'_>, message: SendInvite) -> Result<Sent> {
    let version = room.live()?.version;
    let pdu = message.event.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
    let held = room.find(&pdu.event_id)?.and_then(|held| held.pos);
    let position = match held {
        Some(position) => position,
        None => {
            let judged = send::allowed(room, &pdu)?;
            let transaction = message.transaction.as_ref();
            let source = Source { ours: true, given_by: None, transaction };
            let (_, position) = room.insert(&pdu, &judged, source)?;
            position.ok_or_else(|| Stop::broken("an accepted event has no position"))?
        }
    };
    let news = room.news_for(&[pdu.sender])?;
    Ok(Sent { event_id: pdu.event_id, position, news, others: Vec::new(), again: false })
}

/// An invite that stands, as it goes to the invited user's server.
pub fn invite_for(room: &mut Room<'_>, message: InviteFor) -> Result<InviteForReply> {
    room.live()?;
    let member = room
        .now_event("m.room.member", message.user.as_str())?
        .ok_or(Stop::Refused(Refusal::NotFound))?;
    Ok(InviteForReply { stands: true, ..room.invite(&member.pdu)? })
}

impl Room<'_> {
    /// An invite that was sent before.
    fn standing(&mut self, event_id: &EventId) -> Result<InviteForReply> {
        let held = self.find(event_id)?.ok_or_else(|| Stop::broken("the invite is not held"))?;
        Ok(InviteForReply { stands: true, ..self.invite(&held.pdu)? })
    }

    /// An invite, with the state shown to the invited user.
    fn invite(&mut self, pdu: &Pdu) -> Result<InviteForReply> {
        let mut stripped = self.shown_to_invited()?;
        if let Some(inviter) = self.now_event("m.room.member", pdu.sender.as_str())? {
            stripped.push(inviter.for_servers()?);
        }
        Ok(InviteForReply {
            version: self.row()?.version.id.to_string(),
            event_id: pdu.event_id.clone(),
            event: RawValue::from_string(pdu.json.clone())?,
            stripped,
            stands: false,
        })
    }

    /// The state shown to a user who is not in the room, in federation format.
    pub fn shown_to_invited(&mut self) -> Result<Vec<Box<RawValue>>> {
        let mut shown = Vec::new();
        for kind in SHOWN_TO_INVITED {
            if let Some(event) = self.now_event(kind, "")? {
                shown.push(event.for_servers()?);
            }
        }
        Ok(shown)
    }
}
