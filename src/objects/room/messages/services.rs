//! What can a room be asked for application services?

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Position, Receipt, Refusal, UndeliveredReply};
use crate::objects::{message::message, room::RoomClass};

/// Stands for each application service that is not named. No service has this ID.
pub const ALL_SERVICES: &str = "";

/// What the name of a service begins with in `lagging`. No user's name does, nor has a server's name a `_`.
pub const SERVICE: &str = "app_service:";

/// Asks what decides which application services are concerned with what is new.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewsForServices {
    /// Up to where; `None`: all that there is.
    pub to: Option<Position>,
    /// Whether any of them is told of receipts.
    pub receipts: bool,
}
message!(RoomClass, NewsForServices => ServicesNews, Refusal);

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ServicesNews {
    /// Services that do not lag were told everything up to here,
    pub since: Position,
    /// and this is the last event among it.
    pub told: Position,
    pub to: Position,
    /// The last event up to `to`.
    pub newest: Position,
    /// The services that lag, by their IDs, and up to where they were told.
    pub lagging: Vec<(String, Position)>,
    /// When which local users were joined, since the first of these positions.
    pub stays: Vec<Stay>,
    /// The local users who sent an event since then, or are the target of one that changes a membership, each with the
    /// last such event.
    pub acts: Vec<(OwnedUserId, Position)>,
    /// Whether there are too many events to look at each: then nobody is known not to be in `acts`.
    #[serde(default)]
    pub many: bool,
    /// Receipts of all users.
    #[serde(default)]
    pub receipts: Vec<(Position, Receipt)>,
    /// Memberships of local users while we are not in the room.
    #[serde(default)]
    pub outside: Vec<OutsideNews>,
}

/// A time in which a local user was joined.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stay {
    pub user: OwnedUserId,
    /// Exclusive.
    pub from: Position,
    /// Inclusive: the event that ended it. `None`: the user is joined.
    pub to: Option<Position>,
}

/// An event that invites a local user to a room in which we are not, or ends that.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutsideNews {
    pub pos: Position,
    pub user: OwnedUserId,
    /// The event as clients are shown it, with the room's stripped state in `unsigned` for an invite.
    pub event: Box<RawValue>,
}

/// The events of a range as an application service gets them, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct ForService {
    /// Exclusive.
    pub from: Position,
    /// Inclusive.
    pub to: Position,
    /// The most events of the answer.
    pub limit: u32,
    /// With so many bytes the answer takes no more.
    pub bytes: u64,
}
message!(RoomClass, ForService => ForServiceReply, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct ForServiceReply {
    pub events: Vec<Box<RawValue>>,
    /// All up to here is in `events`.
    pub upto: Position,
}

impl UndeliveredReply {
    /// The application services that could not be told before, by their IDs.
    pub fn lagging_services(&self) -> impl Iterator<Item = &str> {
        self.lagging.iter().filter_map(|(name, _)| name.strip_prefix(SERVICE))
    }
}
