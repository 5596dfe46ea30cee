//! What does a client see of a room in which none of us ever was, once its invite or knock has ended?

use ruma::OwnedUserId;
use serde_json::value::RawValue;
use tombolo_protocol::event::fields;

use super::{Request, Result, Stay, Viewer};
use crate::objects::{room::messages::EventFilter, user_sync::messages::RoomNews};

/// The event that ended it, where another server's user did: the client learns who, and why.
pub fn ended(request: &Request, viewer: &Viewer, news: &RoomNews) -> Result<Stay> {
    let filter = request.filter.timeline(&news.room_id, &viewer.ignored);
    let events: Vec<Box<RawValue>> = match &news.stripped {
        // It is kept as clients are shown it, which no other server is.
        Some(events) if !filter.raw && filter.limit != Some(0) => {
            serde_json::from_str(events.get())?
        }
        _ => Vec::new(),
    };
    let timeline = events.into_iter().filter(|event| passes(&filter, event)).collect();
    Ok(Stay { timeline, ..Stay::default() })
}

fn passes(filter: &EventFilter, event: &RawValue) -> bool {
    let [kind, sender, content] = fields(event, ["type", "sender", "content"]);
    let kind = kind.and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
    let sender = sender.and_then(|text| serde_json::from_str::<OwnedUserId>(text.get()).ok());
    let (Some(kind), Some(sender), Some(content)) = (kind, sender, content) else { return false };
    filter.passes_content(&kind, content)
        && filter.senders.as_ref().is_none_or(|senders| senders.contains(&sender))
        && !filter.not_senders.contains(&sender)
}
