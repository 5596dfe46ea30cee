//! What can a room be asked about receipts, typing, news for its followers, and invites that go out?

use ruma::{OwnedEventId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::admission::Checked;

use super::{Listing, Notifiable, Position, Refusal, Send, Sent, Transaction, UserNews};
use crate::objects::{message::message, room::RoomClass};

/// A read receipt of a joined user (local or remote).
#[derive(Debug, Serialize, Deserialize)]
pub struct Receipt {
    pub user: OwnedUserId,
    pub kind: String,
    #[serde(default)]
    pub thread: Option<String>,
    pub event_id: OwnedEventId,
    /// When the event was read, by the clock of the reader's server (ms).
    pub ts: u64,
}
message!(RoomClass, Receipt => Vec<UserNews>, Refusal);

/// A joined user types, or stops.
#[derive(Debug, Serialize, Deserialize)]
pub struct Typing {
    pub user: OwnedUserId,
    /// Until when (ms); `None`: stopped.
    pub until: Option<u64>,
}
message!(RoomClass, Typing => TypingNow, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TypingNow {
    pub typing: Vec<OwnedUserId>,
    /// Local joined users, who are to be told.
    pub tell: Vec<OwnedUserId>,
    /// Remote servers with a joined user; empty when the user is not ours.
    pub servers: Vec<OwnedServerName>,
}

/// Forgets users whose typing timed out or who left.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExpireTyping {}
message!(RoomClass, ExpireTyping => TypingExpired, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct TypingExpired {
    /// Who types now, if that changed.
    pub changed: Option<TypingNow>,
    /// When to look again (ms).
    pub next: Option<u64>,
}

/// What local users have yet to be told.
#[derive(Debug, Serialize, Deserialize)]
pub struct LocalNews {}
message!(RoomClass, LocalNews => LocalNewsReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct LocalNewsReply {
    pub to: Position,
    pub news: Vec<UserNews>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifiable: Option<Notifiable>,
}

/// Notes that all local users were told everything up to here. The room remembers it while it is in memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct LocalsTold {
    pub to: Position,
}
message!(RoomClass, LocalsTold => (), Refusal);

/// What followers have yet to be told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undelivered {}
message!(RoomClass, Undelivered => UndeliveredReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct UndeliveredReply {
    pub to: Position,
    pub users: Vec<UserNews>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifiable: Option<Notifiable>,
    pub servers: Vec<ServerDue>,
    /// Servers that came into the room (`true`) or left it since D1's copy was last told.
    #[serde(default)]
    pub moved: Vec<(OwnedServerName, bool)>,
    /// Whose membership changed since D1's copy of who is in the room was last told, if anybody's did.
    #[serde(default)]
    pub members: Option<MembersMoved>,
    /// What D1's copy of public rooms has to hold of the room, if it is not known to hold that.
    #[serde(default)]
    pub listing: Option<Listing>,
    /// Public receipts of local users, for the servers, each with its position.
    pub receipts: Vec<(Position, Receipt)>,
    /// Followers that could not be told before, and the position up to which they were. A follower that falls behind
    /// during this telling is not among them.
    #[serde(default)]
    pub lagging: Vec<(String, Position)>,
}

/// Users whose membership changed since a position, by what they are now, as far as the copy has to know: it holds who
/// is in a room in which one of our users is joined.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct MembersMoved {
    /// Exclusive.
    pub from: Position,
    pub joined: Vec<OwnedUserId>,
    pub invited: Vec<OwnedUserId>,
    /// Who is not in the room any more.
    pub out: Vec<OwnedUserId>,
    /// Local users who are joined, or were since then: they are to be told once the copy is.
    pub tell: Vec<OwnedUserId>,
}

/// A server that is to be told something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerDue {
    pub server: OwnedServerName,
    /// The server was told everything up to here.
    pub since: Position,
    /// Whether there are events for it, not only receipts.
    pub events: bool,
    /// The server gets receipts up to here: to the end of its last stay, if that ended.
    pub receipts: Position,
}

/// Followers have been told everything up to here; those that could not be told are named.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Told {
    pub to: Position,
    /// The followers that were behind when this telling began.
    pub lagging: Vec<(String, Position)>,
    pub lagging_users: Vec<OwnedUserId>,
    pub lagging_servers: Vec<OwnedServerName>,
    /// D1's copy of which servers are in the room is behind.
    #[serde(default)]
    pub copy_lagging: bool,
    /// D1's copy of who is in the room is behind, or a user who has to know of it.
    #[serde(default)]
    pub members_lagging: bool,
    /// The version of the listing that D1's copy of public rooms holds now.
    #[serde(default)]
    pub listed: Option<i64>,
    /// That copy is behind.
    #[serde(default)]
    pub listing_lagging: bool,
    /// Application services that are behind, by their IDs; [`ALL_SERVICES`] is each that is not named.
    #[serde(default)]
    pub lagging_services: Vec<String>,
}
message!(RoomClass, Told => Option<u64>, Refusal);

/// The events a server has yet to get, in federation format, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outbound {
    pub server: OwnedServerName,
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
    /// The most events of the answer.
    pub limit: u32,
}
message!(RoomClass, Outbound => OutboundReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct OutboundReply {
    pub events: Vec<Box<RawValue>>,
    /// Everything up to here is in `events`, or was not for this server.
    pub upto: Position,
}

/// The stripped state of the room for an invite, with the invite event itself (`/invite`). No Worker of this deployment
/// asks; one of an earlier deployment may still.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteFor {
    pub user: OwnedUserId,
}
message!(RoomClass, InviteFor => InviteForReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct InviteForReply {
    pub version: String,
    pub event_id: OwnedEventId,
    pub event: Box<RawValue>,
    pub stripped: Vec<Box<RawValue>>,
    /// Whether the room has this invite already.
    #[serde(default)]
    pub stands: bool,
}

/// Builds and judges an invite for another server's user, without storing it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DraftInvite {
    pub send: Send,
}
message!(RoomClass, DraftInvite => InviteForReply, Refusal);

/// Stores a drafted invite, with the signature of the invited user's server.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendInvite {
    pub event: Checked,
    /// The transaction by which it was drafted, if by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Transaction>,
}
message!(RoomClass, SendInvite => Sent, Refusal);
