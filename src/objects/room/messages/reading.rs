//! What can a room be asked to show, to users and to other servers?

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::{Position, Refusal};
use crate::objects::{
    message::message,
    room::{RoomClass, Sn},
};

/// Hides the messages of a local user, who gave up their account, from all who come into the room from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Erase {
    pub user: OwnedUserId,
}
message!(RoomClass, Erase => (), Refusal);

/// Who asks: a local user, or another server.
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
    /// Whom the user ignores.
    #[serde(default)]
    pub ignored: BTreeSet<OwnedUserId>,
}
message!(RoomClass, EventById => Box<RawValue>, Refusal);

impl EventById {
    /// An event as an asker sees it who ignores nobody.
    pub const fn of(event_id: OwnedEventId, asker: Asker) -> Self {
        Self { event_id, asker, device: None, ignored: BTreeSet::new() }
    }
}

/// The whole state before an event, with its auth chain (`/state`, `/state_ids`).
#[derive(Debug, Serialize, Deserialize)]
pub struct StateBefore {
    pub event_id: OwnedEventId,
    pub origin: OwnedServerName,
    /// Whether a Worker of an earlier deployment asks, which wants the events beside their IDs.
    pub bodies: bool,
    /// Whether the events are answered as numbers alone, whose texts [`Bodies`] gives: so the state may be of any size.
    #[serde(default)]
    pub by_number: bool,
}
message!(RoomClass, StateBefore => StateBeforeReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StateBeforeReply {
    pub state: Vec<OwnedEventId>,
    pub auth_chain: Vec<OwnedEventId>,
    pub state_bodies: Vec<Box<RawValue>>,
    pub auth_chain_bodies: Vec<Box<RawValue>>,
    /// With `by_number`: the state and auth chain as event numbers, in place of the four lists.
    #[serde(default)]
    pub numbers: StateNumbers,
}

/// A state and its auth chain, by the events' numbers in the room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StateNumbers {
    pub state: Vec<Sn>,
    pub auth_chain: Vec<Sn>,
}

/// The events of these numbers in federation format: the first ones, as many as one answer holds, one at least.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bodies {
    pub numbers: Vec<Sn>,
}
message!(RoomClass, Bodies => Vec<Box<RawValue>>, Refusal);

/// The auth chain of an event (`/event_auth`), in federation format.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuthChain {
    pub event_id: OwnedEventId,
    pub origin: OwnedServerName,
}
message!(RoomClass, AuthChain => Vec<Box<RawValue>>, Refusal);

/// The events between `earliest` and `latest`, oldest first (`/get_missing_events`).
#[derive(Debug, Serialize, Deserialize)]
pub struct MissingEvents {
    pub origin: OwnedServerName,
    pub earliest: Vec<OwnedEventId>,
    pub latest: Vec<OwnedEventId>,
    pub limit: u32,
    pub min_depth: u64,
}
message!(RoomClass, MissingEvents => Vec<Box<RawValue>>, Refusal);

/// Events before and including these, newest first (`/backfill`).
#[derive(Debug, Serialize, Deserialize)]
pub struct Backfill {
    pub origin: OwnedServerName,
    pub from: Vec<OwnedEventId>,
    pub limit: u32,
}
message!(RoomClass, Backfill => Vec<Box<RawValue>>, Refusal);

/// Current state as a user may see it (the state at their leave, once they left), in client format.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    pub user: OwnedUserId,
    /// Only this type, only this key.
    #[serde(default)]
    pub event_type: Option<String>,
    #[serde(default)]
    pub state_key: Option<String>,
}
message!(RoomClass, State => Vec<Box<RawValue>>, Refusal);

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
message!(RoomClass, Members => Vec<Box<RawValue>>, Refusal);

/// What must a local user know of who came and went in a range, for end-to-end encryption?
#[derive(Debug, Serialize, Deserialize)]
pub struct Moves {
    pub user: OwnedUserId,
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
}
message!(RoomClass, Moves => MovesReply, Refusal);

/// Both are empty for a user who was not joined at any time of the range. Who is invited counts as being in the room.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovesReply {
    /// Who is in the room with the user at the end, and may not have been at some time of the range.
    pub came: Vec<OwnedUserId>,
    /// Who was in the room with the user, and is not at the end.
    pub gone: Vec<OwnedUserId>,
    /// Whether the user is in the room anew: then everybody there is in `came`.
    #[serde(default)]
    pub anew: bool,
}

/// Who of these users shares the room with a local user now? Nobody if that one is not joined.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sharing {
    pub user: OwnedUserId,
    pub with: Vec<OwnedUserId>,
}
message!(RoomClass, Sharing => Vec<OwnedUserId>, Refusal);

/// Which of our users are joined now, and which servers have a joined user?
#[derive(Debug, Serialize, Deserialize)]
pub struct Participants {}
message!(RoomClass, Participants => ParticipantsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ParticipantsReply {
    pub servers: Vec<OwnedServerName>,
    /// Our users who are joined.
    #[serde(default)]
    pub locals: Vec<OwnedUserId>,
}

/// A user's membership now, `None` where there never was any.
#[derive(Debug, Serialize, Deserialize)]
pub struct MembershipOf {
    pub user: OwnedUserId,
    /// Whether to refuse if the room is not live here: what we know of a room that our users left may be out of date.
    #[serde(default)]
    pub live: bool,
}
message!(RoomClass, MembershipOf = "Membership" => Option<Membership>, Refusal);

/// Is the user joined, with the power to send events of this type?
#[derive(Debug, Serialize, Deserialize)]
pub struct MaySend {
    pub user: OwnedUserId,
    pub event_type: String,
    pub is_state: bool,
}
message!(RoomClass, MaySend => bool, Refusal);

/// Is the user joined, or the room readable for everybody now?
#[derive(Debug, Serialize, Deserialize)]
pub struct MayRead {
    pub user: OwnedUserId,
}
message!(RoomClass, MayRead => bool, Refusal);

/// May this server send to the room (`m.room.server_acl`)?
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerAllowed {
    pub server: OwnedServerName,
}
message!(RoomClass, ServerAllowed => bool, Refusal);

/// A filter of room events ([RoomEventFilter]), and what else decides how they are shown.
///
/// [RoomEventFilter]: https://spec.matrix.org/v1.19/client-server-api/#filtering
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// The most events of a timeline or page. State is not limited: an event cut from it would never be shown.
    pub limit: Option<u32>,
    pub rooms: Option<Vec<OwnedRoomId>>,
    pub not_rooms: Vec<OwnedRoomId>,
    pub types: Option<Vec<String>>,
    pub not_types: Vec<String>,
    pub senders: Option<Vec<OwnedUserId>>,
    pub not_senders: Vec<OwnedUserId>,
    /// Whether only those members are shown that the shown events need. A client may allow us to leave out members it
    /// already knows (`include_redundant_members: false`); we do not remember which, so it gets them again.
    pub lazy_load_members: bool,
    pub contains_url: Option<bool>,
    /// Only events to which something of one of these users, or of one of these types, relates.
    pub related_by_senders: Option<Vec<OwnedUserId>>,
    pub related_by_rel_types: Option<Vec<String>>,
    /// Only events that relate to another in one of these ways, or in none of these (MSC3874).
    pub rel_types: Option<Vec<String>>,
    pub not_rel_types: Vec<String>,
    /// Users whom the viewer ignores: their messages are not shown. No part of a client's filter.
    pub ignored: BTreeSet<OwnedUserId>,
    /// Whether events are shown in federation format (`event_format`, which a client sets for all rooms together).
    pub raw: bool,
}

impl EventFilter {
    /// The filter for one room. If it is a filter for other rooms, it lets nothing through.
    #[must_use]
    pub fn of_room(&self, room: &RoomId) -> Self {
        let names = |rooms: &Vec<OwnedRoomId>| rooms.iter().any(|named| named == room);
        let wanted = self.rooms.as_ref().is_none_or(names) && !names(&self.not_rooms);
        let types = if wanted { self.types.clone() } else { Some(Vec::new()) };
        Self { types, rooms: None, not_rooms: Vec::new(), ..self.clone() }
    }
}

/// What one `/sync` shows of the room.
#[derive(Debug, Serialize, Deserialize)]
pub struct Window {
    pub user: OwnedUserId,
    pub device: String,
    /// Exclusive; 0 for an initial sync.
    pub from: Position,
    /// Inclusive; no event past it is shown.
    pub to: Position,
    pub full_state: bool,
    /// Whether the answer is empty if the user was joined at no time of the range.
    #[serde(default)]
    pub stay_only: bool,
    /// Whether the state of the answer is the one at the window's end, whatever the timeline says.
    #[serde(default)]
    pub state_after: bool,
    pub timeline: EventFilter,
    pub state: EventFilter,
}
message!(RoomClass, Window => WindowReply, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct WindowReply {
    /// Oldest first, client format with `unsigned`.
    pub timeline: Vec<Box<RawValue>>,
    pub limited: bool,
    /// Whether the room is shown from the beginning: the user was not in it at `from`.
    #[serde(default)]
    pub anew: bool,
    /// A room position for `/messages?from=`.
    pub prev_batch: Position,
    /// State that, applied before the timeline, gives the client the state at the window's end; or, with
    /// `state_after`, what changed of the state at the window's end.
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
    /// Whether the page goes on below a gap instead of ending there. No Worker of this deployment asks so; one of an
    /// earlier deployment may still.
    #[serde(default, rename = "over_holes")]
    pub over_gaps: bool,
    /// Missing events that no server gives: the page goes on where nothing else is missing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_given: BTreeSet<OwnedEventId>,
    pub filter: EventFilter,
}
message!(RoomClass, Page => PageReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct PageReply {
    pub events: Vec<Box<RawValue>>,
    pub start: Position,
    /// `None` when there is no more.
    pub end: Option<Position>,
    /// Member events for lazy loading.
    pub state: Vec<Box<RawValue>>,
    /// The gap that the page reached: missing events must be fetched from these servers before the page can go on.
    #[serde(rename = "hole")]
    pub gap: Option<HistoryGap>,
}

/// The events around an event, `/context`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Context {
    pub event_id: OwnedEventId,
    pub user: OwnedUserId,
    pub device: String,
    /// Missing events that no server gives: the events before it go on where nothing else is missing.
    pub not_given: BTreeSet<OwnedEventId>,
    /// Its limit is for the events before and after together.
    pub filter: EventFilter,
}
message!(RoomClass, Context => ContextReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ContextReply {
    pub event: Box<RawValue>,
    /// Newest first.
    pub before: Vec<Box<RawValue>>,
    /// Oldest first.
    pub after: Vec<Box<RawValue>>,
    /// The state at the last event.
    pub state: Vec<Box<RawValue>>,
    /// Where pages go on, backwards from the first event and forwards from the last.
    pub start: Position,
    pub end: Position,
    /// The gap at which the events before it end.
    pub gap: Option<HistoryGap>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryGap {
    pub below: Vec<OwnedEventId>,
    pub servers: Vec<OwnedServerName>,
}
