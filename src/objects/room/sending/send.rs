//! How does what a local user sends become an event of the room?

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use tombolo_platform::values;
use tombolo_protocol::{
    canonical_json::CanonicalJsonObject,
    event::{self, BuildFault, FormatFault, Links, Pdu},
    event_auth::owned,
    json::parse_object,
    membership::Membership,
    power_levels::check_content,
};

use crate::{
    objects::room::{
        Result, Room,
        graph::{
            events::Verdict,
            insertion::Source,
            judgement::{Judged, Judgement},
        },
        invalid,
        messages::{Position, Refusal, Send, Sent, Transaction},
    },
    shell::Stop,
};

/// Sends an event, once per transaction ID. A room that all local users left takes nothing new but the leave of a user
/// who is invited or knocked.
pub fn send(room: &mut Room<'_>, message: Send) -> Result<Sent> {
    room.graph()?;
    if let Some(transaction) = &message.transaction
        && let Some((event_id, position)) = sent_before(room, &message, transaction)?
    {
        // The request that sent it first may not have lived to tell the sender.
        let news = room.news_for(&[message.sender])?;
        return Ok(Sent { event_id, position, news, others: Vec::new(), again: true });
    }
    if !is_declining(room, &message)? {
        room.live()?;
    }
    check_kind(room, &message)?;
    let (event_id, position) = write(room, &message)?;
    if message.draft.state_key.is_none() {
        let (news, others) = room.news_of_message(&message.sender, position)?;
        return Ok(Sent { event_id, position, news, others, again: false });
    }
    let news = room.news_for(&concerned(room, &message))?;
    Ok(Sent { event_id, position, news, others: Vec::new(), again: false })
}

/// Builds, judges and inserts an event; refused unless it is accepted. An event that only repeats the current state is
/// not inserted: the held one is answered.
pub fn write(room: &mut Room<'_>, message: &Send) -> Result<(OwnedEventId, Position)> {
    check_membership(room, message)?;
    check_open(room, message)?;
    let pdu = build(room, message)?;
    let judged = allowed(room, &pdu)?;
    if pdu.kind() == "m.room.redaction" {
        check_redaction(room, &pdu)?;
    }
    room.check_relation(&pdu)?;
    if let Some(held) = same_state(room, &pdu)? {
        return Ok(held);
    }
    let source = Source { ours: true, given_by: None, transaction: message.transaction.as_ref() };
    match room.insert(&pdu, &judged, source)? {
        (sn, Some(position)) => {
            room.note_annotation(&pdu, sn)?;
            Ok((pdu.event_id, position))
        }
        (_, None) => Err(Stop::broken("an accepted event has no position")),
    }
}

/// Judges an event of ours; refused unless it is accepted.
pub fn allowed(room: &mut Room<'_>, pdu: &Pdu) -> Result<Judged> {
    let reason = match room.judge(pdu)? {
        Judgement::Judged(judged) if judged.verdict == Verdict::Accepted => return Ok(judged),
        Judgement::Judged(judged) => judged.reason.unwrap_or_default(),
        Judgement::Dropped(reason) => reason,
        Judgement::Lacking { .. } => {
            return Err(Stop::broken("our own event cites events we do not hold"));
        }
    };
    let reason = invited_again(room, pdu)?.unwrap_or(reason);
    Err(Stop::Refused(Refusal::Forbidden(reason)))
}

/// Why somebody who is in the room cannot be invited to it, in the words that bridges look for.
fn invited_again(room: &mut Room<'_>, pdu: &Pdu) -> Result<Option<String>> {
    let Some((_, user)) = pdu.key().filter(|_| pdu.membership() == Some(Membership::Invite)) else {
        return Ok(None);
    };
    let is_there = room.membership_of(user)? == Some(Membership::Join);
    let again = is_there && room.is_joined(&pdu.sender)?;
    Ok(again.then(|| format!("{user} is already in the room")))
}

/// Refuses what the rules allow nobody in the room, whatever their power, as a mistake in the request.
fn check_kind(room: &mut Room<'_>, message: &Send) -> Result<()> {
    if !room.is_joined(&message.sender)? {
        return Ok(());
    }
    let key = message.draft.state_key.as_deref().filter(|key| key.starts_with('@'));
    match message.draft.event_type.as_str() {
        "m.room.create" => Err(invalid("a room has one create event")),
        "m.room.power_levels" => {
            let content = content(message)?;
            match room.power_now()?.creator_in(&content) {
                Some(creator) => {
                    Err(invalid(format!("{creator} created the room and has no level")))
                }
                None => Ok(()),
            }
        }
        "m.room.member" | "m.room.third_party_invite" => Ok(()),
        _ if room.row()?.version.users_own_state => match key {
            Some(key) if owned::owner(key).is_none() => {
                Err(invalid("the state key is neither a user ID nor begins with one and `_`"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn content(message: &Send) -> Result<CanonicalJsonObject> {
    parse_object(message.draft.content.get().as_bytes()).map_err(|fault| invalid(fault.to_string()))
}

/// Whether the sender turns down an invite, or takes a knock back.
fn is_declining(room: &mut Room<'_>, message: &Send) -> Result<bool> {
    let (draft, user) = (&message.draft, message.sender.as_str());
    if draft.event_type != "m.room.member" || draft.state_key.as_deref() != Some(user) {
        return Ok(false);
    }
    let leaves = Membership::of_content(&content(message)?) == Some(Membership::Leave);
    Ok(leaves && room.membership_of(user)?.is_some_and(Membership::is_waiting))
}

/// Refuses a membership change unless the user has one of the wanted memberships now: a kick would lift a ban. A sender
/// who is not in the room does not learn the user's membership.
fn check_membership(room: &mut Room<'_>, message: &Send) -> Result<()> {
    let wanted = &message.memberships;
    if wanted.is_empty() {
        return Ok(());
    }
    if !room.is_joined(&message.sender)? {
        return Err(Stop::Refused(Refusal::Absent));
    }
    let user = message.draft.state_key.as_deref().unwrap_or_default();
    let held = room.membership_of(user)?;
    Err(Stop::Refused(match held {
        Some(held) if wanted.contains(&held) => return Ok(()),
        Some(Membership::Ban) => Refusal::BadState("the user is banned".to_owned()),
        _ if wanted.iter().all(|wanted| *wanted == Membership::Ban) => {
            Refusal::BadState("the user is not banned".to_owned())
        }
        _ => Refusal::Forbidden("the user is not in the room".to_owned()),
    }))
}

/// Refuses an event by which somebody would come into a room that an operator closed. A member may still say by such an
/// event what they are called. In a room that is being deleted one can only leave.
pub fn check_open(room: &mut Room<'_>, message: &Send) -> Result<()> {
    let draft = &message.draft;
    let Some(user) = draft.state_key.as_deref().filter(|_| draft.event_type == "m.room.member")
    else {
        return room.must_go_on();
    };
    let becomes = Membership::of_content(&content(message)?);
    let comes = becomes.is_some_and(|becomes| !becomes.is_out());
    if comes && room.membership_of(user)? != Some(Membership::Join) {
        room.must_be_open()?;
    }
    Ok(())
}

pub fn sent_before(
    room: &mut Room<'_>,
    message: &Send,
    transaction: &Transaction,
) -> Result<Option<(OwnedEventId, Position)>> {
    let query = "SELECT sn, scope FROM events WHERE sender = ? AND device = ? AND txn = ? AND txn IS NOT NULL";
    let values = values![message.sender.as_str(), &transaction.device, &transaction.txn_id];
    let rows = room.sql.rows(query, values, |row| Ok((row.int(0)?, row.text_or_null(1)?)))?;
    for (sn, scope) in rows {
        let event = room.event(sn)?;
        let same = match scope {
            Some(scope) => scope == transaction.scope,
            // No scope was noted, but the path had the event type in it.
            None => event.pdu.kind() == message.draft.event_type,
        };
        if same {
            return Ok(Some((event.pdu.event_id.clone(), event.pos.unwrap_or_default())));
        }
    }
    Ok(None)
}

/// The event of the current state that this one would only repeat: same sender, same content.
pub fn same_state(room: &mut Room<'_>, pdu: &Pdu) -> Result<Option<(OwnedEventId, Position)>> {
    let Some((kind, key)) = pdu.key() else { return Ok(None) };
    let Some(held) = room.now_event(kind, key)? else { return Ok(None) };
    let is_same = held.pdu.sender == pdu.sender
        && held.pdu.redacts == pdu.redacts
        && held.pdu.content.get() == pdu.content.get();
    let position = held.pos.unwrap_or(room.row()?.pos);
    Ok(is_same.then(|| (held.pdu.event_id.clone(), position)))
}

/// Gives a draft its links, hash and signature.
pub fn build(room: &mut Room<'_>, message: &Send) -> Result<Pdu> {
    let row = room.row()?;
    let content = content(message)?;
    if message.draft.event_type == "m.room.power_levels" {
        check_content(&content).map_err(|malformed| invalid(malformed.to_string()))?;
    }
    let redacts = message.draft.redacts.clone().or_else(|| redacted(message, &content));
    let mut draft = event::Draft {
        sender: message.sender.clone(),
        event_type: message.draft.event_type.clone(),
        state_key: message.draft.state_key.clone(),
        content,
        redacts,
    };
    room.authorise_join(&mut draft, &message.member_of)?;
    let auth_events = room.auth_events(&draft)?;
    let (prev_events, depth) = room.parents()?;
    let links = Links {
        room_id: Some(&row.id),
        prev_events: &prev_events,
        auth_events: &auth_events,
        depth,
        origin_server_ts: i64::try_from(message.ts.unwrap_or(room.moment.now)).unwrap_or(i64::MAX),
    };
    event::build(
        row.version,
        draft,
        links,
        &room.config.signing_key,
        room.config.server_name.as_str(),
    )
    .map_err(|fault| match fault {
        BuildFault::Format(FormatFault::TooLarge(_)) => {
            Stop::Refused(Refusal::TooLarge(fault.to_string()))
        }
        _ => invalid(fault.to_string()),
    })
}

impl Room<'_> {
    /// Names the local user who authorises a restricted join, where the join needs one and may have one.
    pub fn authorise_join(
        &mut self,
        draft: &mut event::Draft,
        member_of: &[OwnedRoomId],
    ) -> Result<()> {
        let joins = draft.event_type == "m.room.member"
            && Membership::of_content(&draft.content) == Some(Membership::Join);
        if !joins {
            return Ok(());
        }
        draft.content.remove("join_authorised_via_users_server");
        let member = draft.state_key.clone().unwrap_or_default();
        if matches!(self.membership_of(&member)?, Some(Membership::Join | Membership::Invite)) {
            return Ok(());
        }
        if !self.allow_rooms()?.iter().any(|allowed| member_of.contains(allowed)) {
            return Ok(());
        }
        let power = self.power_now()?;
        for (user, membership, _) in self.locals()? {
            if membership == Membership::Join && power.suffices(&user, power.invite()) {
                draft
                    .content
                    .insert("join_authorised_via_users_server".to_owned(), user.to_string().into());
                break;
            }
        }
        Ok(())
    }
}

/// Local users who must see the event as soon as the sender is answered: the sender and, for a membership change, the
/// user it names.
fn concerned(room: &Room<'_>, message: &Send) -> Vec<OwnedUserId> {
    let mut users = vec![message.sender.clone()];
    if message.draft.event_type == "m.room.member"
        && let Some(user) =
            message.draft.state_key.as_deref().and_then(|key| UserId::parse(key).ok())
        && user != message.sender
        && room.is_ours(&user)
    {
        users.push(user);
    }
    users
}

/// The target that the content of a redaction names: older room versions keep it beside the content.
fn redacted(message: &Send, content: &CanonicalJsonObject) -> Option<OwnedEventId> {
    let named = content.get("redacts").filter(|_| message.draft.event_type == "m.room.redaction");
    EventId::parse(named?.as_str()?).ok()
}

/// What a local user may redact: their own events, and with the power for it those of others. Between servers a
/// redaction from the same server applies; so each answers for its own users.
fn check_redaction(room: &mut Room<'_>, pdu: &Pdu) -> Result<()> {
    let Some(target) = &pdu.redacts else {
        return Err(invalid("a redaction names the event it redacts"));
    };
    let power = room.power_now()?;
    let may_redact_all = power.suffices(&pdu.sender, power.redact());
    let target = room.find(target)?.filter(|event| event.verdict != Verdict::Rejected);
    let refused = match target {
        // The target may come later: then the power that the sender has now counts.
        None if may_redact_all => return Ok(()),
        None => Refusal::NotFound,
        // An access list without content keeps everybody out.
        Some(target) if matches!(target.pdu.kind(), "m.room.create" | "m.room.server_acl") => {
            Refusal::Forbidden("this event must not be redacted".to_owned())
        }
        Some(target) if may_redact_all || target.pdu.sender == pdu.sender => return Ok(()),
        Some(_) => Refusal::Forbidden("you may not redact this event".to_owned()),
    };
    Err(Stop::Refused(refused))
}
