//! What is an event, and what does it say?
//! ([PDUs](https://spec.matrix.org/v1.19/server-server-api/#pdus), [event format](https://spec.matrix.org/v1.19/rooms/v12/#event-format-1))

mod build;
mod format;
mod projection;
mod relation;
mod render;
mod shown;
mod stored;
#[cfg(test)]
mod tests;

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt,
    UserId, events::TimelineEventType, state_res,
};
use serde_json::value::RawValue;

#[cfg(test)]
pub(crate) use self::build::build_deep;
pub(crate) use self::build::id_of_hash;
pub use self::{
    build::{BuildFault, Draft, Links, build, content_hash, event_id},
    format::{
        FormatFault, MAX_AUTH_EVENTS, MAX_BYTES, MAX_BYTES_SENT, MAX_DEPTH, MAX_ID_BYTES,
        MAX_PREV_EVENTS, check as check_format, check_history,
    },
    projection::Projection,
    relation::{ANNOTATION, MAIN_THREAD, REFERENCE, REPLACEMENT, Relation, THREAD},
    render::{client_event, for_federation, judged_content, redacted, stripped},
    shown::{MAX_SHOWN_BYTES, SHOWN_TO_INVITED, as_stripped, shown},
    stored::{ReadFault, field, fields},
};
use crate::membership::Membership;

/// An event of a room, read once.
///
/// Its format was checked when it was received or built; reading it again is lenient.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The event's ID: its reference hash.
    pub event_id: OwnedEventId,
    /// The room it belongs to. Where a create event names its room by its own hash, that name.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: TimelineEventType,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Box<RawValue>,
    /// The sender's clock, in milliseconds; it may be negative.
    pub origin_server_ts: i64,
    /// The sender's claim about its depth.
    pub depth: u64,
    /// The events before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that allow it.
    pub auth_events: Vec<OwnedEventId>,
    /// The event it redacts, wherever its room version keeps that.
    pub redacts: Option<OwnedEventId>,
    /// The whole event as canonical JSON, signatures included, without `unsigned`.
    pub json: String,
    /// Whether the rules refused it. It may be kept, but is never state and never cited.
    pub rejected: bool,
    /// The type's text, which `event_type` cannot lend.
    kind: String,
    /// Whether the event itself has a `room_id`.
    names_room: bool,
}

impl Pdu {
    /// The event's type as text.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether it is a state event.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether it is the state event of this type and key.
    #[must_use]
    pub fn is(&self, kind: &str, state_key: &str) -> bool {
        self.kind == kind && self.state_key.as_deref() == Some(state_key)
    }

    /// Type and state key, if it is a state event.
    #[must_use]
    pub fn key(&self) -> Option<(&str, &str)> {
        Some((&self.kind, self.state_key.as_deref()?))
    }

    /// A field of the content, if it is there.
    #[must_use]
    pub fn content_field(&self, name: &str) -> Option<&RawValue> {
        field(&self.content, name)
    }

    /// A field of the content, if it is there and a string.
    #[must_use]
    pub fn content_str(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.content_field(name)?.get()).ok()
    }

    /// The same event with other content, for rules that read its fields and not its text.
    #[must_use]
    pub fn with_content(&self, content: Box<RawValue>) -> Self {
        Self { content, json: String::new(), ..self.clone() }
    }

    /// The membership of a member event.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        let named = self.content_str("membership").filter(|_| self.kind == "m.room.member");
        Membership::of(&named?)
    }
}

impl state_res::Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.names_room.then_some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        // Only ruma's resolution would order by this; ours reads the field, with its sign.
        let time = self.origin_server_ts.clamp(0, i64::from(ruma::Int::MAX));
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(time.unsigned_abs()))
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

/// The ID of the create event after whose hash a room is named.
#[must_use]
pub fn create_event_id(room_id: &RoomId) -> Option<OwnedEventId> {
    let hash = room_id.as_str().strip_prefix('!')?;
    EventId::parse(format!("${hash}")).ok()
}

impl AsRef<Self> for Pdu {
    fn as_ref(&self) -> &Self {
        self
    }
}
