//! What becomes of an invite of a local user by another server?

use ruma::UserId;
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{
        Result, Room,
        graph::{events::Verdict, insertion::Source, judgement::Judgement},
        messages::{Invited, Refusal, UserNews},
        outside::invites::{OutOfBandRow, supported},
        row::Life,
    },
    shell::Stop,
};

/// A local user was invited by another server.
pub fn invited(room: &mut Room<'_>, message: Invited) -> Result<Vec<UserNews>> {
    let version = supported(&message.version)?;
    room.must_be_open()?;
    let pdu = message
        .event
        .pdu(version)
        .map_err(|fault| Stop::Refused(Refusal::Invalid(fault.to_string())))?;
    let Some(user) = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok()) else {
        return Err(Stop::Refused(Refusal::Invalid("the invite names no user".to_owned())));
    };
    if room.find_row()?.is_some_and(|row| row.life == Life::Live) {
        room.admits(&message.origin)?;
        if room.find(&pdu.event_id)?.is_some_and(|held| held.pos.is_some()) {
            return room.news_for(&[user]);
        }
        if room.is_joined(&user)? {
            let reason = "the invited user is in the room".to_owned();
            return Err(Stop::Refused(Refusal::Forbidden(reason)));
        }
        // We are in the room by another user: the invite is an event like any other, if it connects.
        if let Judgement::Judged(judged) = room.judge(&pdu)? {
            if judged.verdict != Verdict::Accepted {
                return Err(Stop::Refused(Refusal::Forbidden(judged.reason.unwrap_or_default())));
            }
            room.insert(&pdu, &judged, Source::default())?;
            return room.news_for(&[user]);
        }
        // The events it builds on may be under way, if the inviting server is in the room; no other server has a say
        // here.
        if !room.servers()?.contains(&message.origin) {
            let reason = "your server is not in the room".to_owned();
            return Err(Stop::Refused(Refusal::Forbidden(reason)));
        }
    }
    let entry = OutOfBandRow {
        user: &user,
        membership: Membership::Invite,
        via: &message.origin,
        stripped: &message.stripped,
    };
    room.note_out_of_band(version, &message.event, &entry)
}
