//! How do a client and another server see single events and the state?

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::{
    canonical_json::to_string,
    event::{Pdu, client_event, for_federation, judged_content, redacted},
    json::parse_object,
    membership::Membership,
};

use crate::{
    objects::room::{
        FOREVER, Result, Room, Sn,
        graph::{
            events::{Before, Stored, Verdict},
            state::Key,
        },
        messages::{Asker, EventById, Members, Position, Refusal, State, Transaction},
        not_in_room,
        reading::{bundle::Bundle, entitlement::Memberships},
    },
    shell::Stop,
};

/// For whom events are rendered.
pub struct Viewer {
    pub user: OwnedUserId,
    pub device: String,
    pub memberships: Memberships,
    /// Whether the viewer gets events in federation format.
    pub raw: bool,
    /// Whom the viewer ignores: what they say of an event is not shown with it.
    pub ignored: BTreeSet<OwnedUserId>,
}

impl Viewer {
    /// Whether an event is shown, as far as its sender goes: messages of users whom the viewer ignores are not.
    pub fn hears(&self, event: &Stored) -> bool {
        event.pdu.is_state() || !self.ignored.contains(&event.pdu.sender)
    }
}

/// An event's `unsigned`. Events in it stay text: they may be nested deeper than `serde_json` makes values of.
#[derive(Debug, Default, Serialize)]
struct Unsigned {
    age: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<Membership>,
    #[serde(flatten)]
    replaced: Option<Replaced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    #[serde(rename = "org.matrix.msc4140.delay_id", skip_serializing_if = "Option::is_none")]
    delay_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_because: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite_room_state: Option<Box<RawValue>>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    relations: Option<Bundle>,
}

/// What a state event replaced.
#[derive(Debug, Serialize)]
struct Replaced {
    replaces_state: OwnedEventId,
    prev_content: Box<RawValue>,
    prev_sender: OwnedUserId,
}

/// One event, if the asker may see it.
pub fn event_by_id(room: &mut Room<'_>, message: EventById) -> Result<Box<RawValue>> {
    room.graph()?;
    let not_found = || Stop::Refused(Refusal::NotFound);
    match message.asker {
        Asker::User(user) => {
            let viewer = room.viewer(user, message.device.unwrap_or_default())?;
            let event = room.find(&message.event_id)?.ok_or_else(not_found)?;
            let sees = room.sees(&viewer, &event)?;
            let viewer = Viewer { ignored: message.ignored, ..viewer };
            if !sees || !viewer.hears(&event) {
                return Err(not_found());
            }
            room.bundled_view(&viewer, &event, true)
        }
        Asker::Server(server) => {
            let horizon = room.entitled(&server)?;
            let event = room.find(&message.event_id)?.ok_or_else(not_found)?;
            if event.verdict == Verdict::Rejected || !horizon.covers(&event) {
                return Err(not_found());
            }
            let sees = room.server_sees(&server, &event)?;
            room.federation_view(&event, sees)
        }
    }
}

/// The current state, or what it was when the user left.
pub fn state(room: &mut Room<'_>, message: State) -> Result<Vec<Box<RawValue>>> {
    room.graph()?;
    let viewer = room.viewer(message.user, String::new())?;
    let before = room.visible_state(&viewer.memberships)?;
    let sns: Vec<Sn> = match (&message.event_type, &message.state_key) {
        (Some(kind), Some(key)) => room.value(before, kind, key)?.into_iter().collect(),
        (kind, _) => {
            let whole = room.whole(before)?;
            whole
                .into_iter()
                .filter(|((each, _), _)| kind.as_ref().is_none_or(|kind| kind == each))
                .map(|(_, sn)| sn)
                .collect()
        }
    };
    room.client_views(&viewer, sns, true)
}

/// The members now, or at a position, or when the user left. Before anybody was in the room counts as when the first
/// was: clients ask at the beginning of a timeline that begins with the room.
pub fn members(room: &mut Room<'_>, message: Members) -> Result<Vec<Box<RawValue>>> {
    room.graph()?;
    let viewer = room.viewer(message.user, String::new())?;
    let mut before = room.visible_state(&viewer.memberships)?;
    if let Some(at) = message.at.filter(|at| *at < before.at) {
        let at = room.with_members(at)?;
        let nearest = room.seen_from(&viewer.memberships, at)?;
        before.at = nearest.map_or(before.at, |nearest| before.at.min(nearest));
    }
    let query = "SELECT sn FROM now WHERE type = 'm.room.member' AND since <= ?1
                 UNION ALL SELECT sn FROM past WHERE type = 'm.room.member' AND since <= ?1 AND until > ?1";
    let mut sns = Vec::new();
    for sn in room.sql.rows(query, values![before.at], |row| row.int(0))? {
        let membership = room.event(sn)?.pdu.membership();
        // Where both filters are given, a member needs to pass only one.
        let wanted = match (&message.membership, &message.not_membership) {
            (None, None) => true,
            (one, not) => {
                let name = membership.map(Membership::as_str);
                one.is_some() && name == one.as_deref() || not.is_some() && name != not.as_deref()
            }
        };
        if wanted {
            sns.push(sn);
        }
    }
    room.client_views(&viewer, sns, true)
}

impl Room<'_> {
    /// This position, or the first one that has members.
    fn with_members(&mut self, at: Position) -> Result<Position> {
        let query = "SELECT min(since) FROM (
                         SELECT since FROM now WHERE type = 'm.room.member'
                         UNION ALL SELECT since FROM past WHERE type = 'm.room.member')";
        let first = self.sql.row(query, values![], |row| row.int_or_null(0))?.flatten();
        Ok(at.max(first.unwrap_or_default()))
    }

    /// The viewer for a user and device, with the user's memberships.
    pub fn viewer(&mut self, user: OwnedUserId, device: String) -> Result<Viewer> {
        let memberships = self.memberships(&user)?;
        Ok(Viewer { user, device, memberships, raw: false, ignored: BTreeSet::new() })
    }

    /// The state a user may see: the current one, or that at their leave. A user who was never joined is refused,
    /// unless the room is world-readable.
    pub fn visible_state(&mut self, memberships: &Memberships) -> Result<Before> {
        let row = self.graph()?;
        if memberships.joined() {
            return Ok(Before { at: row.pos, fork: None });
        }
        if let Some(at) = memberships.last_left(FOREVER) {
            return Ok(Before { at, fork: None });
        }
        match self.is_world_readable()? {
            true => Ok(Before { at: row.pos, fork: None }),
            false => Err(not_in_room()),
        }
    }

    /// Several events as the viewer sees them.
    pub fn client_views(
        &mut self,
        viewer: &Viewer,
        sns: impl IntoIterator<Item = Sn>,
        room_id: bool,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut views = Vec::new();
        for sn in sns {
            let event = self.event(sn)?;
            views.push(self.client_view(viewer, &event, room_id)?);
        }
        Ok(views)
    }

    /// Whether a viewer may see an event, be it in the timeline or as state.
    pub fn sees(&mut self, viewer: &Viewer, event: &Stored) -> Result<bool> {
        Ok(self.user_sees(&viewer.user, &viewer.memberships, event)?
            || self.user_sees_as_state(&viewer.memberships, event)?)
    }

    /// The same, of events that were read.
    pub fn views(
        &mut self,
        viewer: &Viewer,
        events: &[Rc<Stored>],
        room_id: bool,
    ) -> Result<Vec<Box<RawValue>>> {
        events.iter().map(|event| self.client_view(viewer, event, room_id)).collect()
    }

    /// An event in client format, with its `unsigned`.
    pub fn client_view(
        &mut self,
        viewer: &Viewer,
        event: &Stored,
        room_id: bool,
    ) -> Result<Box<RawValue>> {
        self.view_with(viewer, event, (room_id, None))
    }

    /// The same, with what is said of it.
    pub fn view_with(
        &mut self,
        viewer: &Viewer,
        event: &Stored,
        (room_id, relations): (bool, Option<Bundle>),
    ) -> Result<Box<RawValue>> {
        let mut unsigned = Unsigned { relations, ..self.unsigned(viewer, event)? };
        if let Some(by) = event.redacted_by {
            let because = self.event(by)?;
            // A user who had left by then is not told who redacted it.
            if self.user_sees(&viewer.user, &viewer.memberships, &because)? {
                let beside = self.unsigned(viewer, &because)?;
                let pdu = self.readable(viewer, &because)?;
                unsigned.redacted_because = Some(shown(viewer, &pdu, room_id, &beside)?);
            }
        }
        let pdu = self.readable(viewer, event)?;
        shown(viewer, &pdu, room_id, &unsigned)
    }

    /// An event as its viewer may read it: redacted if the sender had their events erased, or if the viewer ignores them.
    fn readable(&mut self, viewer: &Viewer, event: &Stored) -> Result<Rc<Pdu>> {
        match !viewer.hears(event) || self.is_erased_for_user(&viewer.memberships, event)? {
            true => Ok(Rc::new(self.pruned(event)?)),
            false => Ok(Rc::clone(&event.pdu)),
        }
    }

    /// An event as a redaction leaves it.
    fn pruned(&mut self, event: &Stored) -> Result<Pdu> {
        let version = self.row()?.version;
        redacted(&event.pdu, version).map_err(|fault| Stop::broken(fault.to_string()))
    }

    /// An event's `unsigned` for the viewer, without `redacted_because`.
    fn unsigned(&mut self, viewer: &Viewer, event: &Stored) -> Result<Unsigned> {
        let now = i64::try_from(self.moment.now).unwrap_or(i64::MAX);
        let age = now.saturating_sub(event.pdu.origin_server_ts);
        let mut unsigned = Unsigned { age, ..Unsigned::default() };
        if let Some(before) = event.before {
            let own = event.pdu.is("m.room.member", viewer.user.as_str());
            let membership = match own {
                true => event.pdu.membership(),
                false => self.membership_before(&viewer.user, &viewer.memberships, before)?,
            };
            unsigned.membership = Some(membership.unwrap_or(Membership::Leave));
            unsigned.replaced = self.replaced(event, before)?;
        }
        if event.ours && event.pdu.sender == viewer.user {
            let query = "SELECT txn, device, scope FROM events WHERE sn = ? AND txn IS NOT NULL";
            let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, row.text_or_null(2)?));
            match self.sql.row(query, values![event.sn], read)? {
                Some((txn, _, Some(scope))) if scope == Transaction::DELAYED => {
                    unsigned.delay_id = Some(txn);
                }
                Some((txn, device, _)) if device == viewer.device => {
                    unsigned.transaction_id = Some(txn);
                }
                _ => {}
            }
        }
        Ok(unsigned)
    }

    /// An event as an application service gets it. An invite of one of us says what they are invited to.
    pub fn service_view(&mut self, event: &Rc<Stored>) -> Result<Box<RawValue>> {
        let now = i64::try_from(self.moment.now).unwrap_or(i64::MAX);
        let age = now.saturating_sub(event.pdu.origin_server_ts);
        let mut unsigned = Unsigned { age, ..Unsigned::default() };
        if let Some(before) = event.before {
            unsigned.replaced = self.replaced(event, before)?;
        }
        if let Some(by) = event.redacted_by {
            let because = self.event(by)?;
            unsigned.redacted_because =
                Some(RawValue::from_string(client_event(&because.pdu, true))?);
        }
        let invites = event.pdu.kind() == "m.room.member"
            && event.pdu.membership() == Some(Membership::Invite);
        let invited = event.pdu.state_key.as_deref().filter(|_| invites);
        if invited.and_then(|user| UserId::parse(user).ok()).is_some_and(|user| self.is_ours(&user))
        {
            unsigned.invite_room_state = Some(self.stripped_with(event)?);
        }
        with_unsigned(client_event(&event.pdu, true), &unsigned)
    }

    /// For a state event: the event it replaced.
    fn replaced(&mut self, event: &Stored, before: Before) -> Result<Option<Replaced>> {
        let Some((kind, key)) =
            event.pdu.key().map(|(kind, key)| -> Key { (kind.to_owned(), key.to_owned()) })
        else {
            return Ok(None);
        };
        let Some(sn) = self.value(before, &kind, &key)?.filter(|sn| *sn != event.sn) else {
            return Ok(None);
        };
        let replaced = self.event(sn)?;
        Ok(Some(Replaced {
            replaces_state: replaced.pdu.event_id.clone(),
            prev_content: replaced.pdu.content.clone(),
            prev_sender: replaced.pdu.sender.clone(),
        }))
    }

    /// An event in federation format. A server that may not see its content gets it redacted, unless the rules read
    /// something that a redaction takes away.
    pub fn federation_view(&mut self, event: &Stored, sees: bool) -> Result<Box<RawValue>> {
        if sees {
            return event.for_servers();
        }
        let pruned = self.pruned(event)?;
        if judged_content(&event.pdu, &pruned)?.is_some() {
            return event.for_servers();
        }
        Ok(RawValue::from_string(for_federation(&pruned).to_owned())?)
    }
}

/// An event with its `unsigned`, in the viewer's format.
fn shown(viewer: &Viewer, pdu: &Pdu, room_id: bool, unsigned: &Unsigned) -> Result<Box<RawValue>> {
    let text = if viewer.raw { raw(pdu)? } else { client_event(pdu, room_id) };
    with_unsigned(text, unsigned)
}

fn with_unsigned(mut text: String, unsigned: &Unsigned) -> Result<Box<RawValue>> {
    text.pop();
    let unsigned = serde_json::to_string(unsigned)?;
    Ok(RawValue::from_string(format!("{text},\"unsigned\":{unsigned}}}"))?)
}

/// An event in federation format with its ID, which servers compute.
fn raw(pdu: &Pdu) -> Result<String> {
    let mut object = parse_object(for_federation(pdu).as_bytes())
        .map_err(|fault| Stop::broken(fault.to_string()))?;
    object.insert("event_id".to_owned(), pdu.event_id.as_str().into());
    Ok(to_string(&object))
}
