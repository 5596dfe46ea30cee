//! What can a room be asked?
//!
//! Every message is data between deployments: fields are added with a default, never renamed. Raw events cross as
//! [`RawValue`], once, with what was already checked about them.

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::admission::Checked;

use crate::objects::message::message;

/// A place in the room's one timeline. Live events step by [`super::STEP`].
pub type Position = i64;

/// Why a room does not do what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No such room here, or none the asker may know of.
    #[error("unknown room")]
    Absent,
    /// The room is known, the event (or state, or user) is not, or the asker may not see it.
    #[error("not found")]
    NotFound,
    /// The rules of the room, or the asker's rights, forbid it.
    #[error("{0}")]
    Forbidden(String),
    /// The event is larger than an event may be.
    #[error("{0}")]
    TooLarge(String),
    /// The request contradicts itself or the format of events.
    #[error("{0}")]
    Invalid(String),
    /// A join of this room is under way; its lease ends at this time (ms).
    #[error("a join of this room is under way")]
    Joining(u64),
    /// The room exists, with local users in it, and nothing needs to be fetched.
    #[error("this server is already in the room")]
    AlreadyLive,
    /// The restricted join needs a server that can authorise it.
    #[error("{0}")]
    UnableToAuthorise(String),
}

/// What a local user is to be told of the room: everything up to `to`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserNews {
    pub user: OwnedUserId,
    pub to: Position,
    /// The user's membership at `to`.
    pub membership: String,
    /// For `invite` and `knock`: the stripped state, the membership event included.
    #[serde(default)]
    pub stripped: Option<Box<RawValue>>,
}

/// Makes the room and all its initial events, or nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Create {
    pub version: String,
    /// The signed create event: its hash names a version 12 room, so it exists before the object does.
    pub create: Checked,
    pub creator: OwnedUserId,
    /// The events after the create event, in order, all sent by the creator.
    pub events: Vec<Draft>,
}
message!("room", Create => Created, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    pub news: Vec<UserNews>,
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

/// Sends one event of a local user: a message, state, a membership change, a redaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    pub sender: OwnedUserId,
    pub draft: Draft,
    /// The device and transaction ID that make a repeated send one event.
    #[serde(default)]
    pub transaction: Option<Transaction>,
    /// Rooms of a restricted join rule in which the joining user is known to be joined.
    #[serde(default)]
    pub member_of: Vec<OwnedRoomId>,
}
message!("room", Send => Sent, Refusal);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    pub device: String,
    pub txn_id: String,
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
}

/// Judges events that came from another server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Receive {
    pub origin: OwnedServerName,
    pub events: Vec<Checked>,
    pub purpose: Purpose,
}
message!("room", Receive => Received, Refusal);

/// What incoming events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// New events of a transaction: what builds on unknown events is parked.
    Live,
    /// Events that fill the gap before parked ones; given oldest first.
    Gap,
    /// Auth events fetched by ID: kept outside the timeline.
    Outlier,
}

/// Takes in history that another server gave below a hole.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    pub events: Vec<Checked>,
    /// The missing events that the server was asked for.
    pub asked: Vec<OwnedEventId>,
    /// The states before events whose parents are not held, as the server told them.
    #[serde(default)]
    pub states: Vec<StateGiven>,
}
message!("room", History => Received, Refusal);

/// The state before an event; every one of it already received as an outlier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateGiven {
    pub event_id: OwnedEventId,
    pub state: Vec<OwnedEventId>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Received {
    pub outcomes: Vec<(OwnedEventId, Outcome)>,
    /// Events that are parked, and what they wait for.
    pub lacking: Vec<Lack>,
    /// The room's forward extremities: what `get_missing_events` calls earliest events.
    pub tips: Vec<OwnedEventId>,
    /// Below this depth lies history, which is no part of a gap.
    #[serde(default)]
    pub min_depth: u64,
}

/// What became of one incoming event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Accepted,
    SoftFailed(String),
    Rejected(String),
    Dropped(String),
    Parked,
    /// Already held; nothing happened.
    Known,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lack {
    pub event_id: OwnedEventId,
    pub prev_events: Vec<OwnedEventId>,
    pub auth_events: Vec<OwnedEventId>,
}

/// Gives the state before a parked event, as another server told it, and lets the event in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connect {
    pub origin: OwnedServerName,
    pub event_id: OwnedEventId,
    /// State before the event; every one of them already received as an outlier.
    pub state: Vec<OwnedEventId>,
}
message!("room", Connect => Received, Refusal);

/// What do parked events lack, for which another attempt is due? Counts the attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reconsider {}
message!("room", Reconsider => Reconsidered, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Reconsidered {
    /// What is lacking, by the server that sent the events.
    pub due: Vec<(OwnedServerName, Received)>,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// Which of these events does the room not hold?
#[derive(Debug, Serialize, Deserialize)]
pub struct Unknown {
    pub event_ids: Vec<OwnedEventId>,
}
message!("room", Unknown => Vec<OwnedEventId>, Refusal);

/// What is this room, in a few words?
#[derive(Debug, Serialize, Deserialize)]
pub struct Describe {}
message!("room", Describe => Description, Refusal);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    pub version: String,
    pub live: bool,
    pub join_rule: Option<String>,
    /// Rooms whose members may join by a restricted join rule.
    pub allow_rooms: Vec<OwnedRoomId>,
}

/// A template of a membership event for a user of another server (`make_join`, `make_leave`, `make_knock`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Template {
    pub origin: OwnedServerName,
    pub user: OwnedUserId,
    pub membership: String,
    #[serde(default)]
    pub member_of: Vec<OwnedRoomId>,
}
message!("room", Template => TemplateReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TemplateReply {
    pub version: String,
    pub event: Box<RawValue>,
}

/// Takes a membership event another server made from our template (`send_join`, `send_leave`, `send_knock`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Accept {
    pub origin: OwnedServerName,
    pub membership: String,
    pub event: Checked,
}
message!("room", Accept => Accepted, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The event, with our signature added where we authorised the join.
    pub event: Box<RawValue>,
    /// The state before the event (joins), or the stripped state (knocks).
    pub state: Vec<Box<RawValue>>,
    pub auth_chain: Vec<Box<RawValue>>,
    pub servers: Vec<OwnedServerName>,
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
message!("room", Invited => Vec<UserNews>, Refusal);

/// A local user's knock on a room we are not in, accepted by a resident server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Knocked {
    pub version: String,
    pub event: Checked,
    pub via: OwnedServerName,
    pub stripped: Vec<Box<RawValue>>,
}
message!("room", Knocked => Vec<UserNews>, Refusal);

/// Where did the invite (or knock) of this local user come from? Empty when the room is live.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutOfBand {
    pub user: OwnedUserId,
}
message!("room", OutOfBand => OutOfBandReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct OutOfBandReply {
    pub version: String,
    pub membership: String,
    /// Servers that may be asked to carry a leave or a join.
    pub via: Vec<OwnedServerName>,
}

/// Ends an out-of-band invite or knock for a local user, with the leave event if a resident took it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Withdraw {
    pub user: OwnedUserId,
}
message!("room", Withdraw => Vec<UserNews>, Refusal);

/// Notes that a local user is joining through another server, before that server is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginJoin {
    pub version: String,
    pub user: OwnedUserId,
    pub event: Checked,
    pub via: OwnedServerName,
    /// When the attempt counts as given up (ms).
    pub until: u64,
}
message!("room", BeginJoin => (), Refusal);

/// Ends an attempt that failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct AbandonJoin {
    pub event_id: OwnedEventId,
}
message!("room", AbandonJoin => (), Refusal);

/// Which attempt to join outlived its lease, so that nobody knows how it ended?
#[derive(Debug, Serialize, Deserialize)]
pub struct DueJoin {}
message!("room", DueJoin => DueJoinReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct DueJoinReply {
    /// The attempt, as it was begun.
    pub attempt: Option<BeginJoin>,
    /// When to look again (ms), while one is under way.
    pub next: Option<u64>,
}

/// Stores the room as a resident server gave it, and goes live.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishJoin {
    pub event: Checked,
    pub state: Vec<Checked>,
    pub auth_chain: Vec<Checked>,
}
message!("room", FinishJoin => Joined, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct Joined {
    pub event_id: OwnedEventId,
    pub news: Vec<UserNews>,
    /// Events that arrived while the join was under way; the flow sends them in again.
    pub parked: Vec<(OwnedServerName, Checked)>,
}

/// Which local user may ask, or which server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Asker {
    User(OwnedUserId),
    Server(OwnedServerName),
}

/// One event. For a user: in client format, if history visibility lets the user see it. For a server: in federation
/// format, redacted where its users could not see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventById {
    pub event_id: OwnedEventId,
    pub asker: Asker,
    #[serde(default)]
    pub device: Option<String>,
}
message!("room", EventById => Box<RawValue>, Refusal);

/// The whole state before an event, with its auth chain (`/state`, `/state_ids`).
#[derive(Debug, Serialize, Deserialize)]
pub struct StateBefore {
    pub event_id: OwnedEventId,
    pub origin: OwnedServerName,
    pub bodies: bool,
}
message!("room", StateBefore => StateBeforeReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct StateBeforeReply {
    pub state: Vec<OwnedEventId>,
    pub auth_chain: Vec<OwnedEventId>,
    pub state_bodies: Vec<Box<RawValue>>,
    pub auth_chain_bodies: Vec<Box<RawValue>>,
}

/// The auth chain of an event (`/event_auth`), in federation format.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuthChain {
    pub event_id: OwnedEventId,
    pub origin: OwnedServerName,
}
message!("room", AuthChain => Vec<Box<RawValue>>, Refusal);

/// The events between `earliest` and `latest`, oldest first (`/get_missing_events`).
#[derive(Debug, Serialize, Deserialize)]
pub struct MissingEvents {
    pub origin: OwnedServerName,
    pub earliest: Vec<OwnedEventId>,
    pub latest: Vec<OwnedEventId>,
    pub limit: u32,
    pub min_depth: u64,
}
message!("room", MissingEvents => Vec<Box<RawValue>>, Refusal);

/// Events before and including these, newest first (`/backfill`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Backfill {
    pub origin: OwnedServerName,
    pub from: Vec<OwnedEventId>,
    pub limit: u32,
}
message!("room", Backfill => Vec<Box<RawValue>>, Refusal);

/// Current state as a user may see it (the state at his leave, once he left), in client format.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    pub user: OwnedUserId,
    /// Only this type, only this key.
    #[serde(default)]
    pub event_type: Option<String>,
    #[serde(default)]
    pub state_key: Option<String>,
}
message!("room", State => Vec<Box<RawValue>>, Refusal);

/// The members as a user may see them, `/members`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Members {
    pub user: OwnedUserId,
    #[serde(default)]
    pub at: Option<Position>,
    #[serde(default)]
    pub membership: Option<String>,
    #[serde(default)]
    pub not_membership: Option<String>,
}
message!("room", Members => Vec<Box<RawValue>>, Refusal);

/// Which local users and which servers are joined now, and is this user one of them?
#[derive(Debug, Serialize, Deserialize)]
pub struct Participants {
    /// Also list every joined user.
    pub users: bool,
}
message!("room", Participants => ParticipantsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ParticipantsReply {
    pub users: Vec<OwnedUserId>,
    pub servers: Vec<OwnedServerName>,
}

/// A user's membership now, `None` where there never was any.
#[derive(Debug, Serialize, Deserialize)]
pub struct Membership {
    pub user: OwnedUserId,
}
message!("room", Membership => Option<String>, Refusal);

/// May this server send to the room (`m.room.server_acl`)?
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerAllowed {
    pub server: OwnedServerName,
}
message!("room", ServerAllowed => bool, Refusal);

/// A filter of room events, reduced to what a room applies ([RoomEventFilter]).
///
/// [RoomEventFilter]: https://spec.matrix.org/v1.19/client-server-api/#filtering
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    pub limit: Option<u32>,
    pub types: Option<Vec<String>>,
    pub not_types: Vec<String>,
    pub senders: Option<Vec<OwnedUserId>>,
    pub not_senders: Vec<OwnedUserId>,
    pub lazy_load_members: bool,
    pub include_redundant_members: bool,
    pub contains_url: Option<bool>,
}

/// What one `/sync` shows of the room.
#[derive(Debug, Serialize, Deserialize)]
pub struct Window {
    pub user: OwnedUserId,
    pub device: String,
    /// Exclusive; 0 for an initial sync.
    pub from: Position,
    /// Inclusive; nothing past it is read.
    pub to: Position,
    pub full_state: bool,
    pub timeline: EventFilter,
    pub state: EventFilter,
}
message!("room", Window => WindowReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct WindowReply {
    /// Oldest first, client format with `unsigned`.
    pub timeline: Vec<Box<RawValue>>,
    pub limited: bool,
    /// A room position for `/messages?from=`.
    pub prev_batch: Position,
    /// State between `from` (or the beginning) and the start of the timeline.
    pub state: Vec<Box<RawValue>>,
    /// The content of the `m.receipt` event for the range, if there is any.
    pub receipts: Option<Box<RawValue>>,
    pub heroes: Vec<OwnedUserId>,
    pub joined_members: u32,
    pub invited_members: u32,
}

/// One page of history, `/messages`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    pub user: OwnedUserId,
    pub device: String,
    /// `None`: from the newest (backwards) or oldest (forwards) event the user may see.
    pub from: Option<Position>,
    pub to: Option<Position>,
    pub backwards: bool,
    /// Whether to go on below events whose parents are missing here.
    #[serde(default)]
    pub over_holes: bool,
    pub filter: EventFilter,
}
message!("room", Page => PageReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct PageReply {
    pub events: Vec<Box<RawValue>>,
    pub start: Position,
    /// `None` when there is no more.
    pub end: Option<Position>,
    /// Member events for lazy loading.
    pub state: Vec<Box<RawValue>>,
    /// The page reached a hole: events whose parents must be fetched from these servers before it can go on.
    pub hole: Option<Hole>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hole {
    pub below: Vec<OwnedEventId>,
    pub servers: Vec<OwnedServerName>,
}

/// A read receipt of a joined user (local or remote).
#[derive(Debug, Serialize, Deserialize)]
pub struct Receipt {
    pub user: OwnedUserId,
    pub kind: String,
    #[serde(default)]
    pub thread: Option<String>,
    pub event_id: OwnedEventId,
    pub ts: u64,
}
message!("room", Receipt => Vec<UserNews>, Refusal);

/// A joined user types, or stops.
#[derive(Debug, Serialize, Deserialize)]
pub struct Typing {
    pub user: OwnedUserId,
    /// Until when (ms); `None`: stopped.
    pub until: Option<u64>,
}
message!("room", Typing => TypingNow, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TypingNow {
    pub typing: Vec<OwnedUserId>,
    /// Local joined users, who are to be told.
    pub tell: Vec<OwnedUserId>,
    /// Remote servers with a joined user; empty when the user is not ours.
    pub servers: Vec<OwnedServerName>,
}

/// Forgets who stopped typing without saying so.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExpireTyping {}
message!("room", ExpireTyping => TypingExpired, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TypingExpired {
    /// Who types now, if that changed.
    pub changed: Option<TypingNow>,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// What followers have yet to be told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undelivered {}
message!("room", Undelivered => UndeliveredReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct UndeliveredReply {
    pub to: Position,
    pub users: Vec<UserNews>,
    /// Each server that is to be told something, and from where on it lacks our events (`to`: it lacks none).
    pub servers: Vec<(OwnedServerName, Position)>,
    /// Servers that came into the room (`true`) or left it since everybody was told.
    #[serde(default)]
    pub moved: Vec<(OwnedServerName, bool)>,
    /// Receipts of local users in the range, for the servers: (user, kind, thread, event, ts).
    pub receipts: Vec<Receipt>,
}

/// Followers have been told everything up to here; those that could not be told are named.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    pub to: Position,
    pub lagging_users: Vec<OwnedUserId>,
    pub lagging_servers: Vec<OwnedServerName>,
}
message!("room", Told => Option<u64>, Refusal);

/// The events a server has yet to get, in federation format, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outbound {
    pub server: OwnedServerName,
    pub from: Position,
    pub to: Position,
    pub limit: u32,
}
message!("room", Outbound => OutboundReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct OutboundReply {
    pub events: Vec<Box<RawValue>>,
    /// Everything up to here is in `events`, or was not for this server.
    pub upto: Position,
}

/// The stripped state of the room for an invite, with the invite event itself (`/invite`).
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteFor {
    pub user: OwnedUserId,
}
message!("room", InviteFor => InviteForReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct InviteForReply {
    pub version: String,
    pub event_id: OwnedEventId,
    pub event: Box<RawValue>,
    pub stripped: Vec<Box<RawValue>>,
}
