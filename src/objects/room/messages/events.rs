//! How is a room asked to take in events: ours, and those of other servers?

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::{admission::Checked, membership::Membership};

use super::{Listing, Position, Refusal, UserNews};
use crate::objects::{message::message, room::RoomClass};

/// Makes the room and all its initial events, or nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Create {
    pub version: String,
    /// The signed create event: its hash names a version 12 room, so it exists before the object does.
    pub create: Checked,
    pub creator: OwnedUserId,
    /// The events after the create event, in order, all sent by the creator.
    pub events: Vec<Draft>,
    /// Whether the server's directory has the room from the start.
    #[serde(default)]
    pub published: bool,
}
message!(RoomClass, Create => Created, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    pub news: Vec<UserNews>,
    /// What D1's copy of public rooms is to hold of the room, if it is published.
    #[serde(default)]
    pub listing: Option<Listing>,
}

/// An event as its sender wants it, before the room gives it its links.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Draft {
    pub event_type: String,
    #[serde(default)]
    pub state_key: Option<String>,
    pub content: Box<RawValue>,
    #[serde(default)]
    pub redacts: Option<OwnedEventId>,
}

impl Draft {
    /// A user's `m.room.member` event.
    pub fn membership(user: &UserId, content: Box<RawValue>) -> Self {
        Self {
            event_type: "m.room.member".to_owned(),
            state_key: Some(user.to_string()),
            content,
            redacts: None,
        }
    }
}

/// Sends one event of a local user: a message, state, a membership change, a redaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    pub sender: OwnedUserId,
    pub draft: Draft,
    /// The device and transaction ID that make a repeated send one event.
    #[serde(default)]
    pub transaction: Option<Transaction>,
    /// Those rooms of a restricted join rule in which the joining user is joined, as far as we know.
    #[serde(default)]
    pub member_of: Vec<OwnedRoomId>,
    /// For a membership change: the user must have one of these memberships now. An empty list allows any, or none.
    #[serde(default)]
    pub memberships: Vec<Membership>,
    /// When the event was sent (ms), where an application service says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<u64>,
}
message!(RoomClass, Send => Sent, Refusal);

impl Send {
    /// An event of this sender, without conditions and without a transaction ID.
    pub fn of(sender: OwnedUserId, draft: Draft) -> Self {
        Self {
            sender,
            draft,
            transaction: None,
            member_of: Vec::new(),
            memberships: Vec::new(),
            ts: None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    pub device: String,
    pub txn_id: String,
    /// The rest of the request's path: the same ID in another path is another transaction.
    #[serde(default)]
    pub scope: String,
}

impl Transaction {
    /// The scope of delayed events; the ID is theirs. No path begins so.
    pub const DELAYED: &str = "delayed_event";
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    pub event_id: OwnedEventId,
    pub position: Position,
    /// Local users who must have been told before the sender is answered.
    pub news: Vec<UserNews>,
    /// Local users who can be told meanwhile; none where the alarm tells them.
    #[serde(default)]
    pub others: Vec<UserNews>,
    /// Whether the same transaction had sent it before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Judges events that came from another server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Receive {
    pub origin: OwnedServerName,
    pub events: Vec<Checked>,
    pub purpose: Purpose,
    /// Parked events to be judged again: something of what they lack may have come.
    #[serde(default)]
    pub again: Vec<OwnedEventId>,
}
message!(RoomClass, Receive => Received, Refusal);

/// What incoming events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// New events of a transaction: what builds on unknown events is parked.
    Live,
    /// Events that fill the gap before parked ones; given oldest first.
    Gap,
    /// Auth chains and states: kept outside the timeline.
    Outlier,
}

/// Takes in history that another server gave below a gap.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    pub events: Vec<Checked>,
    /// The missing events that the server was asked for.
    pub asked: Vec<OwnedEventId>,
    /// The state before each event whose parents are not held, as the server gave it.
    #[serde(default)]
    pub states: Vec<ReceivedState>,
    /// Whether other servers can be asked for what this one left out.
    #[serde(default)]
    pub others: bool,
}
message!(RoomClass, History => Received, Refusal);

/// The state before an event. The state events were received as outliers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedState {
    pub event_id: OwnedEventId,
    pub state: Vec<OwnedEventId>,
    /// Events of the state that nobody could verify.
    #[serde(default)]
    pub missing: Vec<OwnedEventId>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Received {
    pub outcomes: Vec<(OwnedEventId, Outcome)>,
    /// Events that wait, each with what it lacks: those that were given, and parked ones of the same origin that lacked
    /// these.
    pub lacking: Vec<Lack>,
    /// The room's forward extremities: what `get_missing_events` calls earliest events.
    #[serde(rename = "tips")]
    pub extremities: Vec<OwnedEventId>,
    /// Below this depth lies history, which is no part of a gap.
    #[serde(default)]
    pub min_depth: u64,
    /// Whether the origin was never in the room, as far as we know.
    #[serde(default)]
    pub stranger: bool,
}

/// What became of one incoming event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is in the timeline, or stored as an outlier; or it ended an invite to a room we are not in.
    Accepted,
    /// It is in the graph and not in the timeline, for this reason.
    SoftFailed(String),
    /// The rules of the room refuse it, for this reason.
    Rejected(String),
    /// It was not kept, for this reason.
    Dropped(String),
    /// It is kept apart until what it builds on is held.
    Parked,
    /// Already held; nothing happened.
    Known,
}

impl Outcome {
    /// Whether the room holds the event.
    pub fn is_held(&self) -> bool {
        !matches!(self, Self::Dropped(_) | Self::Parked)
    }
}

/// What a waiting event lacks. If both lists are empty, it only needs to be judged again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lack {
    pub event_id: OwnedEventId,
    /// The parents that are not held.
    pub prev_events: Vec<OwnedEventId>,
    /// The auth events that are not held.
    pub auth_events: Vec<OwnedEventId>,
}

/// Gives the state before a parked event, as another server told it, and lets the event in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connect {
    pub origin: OwnedServerName,
    pub event_id: OwnedEventId,
    /// The state before the event. The state events were received as outliers.
    pub state: Vec<OwnedEventId>,
    /// Events of the state that nobody could verify.
    #[serde(default)]
    pub missing: Vec<OwnedEventId>,
}
message!(RoomClass, Connect => Received, Refusal);

/// For which parked events is another attempt due, and what do they lack? Which events that nobody could verify are to
/// be asked for again? Counts the attempts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reconsider {}
message!(RoomClass, Reconsider => Reconsidered, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Reconsidered {
    /// A server, and what its parked events lack.
    pub due: Vec<(OwnedServerName, Received)>,
    /// Events that nobody could verify, left out of a state, to be asked for again.
    #[serde(default)]
    pub wanted: Vec<OwnedEventId>,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// Which of these events does the room not hold?
#[derive(Debug, Serialize, Deserialize)]
pub struct Unknown {
    pub event_ids: Vec<OwnedEventId>,
    /// Whether to leave out of the answer what the current state lacks because nobody could verify it.
    #[serde(default, rename = "but_left_out")]
    pub but_unverified: bool,
}
message!(RoomClass, Unknown => Vec<OwnedEventId>, Refusal);
