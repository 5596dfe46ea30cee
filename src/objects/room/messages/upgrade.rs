//! What can a room be asked that is to be replaced?

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::{
    event::{Pdu, field},
    membership::Membership,
};

use super::Refusal;
use crate::objects::{message::message, room::RoomClass};

/// What goes over to the room that replaces this one? Refused unless the user may replace it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transferable {
    pub user: OwnedUserId,
}
message!(RoomClass, Transferable => TransferableReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TransferableReply {
    /// The content of the create event.
    pub create: Box<RawValue>,
    pub state: Vec<StateItem>,
    pub last_event: Option<OwnedEventId>,
    /// Whether the room is published.
    pub published: bool,
    /// The room by which this one is replaced already.
    #[serde(default)]
    pub replaced_by: Option<OwnedRoomId>,
}

/// What a state event says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateItem {
    pub event_type: String,
    pub state_key: String,
    pub content: Box<RawValue>,
}

impl StateItem {
    pub fn of(pdu: &Pdu) -> Self {
        Self {
            event_type: pdu.kind().to_owned(),
            state_key: pdu.state_key.clone().unwrap_or_default(),
            content: pdu.content.clone(),
        }
    }

    /// Of a member event, the membership.
    pub fn membership(&self) -> Option<Membership> {
        serde_json::from_str(field(&self.content, "membership")?.get()).ok()
    }
}
