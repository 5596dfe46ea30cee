//! What is shown of the room to who looks for rooms, and to whom?
//! ([spaces](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces))

use ruma::{MxcUri, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{
    event::stripped,
    membership::Membership,
    space::{CHILD, Link, SPACE},
};

use crate::objects::room::{
    FOREVER, Result, Room,
    messages::{Access, Asker, Child, HasServer, Look, Looked, Name, NamesOf},
};

/// How many child events are looked at, and how many bytes of them are shown.
const MAX_CHILDREN: i64 = 2_000;
const MAX_BYTES: usize = 1 << 20;
/// The longest name or avatar of a user that is shown, in bytes.
const MAX_NAME: usize = 1_024;

/// What the room is, whether the asker may know that, and, of a space, its children in their order.
pub fn look(room: &mut Room<'_>, message: Look) -> Result<Looked> {
    room.live()?;
    let summary = room.summary()?;
    let (membership, may_know) = match &message.asker {
        None => (None, false),
        Some(Asker::User(user)) => {
            let membership = room.membership_of(user.as_str())?;
            let may_know = matches!(membership, Some(Membership::Join | Membership::Invite));
            (membership, may_know)
        }
        Some(Asker::Server(server)) if !room.allows(server)? || !summary.federates => {
            (Some(Membership::Ban), false)
        }
        Some(Asker::Server(server)) => {
            let membership = room.membership_of_server(server)?;
            (membership, membership.is_some())
        }
    };
    let kept_out =
        matches!(message.asker, Some(Asker::Server(_))) && membership == Some(Membership::Ban);
    let access = match () {
        () if kept_out => Access::Closed,
        () if may_know || summary.is_listed() => Access::Open,
        () if !summary.allowed_room_ids.is_empty() => {
            Access::MembersOf(summary.allowed_room_ids.clone())
        }
        () => Access::Closed,
    };
    let is_space = message.children && summary.room_type.as_deref() == Some(SPACE);
    let children = if is_space { room.children(message.suggested_only)? } else { Vec::new() };
    Ok(Looked { summary, access, membership, children })
}

/// Whether a user of a server is joined.
pub fn has_server(room: &mut Room<'_>, message: HasServer) -> Result<bool> {
    room.live()?;
    let joined = room.heard_until(&message.server)? == Some(FOREVER);
    Ok(joined && room.allows(&message.server)?)
}

/// What users who are joined are called.
pub fn names_of(room: &mut Room<'_>, message: NamesOf) -> Result<Vec<Name>> {
    room.live()?;
    let mut names = Vec::new();
    for user in message.users {
        let Some(event) = room.now_event("m.room.member", user.as_str())? else { continue };
        if event.pdu.membership() != Some(Membership::Join) {
            continue;
        }
        let text = |name: &str| {
            let text = event.pdu.content_str(name);
            text.filter(|text| !text.is_empty() && text.len() <= MAX_NAME)
        };
        let avatar_url = text("avatar_url").filter(|url| <&MxcUri>::from(&**url).is_valid());
        names.push(Name { displayname: text("displayname"), avatar_url, user });
    }
    Ok(names)
}

impl Room<'_> {
    /// Whether a user of a server is joined, or else invited.
    fn membership_of_server(&mut self, server: &ServerName) -> Result<Option<Membership>> {
        if self.heard_until(server)? == Some(FOREVER) {
            return Ok(Some(Membership::Join));
        }
        if self.row()?.invited == 0 {
            return Ok(None);
        }
        let query = "SELECT sn FROM now WHERE type = 'm.room.member' AND substr(key, instr(key, ':') + 1) = ?";
        for sn in self.sql.rows(query, values![server.as_str()], |row| row.int(0))? {
            if self.event(sn)?.pdu.membership() == Some(Membership::Invite) {
                return Ok(Some(Membership::Invite));
            }
        }
        Ok(None)
    }

    /// The children of a space in their order, as many as fit.
    fn children(&mut self, suggested_only: bool) -> Result<Vec<Child>> {
        let query = "SELECT sn FROM now WHERE type = ? ORDER BY key LIMIT ?";
        let mut links = Vec::new();
        for sn in self.sql.rows(query, values![CHILD, MAX_CHILDREN], |row| row.int(0))? {
            let pdu = &self.event(sn)?.pdu;
            let key = pdu.state_key.as_deref().unwrap_or_default();
            let link = Link::of(key, &pdu.content, pdu.origin_server_ts);
            links.extend(
                link.filter(|link| link.suggested || !suggested_only).map(|link| (link, sn)),
            );
        }
        links.sort();
        let (mut children, mut bytes) = (Vec::new(), 0);
        for (link, sn) in links {
            let pdu = &self.event(sn)?.pdu;
            let mut text = stripped(pdu);
            text.pop();
            let text = format!("{text},\"origin_server_ts\":{}}}", pdu.origin_server_ts);
            bytes += text.len();
            if bytes > MAX_BYTES {
                break;
            }
            let event = RawValue::from_string(text)?;
            children.push(Child { room_id: link.room_id, via: link.via, event });
        }
        Ok(children)
    }
}
