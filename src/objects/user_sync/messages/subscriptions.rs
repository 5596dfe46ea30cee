//! What can be asked of the user's subscriptions to threads?

use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};

use super::{Refusal, StreamPosition};
use crate::objects::{message::message, room::messages::Position, user_sync::UserSyncClass};

/// Subscribes the user to a thread. Answers whether the user is subscribed now: an event up to which the user has
/// unsubscribed does not subscribe them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Subscribe {
    pub room_id: OwnedRoomId,
    /// The event with which the thread begins.
    pub root: OwnedEventId,
    /// Where the event is for which a client subscribes by itself; `None`: the user does.
    pub cause: Option<Position>,
}
message!(UserSyncClass, Subscribe => bool, Refusal);

/// Unsubscribes the user from a thread.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unsubscribe {
    pub room_id: OwnedRoomId,
    pub root: OwnedEventId,
    /// Where the room's timeline ends.
    pub newest: Position,
}
message!(UserSyncClass, Unsubscribe => (), Refusal);

/// Is the user subscribed to a thread? Answers whether a client subscribed by itself, or nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubscriptionTo {
    pub room_id: OwnedRoomId,
    pub root: OwnedEventId,
}
message!(UserSyncClass, SubscriptionTo => Option<bool>, Refusal);

/// The subscriptions that changed in a range of the stream, the newest of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubscriptionsBetween {
    /// From here, exclusive.
    pub from: StreamPosition,
    /// To here, inclusive; `None`: to the end.
    pub to: Option<StreamPosition>,
    pub limit: u32,
}
message!(UserSyncClass, SubscriptionsBetween => Subscriptions, Refusal);

/// Subscriptions as they are now, the one that changed last first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Subscriptions {
    pub changed: Vec<Subscription>,
    /// The position up to which there are others in the range; `None`: there are none.
    pub earlier: Option<StreamPosition>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub room_id: OwnedRoomId,
    pub root: OwnedEventId,
    /// Where in the stream it changed last: what clients call its `bump_stamp`.
    pub pos: StreamPosition,
    /// Whether a client subscribed by itself; `None`: the user has unsubscribed.
    pub automatic: Option<bool>,
}
