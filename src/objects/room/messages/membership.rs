//! What can a room be asked about who comes and goes: templates, invites, knocks, joins?

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::{admission::Checked, membership::Membership};

use super::{Refusal, StateNumbers, UserNews};
use crate::objects::{message::message, room::RoomClass};

/// Which version does the room have, is it live, and whose members may join it?
#[derive(Debug, Serialize, Deserialize)]
pub struct Describe {}
message!(RoomClass, Describe => Description, Refusal);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    pub version: String,
    pub live: bool,
    /// Rooms whose members may join by a restricted join rule.
    pub allow_rooms: Vec<OwnedRoomId>,
    /// Whether nobody comes in through this server, by an operator's word.
    #[serde(default)]
    pub closed: bool,
}

/// A template of a membership event for a user of another server (`make_join`, `make_leave`, `make_knock`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Template {
    pub origin: OwnedServerName,
    pub user: OwnedUserId,
    pub membership: Membership,
    #[serde(default)]
    pub member_of: Vec<OwnedRoomId>,
    /// Whether the join rule names rooms whose members this server does not know: the user may be in one of them.
    #[serde(default)]
    pub blind: bool,
    /// The room versions that the asker supports, one of which must be the room's; `None` where none is needed.
    #[serde(default)]
    pub versions: Option<Vec<String>>,
}
message!(RoomClass, Template => TemplateReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TemplateReply {
    pub version: String,
    pub event: Box<RawValue>,
}

/// Takes a membership event another server made from our template (`send_join`, `send_leave`, `send_knock`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Accept {
    pub origin: OwnedServerName,
    pub membership: Membership,
    pub event: Checked,
    /// The rooms of the join rule in which the user is joined.
    #[serde(default)]
    pub member_of: Vec<OwnedRoomId>,
    /// Whether the state is answered as event numbers, whose texts [`super::Bodies`] gives: so it may be of any size.
    #[serde(default)]
    pub by_number: bool,
}
message!(RoomClass, Accept => Accepted, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The event, with our signature added where we authorised the join.
    pub event: Box<RawValue>,
    /// The state before the event (joins), or the stripped state (knocks).
    pub state: Vec<Box<RawValue>>,
    pub auth_chain: Vec<Box<RawValue>>,
    pub servers: Vec<OwnedServerName>,
    /// For a join: the state and auth chain as event numbers. With `by_number`, the two lists of texts are empty.
    #[serde(default)]
    pub numbers: StateNumbers,
}

impl Accepted {
    pub fn of(event: Box<RawValue>, servers: Vec<OwnedServerName>) -> Self {
        let (state, auth_chain) = (Vec::new(), Vec::new());
        Self { event, state, auth_chain, servers, numbers: StateNumbers::default() }
    }
}

/// An invite to a local user, from another server (`/invite`), already countersigned.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invited {
    pub version: String,
    pub event: Checked,
    pub origin: OwnedServerName,
    /// Stripped state as the inviting server gave it, without the invite itself.
    pub stripped: Vec<Box<RawValue>>,
}
message!(RoomClass, Invited => Vec<UserNews>, Refusal);

/// A local user's knock on a room we are not in, accepted by a resident server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Knocked {
    pub version: String,
    pub event: Checked,
    pub via: OwnedServerName,
    pub stripped: Vec<Box<RawValue>>,
}
message!(RoomClass, Knocked => Vec<UserNews>, Refusal);

/// Which servers know of this local user's invite or knock to a room we are not in? `NotFound` where there is none.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutOfBand {
    pub user: OwnedUserId,
}
message!(RoomClass, OutOfBand => OutOfBandReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct OutOfBandReply {
    pub version: String,
    pub membership: Membership,
    /// Servers that may be asked to carry a leave or a join.
    pub via: Vec<OwnedServerName>,
    /// Whether the user left, and a server in the room is still to be told.
    #[serde(default)]
    pub leaving: bool,
}

/// Ends an out-of-band invite or knock for a local user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Withdraw {
    pub user: OwnedUserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
message!(RoomClass, Withdraw => Vec<UserNews>, Refusal);

/// Notes that a server in the room took the leave by which a local user ended an invite or knock.
#[derive(Debug, Serialize, Deserialize)]
pub struct Withdrawn {
    pub user: OwnedUserId,
}
message!(RoomClass, Withdrawn => (), Refusal);

/// Which declined invite is to be told again? Workers of this deployment ask `DueJoin` instead; a Worker of an earlier
/// deployment may still ask this.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueLeave {}
message!(RoomClass, DueLeave => DueLeaveReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct DueLeaveReply {
    /// The user who left, and the servers that may be asked to take the leave.
    pub leave: Option<(OwnedUserId, Vec<OwnedServerName>)>,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// Notes that a local user is joining through another server, before that server is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginJoin {
    pub version: String,
    pub user: OwnedUserId,
    pub event: Checked,
    pub via: OwnedServerName,
    /// When the attempt's lease ends (ms): then it counts as given up.
    pub until: u64,
}
message!(RoomClass, BeginJoin => (), Refusal);

/// Ends an attempt that failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct AbandonJoin {
    pub event_id: OwnedEventId,
    /// Whether the server may have taken the join, so that it is asked again later; meanwhile others may be asked.
    pub again: bool,
}
message!(RoomClass, AbandonJoin => (), Refusal);

/// Which attempt to join outlived its lease, so that nobody knows how it ended? And which declined invite is to be told
/// to a server again? Counts the attempt to tell it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueJoin {}
message!(RoomClass, DueJoin => DueJoinReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct DueJoinReply {
    /// The attempt as it was begun, but with the server whose turn it is to be asked.
    pub attempt: Option<BeginJoin>,
    /// Whether that server must first show that it heard of the join, since it is not the one chosen to take it.
    #[serde(default)]
    pub unproven: bool,
    /// Who declined an invite, or took a knock back, and the servers that may be told.
    #[serde(default)]
    pub leave: Option<(OwnedUserId, Vec<OwnedServerName>)>,
    /// Whether a deletion of the room is to go on.
    #[serde(default)]
    pub deletion: bool,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// Keeps some parts of a large answer of another server, from the part `first` on, until this time (ms).
#[derive(Debug, Serialize, Deserialize)]
pub struct Keep {
    /// A number that the flow draws.
    pub answer: i64,
    pub until: u64,
    pub first: u32,
    pub parts: Vec<String>,
}
message!(RoomClass, Keep => (), Refusal);

/// Where a text is kept: in bytes of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub part: u32,
    pub start: u32,
    pub length: u32,
}

/// Which texts are kept at these places?
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    pub answer: i64,
    pub places: Vec<Place>,
}
message!(RoomClass, Kept => Vec<String>, Refusal);

/// Deletes what is kept of this answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct ForgetKept {
    pub answer: i64,
}
message!(RoomClass, ForgetKept => (), Refusal);

/// Stores a part of the room as a resident server gave it, while the join with this ID is under way: the create event
/// first, each other event after those it cites. Answers how many events were noted as state.
#[derive(Debug, Serialize, Deserialize)]
pub struct GiveJoin {
    pub event_id: OwnedEventId,
    pub events: Vec<Checked>,
    /// Which of the events are the state; the others are auth events of these.
    pub state: BTreeSet<OwnedEventId>,
    /// Events of the state that could not be verified: their servers' keys are out of reach.
    #[serde(rename = "left_out")]
    pub unverified: Vec<OwnedEventId>,
}
message!(RoomClass, GiveJoin => u64, Refusal);

/// Makes the given state the room's current state, puts the join on it, and goes live.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishJoin {
    pub event: Checked,
    /// How many state events were noted, in all parts together: if another attempt deleted some, the room notices.
    pub state: u64,
}
message!(RoomClass, FinishJoin => Joined, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Joined {
    pub news: Vec<UserNews>,
    /// Events that arrived while the join was under way; the flow sends them in again.
    pub parked: Vec<(OwnedServerName, Checked)>,
}
