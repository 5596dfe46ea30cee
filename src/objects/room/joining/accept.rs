//! How does another server's user join, leave or knock through us?
//! ([joining rooms](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms))

use ruma::{OwnedRoomId, UserId};
use serde_json::{Value, value::RawValue};
use tombolo_protocol::{event::Pdu, membership::Membership};

use crate::{
    objects::room::{
        Result, Room,
        graph::{events::Verdict, insertion::Source, judgement::Judgement},
        messages::{Accept, Accepted, Draft, Refusal, Send, StateNumbers, Template, TemplateReply},
        sending::send,
    },
    shell::Stop,
};

/// A template that the room would accept as it is. A server that the room's ACL keeps out does not learn the room's
/// version.
pub fn template(room: &mut Room<'_>, message: Template) -> Result<TemplateReply> {
    let row = room.live()?;
    room.admits(&message.origin)?;
    if !message.membership.is_out() {
        room.must_be_open()?;
    }
    let version = row.version.id.to_string();
    if message.versions.as_ref().is_some_and(|versions| !versions.contains(&version)) {
        return Err(Stop::Refused(Refusal::Incompatible(version)));
    }
    if message.user.server_name() != message.origin {
        return Err(Stop::Refused(Refusal::Forbidden("the user is of another server".to_owned())));
    }
    let content =
        serde_json::value::to_raw_value(&serde_json::json!({ "membership": message.membership }))?;
    let draft = Draft::membership(&message.user, content);
    let member_of = message.member_of.clone();
    let member = Send { member_of, ..Send::of(message.user.clone(), draft) };
    // Built as if it were ours, so that what the rules think of it is known; signatures and hashes are left out.
    let pdu = send::build(room, &member)?;
    if let Some(reason) = refused(room, &pdu)? {
        return Err(Stop::Refused(room.template_refusal(&message, &pdu.sender, reason)?));
    }
    let mut event: serde_json::Map<String, Value> = serde_json::from_str(&pdu.json)?;
    event.retain(|key, _| key != "hashes" && key != "signatures");
    Ok(TemplateReply { version, event: serde_json::value::to_raw_value(&event)? })
}

/// Takes the event in and tells the others of it; answers what the other server needs to know.
pub fn accept(room: &mut Room<'_>, message: Accept) -> Result<Accepted> {
    let row = room.live()?;
    room.admits(&message.origin)?;
    let pdu = message
        .event
        .pdu(row.version)
        .map_err(|fault| Stop::Refused(Refusal::Invalid(fault.to_string())))?;
    check(&pdu, &message)?;
    let held = room.find(&pdu.event_id)?.filter(|held| held.before.is_some());
    match held {
        // A repeated request is answered again, as long as what the event says still holds.
        Some(held) if room.now("m.room.member", pdu.sender.as_str())? == Some(held.sn) => {}
        Some(_) => {
            let reason = "the event was refused, or is no longer the user's membership";
            return Err(Stop::Refused(Refusal::Forbidden(reason.to_owned())));
        }
        None => take(room, &pdu, &message)?,
    }
    let event = RawValue::from_string(pdu.json.clone())?;
    let mut reply = Accepted::of(event, room.servers()?);
    match message.membership {
        Membership::Join => {
            reply.numbers = room.numbers_before(&pdu)?;
            // A Worker of an earlier deployment asks.
            if !message.by_number {
                reply.state = room.bodies(&reply.numbers.state)?;
                reply.auth_chain = room.bodies(&reply.numbers.auth_chain)?;
            }
        }
        Membership::Knock => reply.state = room.shown_to_invited()?,
        _ => {}
    }
    Ok(reply)
}

/// Takes in an event that is not held.
fn take(room: &mut Room<'_>, pdu: &Pdu, message: &Accept) -> Result<()> {
    if !message.membership.is_out() {
        room.must_be_open()?;
    }
    room.check_authorised(pdu, &message.member_of)?;
    let judged = match room.judge(pdu)? {
        Judgement::Judged(judged) => judged,
        Judgement::Dropped(reason) => return Err(Stop::Refused(Refusal::Invalid(reason))),
        Judgement::Lacking { .. } => {
            let reason = "the event does not build on our template".to_owned();
            return Err(Stop::Refused(Refusal::Invalid(reason)));
        }
    };
    if judged.verdict != Verdict::Accepted {
        return Err(Stop::Refused(Refusal::Forbidden(judged.reason.unwrap_or_default())));
    }
    let source = Source { ours: true, given_by: Some(message.origin.as_str()), transaction: None };
    room.insert(pdu, &judged, source)?;
    Ok(())
}

fn refused(room: &mut Room<'_>, pdu: &Pdu) -> Result<Option<String>> {
    match room.judge(pdu)? {
        Judgement::Judged(judged) if judged.verdict == Verdict::Accepted => Ok(None),
        Judgement::Judged(judged) => Ok(Some(judged.reason.unwrap_or_default())),
        Judgement::Dropped(reason) => Ok(Some(reason)),
        Judgement::Lacking { .. } => Err(Stop::broken("a template cites events we do not hold")),
    }
}

/// The event must be what a template was made for: a user of the asking server changing their own membership.
fn check(pdu: &Pdu, message: &Accept) -> Result<()> {
    let fits = pdu.is("m.room.member", pdu.sender.as_str())
        && pdu.membership() == Some(message.membership)
        && pdu.sender.server_name() == message.origin;
    if fits {
        Ok(())
    } else {
        Err(Stop::Refused(Refusal::Unfit("this is not such a membership event".to_owned())))
    }
}

impl Room<'_> {
    /// How a template is refused: where another server may be able to authorise a restricted join, the joiner learns
    /// that.
    fn template_refusal(
        &mut self,
        message: &Template,
        user: &UserId,
        reason: String,
    ) -> Result<Refusal> {
        let allowing = self.allow_rooms()?;
        let banned = self.membership_of(user.as_str())? == Some(Membership::Ban);
        if message.membership != Membership::Join || allowing.is_empty() || banned {
            return Ok(Refusal::Forbidden(reason));
        }
        if allowing.iter().any(|room| message.member_of.contains(room)) {
            return Ok(Refusal::UnableToGrant(reason));
        }
        Ok(if message.blind {
            Refusal::UnableToAuthorise(reason)
        } else {
            Refusal::Forbidden(reason)
        })
    }

    /// Refuses a join that names a local user as its authoriser, unless we would have authorised it: only we have
    /// checked whether the joining user is in one of the rooms that the join rule names.
    fn check_authorised(&mut self, pdu: &Pdu, member_of: &[OwnedRoomId]) -> Result<()> {
        let authoriser = pdu.content_str("join_authorised_via_users_server");
        let authoriser = authoriser.and_then(|user| UserId::parse(user).ok());
        let ours = authoriser.is_some_and(|user| self.is_ours(&user));
        let membership = self.membership_of(pdu.sender.as_str())?;
        let comes_in = pdu.membership() == Some(Membership::Join)
            && !matches!(membership, Some(Membership::Join | Membership::Invite));
        if !ours || !comes_in || self.allow_rooms()?.iter().any(|room| member_of.contains(room)) {
            return Ok(());
        }
        let reason = "the user is in none of the rooms that the join rule names, as far as we know";
        Err(Stop::Refused(Refusal::UnableToAuthorise(reason.to_owned())))
    }

    /// The state before a join, with its auth chain and that of the join.
    fn numbers_before(&mut self, pdu: &Pdu) -> Result<StateNumbers> {
        let event = self
            .find(&pdu.event_id)?
            .ok_or_else(|| Stop::broken("an accepted event is not held"))?;
        let before = event.before.ok_or_else(|| Stop::broken("an accepted event has no place"))?;
        let state: Vec<_> = self.whole(before)?.into_values().collect();
        let mut chain = self.auth_chain_of(&state, 0)?;
        chain.extend(self.auth_chain_of(&[event.sn], 0)?);
        Ok(StateNumbers { state, auth_chain: chain.into_iter().collect() })
    }
}
