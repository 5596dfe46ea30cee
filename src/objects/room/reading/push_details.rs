//! What does a push say of an event beside its ID?
//! ([push gateway API](https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify))

use crate::objects::room::{
    Result, Room,
    messages::{Asker, EventById, PushDetails, PushDetailsReply},
    reading::view,
};

/// The event as its user sees it, and the names that go with it.
pub fn push_details(room: &mut Room<'_>, message: PushDetails) -> Result<PushDetailsReply> {
    let PushDetails { user, event_id } = message;
    let found = room.find(&event_id)?;
    let event = view::event_by_id(room, EventById::of(event_id, Asker::User(user)))?;
    let sender = found.map(|event| event.pdu.sender.to_string()).unwrap_or_default();
    let mut text = |kind: &str, key: &str, field: &str| -> Result<Option<String>> {
        let event = room.now_event(kind, key)?;
        Ok(event.and_then(|event| event.pdu.content_str(field)).filter(|text| !text.is_empty()))
    };
    Ok(PushDetailsReply {
        sender_display_name: text("m.room.member", &sender, "displayname")?,
        room_name: text("m.room.name", "", "name")?,
        room_alias: text("m.room.canonical_alias", "", "alias")?,
        event,
    })
}
