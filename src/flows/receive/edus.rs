//! What happens to the EDUs of another server?
//! ([EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus))
//!
//! A server speaks only for its own users. An EDU that is malformed or not allowed has no effect, and does not stop the
//! others.

use std::collections::BTreeMap;

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId,
    api::federation::transactions::edu::{ReceiptData, TypingContent},
    events::receipt,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;

use crate::{
    flows::telling::tell,
    objects::{
        room::messages::{Receipt, ServerAllowed, Typing},
        room_object,
    },
};

/// How many rooms and receipts of one EDU have an effect.
const MAX_ROOMS: usize = 100;
const MAX_RECEIPTS: usize = 200;

/// An EDU of any kind. Not ruma's type, which also parses the kinds that have no effect here.
#[derive(Deserialize)]
struct Edu<'a> {
    edu_type: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// An object whose values are parsed one by one, so that a malformed value does not spoil the others.
type ByKey = BTreeMap<String, Box<RawValue>>;

/// The receipts of one room, by user.
#[derive(Deserialize)]
struct RoomReceipts {
    #[serde(rename = "m.read", default)]
    read: ByKey,
}

/// How many rooms and receipts of one transaction may still have an effect.
pub struct Budget {
    rooms: usize,
    receipts: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rooms: 200, receipts: 500 }
    }
}

impl Budget {
    fn takes_room(&mut self) -> bool {
        take(&mut self.rooms)
    }

    fn takes_receipt(&mut self) -> bool {
        take(&mut self.receipts)
    }
}

fn take(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

/// Applies one EDU, if it is of a kind that has an effect.
pub async fn take_effect(
    world: &World,
    origin: &OwnedServerName,
    edu: &RawValue,
    budget: &mut Budget,
) {
    let Ok(Edu { edu_type, content }) = serde_json::from_str(edu.get()) else { return };
    match edu_type.as_str() {
        "m.typing" => {
            if let Ok(content) = serde_json::from_str(content.get())
                && budget.takes_room()
            {
                typing(world, origin, content).await;
            }
        }
        "m.receipt" => {
            if let Ok(content) = serde_json::from_str(content.get()) {
                receipts(world, origin, content, budget).await;
            }
        }
        _ => {}
    }
}

async fn typing(world: &World, origin: &OwnedServerName, content: TypingContent) {
    if content.user_id.server_name() != origin || !allowed(world, origin, &content.room_id).await {
        return;
    }
    let until = content.typing.then(|| world.now() + tell::TYPING_LASTS);
    // Refused: the user is not in the room. Unreachable: stale in a moment.
    if let Ok(now) =
        world.ask(&room_object(&content.room_id), &Typing { user: content.user_id, until }).await
    {
        tell::tell_typing(world, &content.room_id, &now).await;
    }
}

async fn receipts(world: &World, origin: &OwnedServerName, content: ByKey, budget: &mut Budget) {
    let mut left = MAX_RECEIPTS;
    let rooms = content.into_iter().filter_map(|(room_id, of_room)| {
        Some((OwnedRoomId::try_from(room_id).ok()?, own(origin, &of_room)))
    });
    for (room_id, own) in rooms.filter(|(_, own)| !own.is_empty()).take(MAX_ROOMS) {
        if left == 0 || !budget.takes_room() || !allowed(world, origin, &room_id).await {
            continue;
        }
        for (user, event_id, data) in own {
            if !take(&mut left) || !budget.takes_receipt() {
                return;
            }
            let ts = data.ts.map_or_else(|| world.now(), |ts| ts.get().into());
            let thread = data.thread.as_str().map(str::to_owned);
            let receipt = Receipt { user, kind: "m.read".to_owned(), thread, event_id, ts };
            // Refused: the user is not in the room. Unreachable: the receipt is lost until the user reads on.
            world.ask(&room_object(&room_id), &receipt).await.ok();
        }
    }
}

/// The public receipts of a server's own users.
fn own(
    origin: &OwnedServerName,
    of_room: &RawValue,
) -> Vec<(OwnedUserId, OwnedEventId, receipt::Receipt)> {
    let Ok(RoomReceipts { read }) = serde_json::from_str(of_room.get()) else { return Vec::new() };
    let own = read.into_iter().filter_map(|(user, receipt)| {
        let user = OwnedUserId::try_from(user).ok().filter(|user| user.server_name() == origin)?;
        let receipt: ReceiptData = serde_json::from_str(receipt.get()).ok()?;
        Some((user, receipt.event_ids.into_iter().next()?, receipt.data))
    });
    own.collect()
}

async fn allowed(world: &World, origin: &OwnedServerName, room_id: &OwnedRoomId) -> bool {
    world
        .ask(&room_object(room_id), &ServerAllowed { server: origin.clone() })
        .await
        .unwrap_or(false)
}
