//! What does the current state say of who may come in, and who may read?

use ruma::{OwnedRoomId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_protocol::acl::ServerAcl;

use crate::{
    objects::room::{Result, Room, messages::Refusal},
    shell::Stop,
};

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
    pub fn allows(&mut self, server: &ServerName) -> Result<bool> {
        let acl = self.now_event("m.room.server_acl", "")?;
        Ok(acl.is_none_or(|event| ServerAcl::of(&event.pdu.content).admits(server.as_str())))
    }

    /// Refuses servers that the room's ACL keeps out.
    pub fn admits(&mut self, server: &ServerName) -> Result<()> {
        if self.allows(server)? {
            return Ok(());
        }
        Err(Stop::Refused(Refusal::Forbidden("your server is banned from the room".to_owned())))
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
}
