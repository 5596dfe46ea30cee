//! What of a room goes over to the room that replaces it?
//! ([room upgrades](https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-19))

use ruma::UserId;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{
        Result, Room,
        followers::listing,
        messages::{IsPublished, Refusal, StateItem, Transferable, TransferableReply},
    },
    shell::Stop,
};

/// The state with an empty key that goes over.
const SINGLE: [&str; 10] = [
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
];
/// Of bans and of rooms in a space, so many go over.
const MOST: usize = 1000;

/// The state that goes over, for a user who may replace the room.
pub fn transferable(room: &mut Room<'_>, message: Transferable) -> Result<TransferableReply> {
    let row = room.live()?;
    room.may_replace(&message.user)?;
    let create = room
        .now_event("m.room.create", "")?
        .ok_or_else(|| Stop::broken("a room without a create event"))?;
    let mut state = Vec::new();
    for kind in SINGLE {
        state.extend(room.now_event(kind, "")?.map(|event| StateItem::of(&event.pdu)));
    }
    if create.pdu.content_str("type").is_some_and(|kind| kind == "m.space") {
        let children = room.all_of("m.space.child")?;
        state.extend(children.into_iter().filter(names_servers).take(MOST));
    }
    let bans = room.all_of("m.room.member")?.into_iter();
    let is_ban = |item: &StateItem| item.membership() == Some(Membership::Ban);
    state.extend(bans.filter(is_ban).take(MOST));
    let last = room.between(0, row.pos, true, 1)?.pop();
    let last_event = last.map(|event| event.pdu.event_id.clone());
    let tombstone = room.now_event("m.room.tombstone", "")?;
    let replaced_by = tombstone.and_then(|event| event.pdu.content_str("replacement_room"));
    Ok(TransferableReply {
        create: create.pdu.content.clone(),
        state,
        last_event,
        published: listing::is_published(room, IsPublished {})?,
        replaced_by: replaced_by.and_then(|room| room.try_into().ok()),
    })
}

impl Room<'_> {
    fn may_replace(&mut self, user: &UserId) -> Result<()> {
        let power = self.power_now()?;
        let needed = power.send("m.room.tombstone", true);
        if self.is_joined(user)? && power.suffices(user, needed) {
            return Ok(());
        }
        let reason = "you may not replace this room".to_owned();
        Err(Stop::Refused(Refusal::Forbidden(reason)))
    }

    fn all_of(&mut self, kind: &str) -> Result<Vec<StateItem>> {
        let query = "SELECT sn FROM now WHERE type = ? ORDER BY key";
        let sns = self.sql.rows(query, values![kind], |row| row.int(0))?;
        sns.into_iter().map(|sn| Ok(StateItem::of(&self.event(sn)?.pdu))).collect()
    }
}

/// Whether a room is still in the space: one that was taken out has no servers.
fn names_servers(child: &StateItem) -> bool {
    let content = serde_json::from_str::<serde_json::Value>(child.content.get());
    content.is_ok_and(|content| content["via"].as_array().is_some_and(|via| !via.is_empty()))
}
