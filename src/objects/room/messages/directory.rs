//! What can a room be asked by whoever looks for rooms, and what does D1's copy of public rooms hold of it?

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_protocol::membership::Membership;

use super::{Asker, Refusal};
use crate::objects::{message::message, room::RoomClass};

/// What a room is, in the names of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub room_id: OwnedRoomId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    pub join_rule: String,
    pub num_joined_members: u64,
    pub world_readable: bool,
    pub guest_can_join: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    pub room_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// Whether users of other servers may come in.
    pub federates: bool,
}

/// What D1's copy is to hold of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Of two listings, the one with the higher version is newer.
    pub version: i64,
    /// Whether anybody may join or read the room.
    pub open: bool,
    /// `None`: the room is not published.
    pub summary: Option<Summary>,
    /// What an operator finds the room by; `None` where nothing is held of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// What an operator finds a room by, in the names of Synapse's admin API. How many are in the room is not among it: that
/// changes often, and D1 knows it from who is in which room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub name: Option<String>,
    pub canonical_alias: Option<String>,
    pub version: String,
    pub creator: Option<OwnedUserId>,
    pub encryption: Option<String>,
    pub federatable: bool,
    /// Whether the room is published.
    pub public: bool,
    pub join_rules: Option<String>,
    pub guest_access: Option<String>,
    pub history_visibility: Option<String>,
    pub room_type: Option<String>,
}

/// Publishes a room in the server's directory, or does so no more, on behalf of a local user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publish {
    pub user: OwnedUserId,
    /// Whether the user is an operator, who needs no power in the room.
    pub admin: bool,
    pub published: bool,
}
message!(RoomClass, Publish => Option<Listing>, Refusal);

/// Whether the room is published.
#[derive(Debug, Serialize, Deserialize)]
pub struct IsPublished {}
message!(RoomClass, IsPublished => bool, Refusal);

/// What the room is, for who may know it, and the children of a space.
#[derive(Debug, Serialize, Deserialize)]
pub struct Look {
    /// `None`: nobody who is known.
    pub asker: Option<Asker>,
    /// Whether the children of a space are wanted.
    pub children: bool,
    pub suggested_only: bool,
}
message!(RoomClass, Look => Looked, Refusal);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Looked {
    pub summary: Summary,
    pub access: Access,
    /// The user's membership. Of a server: that of the user of it by whom the server may know the room.
    pub membership: Option<Membership>,
    /// In their order.
    pub children: Vec<Child>,
}

/// Who may know what a room is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// The asker may.
    Open,
    /// Those may who are joined to one of these rooms.
    MembersOf(Vec<OwnedRoomId>),
    /// The asker may not.
    Closed,
}

/// A child of a space.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Child {
    pub room_id: OwnedRoomId,
    /// Servers that may know the room.
    pub via: Vec<OwnedServerName>,
    /// The event that names it: stripped state with `origin_server_ts`.
    pub event: Box<RawValue>,
}

/// Whether a user of a server is joined.
#[derive(Debug, Serialize, Deserialize)]
pub struct HasServer {
    pub server: OwnedServerName,
}
message!(RoomClass, HasServer => bool, Refusal);

/// What these users are called in the room, if they are joined.
#[derive(Debug, Serialize, Deserialize)]
pub struct NamesOf {
    pub users: Vec<OwnedUserId>,
}
message!(RoomClass, NamesOf => Vec<Name>, Refusal);

/// What a user is called in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub user: OwnedUserId,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

impl Summary {
    /// Whether a room that is published is shown in lists: what nobody may join, knock at or read without an invite is
    /// not, as in Synapse.
    pub fn is_listed(&self) -> bool {
        self.world_readable || matches!(&*self.join_rule, "public" | "knock" | "knock_restricted")
    }
}
