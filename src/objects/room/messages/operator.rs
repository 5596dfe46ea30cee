//! What can a room be asked by operators?

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::{Known, Position, Refusal};
use crate::objects::{message::message, room::RoomClass};

/// Blocks the room in the name of an operator; without one, ends that.
#[derive(Debug, Serialize, Deserialize)]
pub struct Block {
    pub by: Option<OwnedUserId>,
}
message!(RoomClass, Block => (), Refusal);

/// Who blocked the room, if it is blocked?
#[derive(Debug, Serialize, Deserialize)]
pub struct BlockedBy {}
message!(RoomClass, BlockedBy => Option<OwnedUserId>, Refusal);

/// What is the room now, for an operator?
#[derive(Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Whether it is asked, too, which local users know the room.
    pub locals: bool,
}
message!(RoomClass, Overview => OverviewReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct OverviewReply {
    pub known: Known,
    pub topic: Option<String>,
    pub avatar: Option<String>,
    /// Of all servers; none where no local user is in the room, since then nobody tells us of the others.
    pub joined_members: u64,
    pub joined_local_members: u64,
    pub state_events: u64,
    pub tombstoned: bool,
    pub replacement_room: Option<String>,
    /// Local users and what they are in the room, where that is asked.
    pub locals: Vec<(OwnedUserId, Membership)>,
}

/// Who is joined, of all servers?
#[derive(Debug, Serialize, Deserialize)]
pub struct JoinedMembers {}
message!(RoomClass, JoinedMembers => Vec<OwnedUserId>, Refusal);

/// The current state, whoever may see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct WholeState {
    /// The operator who sees it.
    pub user: OwnedUserId,
    /// Of which type; `None`: of all types.
    pub event_type: Option<String>,
}
message!(RoomClass, WholeState => Vec<Box<RawValue>>, Refusal);

/// Which events are the forward extremities?
#[derive(Debug, Serialize, Deserialize)]
pub struct Extremities {}
message!(RoomClass, Extremities => Vec<Extremity>, Refusal);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extremity {
    pub event_id: OwnedEventId,
    pub depth: u64,
}

/// Which local user can give this user the power that they have themselves? `NotFound` where there is none.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granting {
    pub user: OwnedUserId,
}
message!(RoomClass, Granting => GrantingReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct GrantingReply {
    /// Who can.
    pub by: OwnedUserId,
    /// The power levels that they have to send.
    pub levels: Box<RawValue>,
    /// Whether the user has to be invited to come in.
    pub invite: bool,
}

/// Begins to delete the room, which is closed from then on. Refused with `BadState` while another deletion is under way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delete {
    pub id: String,
    /// The operator who blocks the room, if it is to be blocked.
    pub block: Option<OwnedUserId>,
    /// Whether what is held of the room is to be removed once local users have left.
    pub purge: bool,
    /// Where local users who are joined are to be joined, and what local aliases are to name from then on.
    pub new_room: Option<OwnedRoomId>,
}
message!(RoomClass, Delete => (), Refusal);

/// What is known of deletions of the room, the newest first?
#[derive(Debug, Serialize, Deserialize)]
pub struct Deletions {}
message!(RoomClass, Deletions => Vec<Deletion>, Refusal);

/// A deletion, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub id: String,
    pub purge: bool,
    pub new_room: Option<OwnedRoomId>,
    pub stage: Stage,
    /// Local users who were in the room, invited to it or knocking when it began.
    pub users: Vec<OwnedUserId>,
    /// Those who could not be removed.
    pub failed: Vec<OwnedUserId>,
    /// Local aliases that name another room now.
    pub aliases: Vec<OwnedRoomAliasId>,
    /// The room's position when it began.
    pub since: Position,
    /// How many users were still to leave when it was looked last.
    pub remaining: u64,
}

/// How far a deletion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Local users leave.
    Leaving,
    /// They have left, and the aliases are settled. What is held is removed once everybody knows who left.
    Left,
    /// What is held of the room is being removed.
    Purging,
    Complete,
    /// Users could not be removed.
    Failed,
}

impl Stage {
    /// Whether something is left to be done.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Complete | Self::Failed)
    }
}

/// What is due of the deletion that is under way? Counts the attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueDeletion {}
message!(RoomClass, DueDeletion => Option<DueDeletionReply>, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct DueDeletionReply {
    pub id: String,
    pub new_room: Option<OwnedRoomId>,
    /// Who is still to leave, some at a time.
    pub leaving: Vec<Leaver>,
    /// Whether all have left, and the aliases are to be settled.
    pub settle: bool,
    /// Whether what is held of the room is to be removed now.
    pub purge: bool,
    /// For what the purge waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// When to come again (ms).
    pub next: u64,
}

/// Servers and application services may have yet to be told what was before a deletion.
#[derive(Debug, Serialize, Deserialize)]
pub struct Waits {
    /// The servers that were in the room since it began.
    pub servers: Vec<OwnedServerName>,
    /// Where it began.
    pub before: Position,
    /// Until when that is waited for (ms).
    pub until: u64,
}

/// A local user who is to leave the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaver {
    pub user: OwnedUserId,
    pub membership: Membership,
    /// Whether that is known only from the invite or the knock, since we are not in the room.
    pub outside: bool,
}

/// Notes that all have left, and which aliases name another room now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settled {
    pub id: String,
    pub aliases: Vec<OwnedRoomAliasId>,
}
message!(RoomClass, Settled => (), Refusal);

/// Does one part of removing what is held of the room, beginning with part 0; answers which part is next.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {
    pub id: String,
    pub part: u32,
}
message!(RoomClass, Purge => Option<u32>, Refusal);

/// Which media do the events after this one, by its number, name? Some events are looked through at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct MediaNamed {
    pub after: i64,
}
message!(RoomClass, MediaNamed => MediaNamedReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct MediaNamedReply {
    pub urls: Vec<String>,
    /// After which event to go on, if there may be more.
    pub next: Option<i64>,
}
