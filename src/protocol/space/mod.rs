//! Which rooms are the children of a space, and in which order?
//! ([`m.space.child`](https://spec.matrix.org/v1.19/client-server-api/#mspacechild),
//! [ordering](https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space))

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use ruma::{OwnedRoomId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::fields;

/// The type of the events that name children.
pub const CHILD: &str = "m.space.child";
/// The `type` of a room that is a space.
pub const SPACE: &str = "m.space";

/// The most characters of an `order`.
const MAX_ORDER: usize = 50;
/// How many servers of `via` are kept.
const MAX_VIA: usize = 10;

/// What a child event says that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub room_id: OwnedRoomId,
    /// Servers that may know the room.
    pub via: Vec<OwnedServerName>,
    pub suggested: bool,
    pub origin_server_ts: i64,
    order: Option<String>,
}

impl Link {
    /// What an event with this state key and content says; `None` if it names no child.
    #[must_use]
    pub fn of(state_key: &str, content: &RawValue, origin_server_ts: i64) -> Option<Self> {
        let room_id = RoomId::parse(state_key).ok()?;
        let [via, order, suggested] = fields(content, ["via", "order", "suggested"]);
        let via: Vec<String> = read(via).filter(|via: &Vec<String>| !via.is_empty())?;
        let via = via.into_iter().filter_map(|server| server.try_into().ok()).take(MAX_VIA);
        Some(Self {
            room_id,
            via: via.collect(),
            suggested: read(suggested) == Some(true),
            origin_server_ts,
            order: read(order).filter(|order: &String| is_order(order)),
        })
    }
}

impl Ord for Link {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |link: &Self| (link.order.is_none(), link.order.clone());
        place(self)
            .cmp(&place(other))
            .then_with(|| self.origin_server_ts.cmp(&other.origin_server_ts))
            .then_with(|| self.room_id.cmp(&other.room_id))
    }
}

impl PartialOrd for Link {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn is_order(order: &str) -> bool {
    order.len() <= MAX_ORDER && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

fn read<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}
