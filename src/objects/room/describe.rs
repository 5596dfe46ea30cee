//! What is this room, who is in it, and who may join?

use serde::Deserialize;

use ruma::OwnedRoomId;
use serde_json::value::RawValue;
use tombolo_protocol::{acl::ServerAcl, event::Draft};

use super::{
    Describe, Description, Life, MayRead, MaySend, Membership, Participants, ParticipantsReply,
    Result, Room, ServerAllowed,
};

/// The room in a few words.
pub fn describe(room: &mut Room<'_>, _: Describe) -> Result<Description> {
    let head = room.head()?;
    Ok(Description {
        version: head.version.id.to_string(),
        live: head.life == Life::Live,
        allow_rooms: room.allow_rooms()?,
    })
}

/// Which servers have a joined user: this one, then the most helpful.
pub fn participants(room: &mut Room<'_>, _: Participants) -> Result<ParticipantsReply> {
    room.graph()?;
    let mut servers = room.servers()?;
    servers.retain(|server| room.is_local(server));
    servers.extend(room.helpers()?);
    Ok(ParticipantsReply { servers })
}

/// A user's membership now.
pub fn membership(room: &mut Room<'_>, message: Membership) -> Result<Option<String>> {
    if message.live {
        room.live()?
    } else {
        room.graph()?
    };
    room.membership_of(message.user.as_str())
}

/// Whether a user is joined and has the power to send something.
pub fn may_send(room: &mut Room<'_>, message: MaySend) -> Result<bool> {
    room.live()?;
    let power = room.power_now()?;
    let needed = power.send(&message.event_type, message.is_state);
    Ok(room.is_joined(&message.user)? && power.suffices(&message.user, needed))
}

/// Whether a user may know the room as it is now.
pub fn may_read(room: &mut Room<'_>, message: MayRead) -> Result<bool> {
    room.graph()?;
    Ok(room.is_joined(&message.user)? || room.is_world_readable()?)
}

/// Whether the room's ACL lets a server in.
pub fn server_allowed(room: &mut Room<'_>, message: ServerAllowed) -> Result<bool> {
    room.graph()?;
    room.allows(&message.server)
}

/// One entry of a restricted join rule.
#[derive(Deserialize)]
struct Allow {
    #[serde(rename = "type", default)]
    kind: String,
    room_id: Option<OwnedRoomId>,
}

impl Room<'_> {
    /// Whether everybody may read the room now.
    pub fn is_world_readable(&mut self) -> Result<bool> {
        let held = self.now_event("m.room.history_visibility", "")?;
        let visibility = held.and_then(|event| event.pdu.content_str("history_visibility"));
        Ok(visibility.as_deref() == Some("world_readable"))
    }

    /// Whether the room's ACL lets a server in.
    pub fn allows(&mut self, server: &ruma::ServerName) -> Result<bool> {
        let acl = self.now_event("m.room.server_acl", "")?;
        Ok(acl.is_none_or(|event| ServerAcl::of(&event.pdu.content).admits(server.as_str())))
    }

    /// The rooms whose members a restricted join rule lets in; none under other rules.
    pub fn allow_rooms(&mut self) -> Result<Vec<OwnedRoomId>> {
        let Some(rules) = self.now_event("m.room.join_rules", "")? else { return Ok(Vec::new()) };
        let restricted = matches!(
            rules.pdu.content_str("join_rule").as_deref(),
            Some("restricted" | "knock_restricted")
        );
        let Some(allow) = rules.pdu.content_field("allow").filter(|_| restricted) else {
            return Ok(Vec::new());
        };
        // An entry that cannot be read lets nobody in.
        let entries: Vec<&RawValue> = serde_json::from_str(allow.get()).unwrap_or_default();
        let entries =
            entries.into_iter().filter_map(|entry| serde_json::from_str::<Allow>(entry.get()).ok());
        Ok(entries
            .filter(|entry| entry.kind == "m.room_membership")
            .filter_map(|entry| entry.room_id)
            .collect())
    }

    /// Names the local user who authorises a restricted join, where the join needs one and may have one.
    pub fn authorise_join(&mut self, draft: &mut Draft, member_of: &[OwnedRoomId]) -> Result<()> {
        let joins = draft.event_type == "m.room.member"
            && draft.content.get("membership").and_then(|value| value.as_str()) == Some("join");
        if !joins {
            return Ok(());
        }
        draft.content.remove("join_authorised_via_users_server");
        let member = draft.state_key.clone().unwrap_or_default();
        if matches!(self.membership_of(&member)?.as_deref(), Some("join" | "invite")) {
            return Ok(());
        }
        if !self.allow_rooms()?.iter().any(|allowed| member_of.contains(allowed)) {
            return Ok(());
        }
        let power = self.power_now()?;
        for (user, membership, _) in self.locals()? {
            if membership == "join" && power.suffices(&user, power.invite()) {
                draft
                    .content
                    .insert("join_authorised_via_users_server".to_owned(), user.to_string().into());
                break;
            }
        }
        Ok(())
    }
}
