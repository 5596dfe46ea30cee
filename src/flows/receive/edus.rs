//! What happens to what other servers say beside events?
//! ([EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus))
//!
//! A server speaks only for its own users. What has no form, or no right, has no effect and fails nobody else.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tombolo_platform::World;

use crate::{
    flows::{room, telling::tell},
    objects::room::messages::{Receipt, ServerAllowed, Typing},
};

/// How many rooms and receipts of one EDU are looked at.
const MAX_ROOMS: usize = 100;
const MAX_RECEIPTS: usize = 200;

#[derive(Deserialize)]
struct Edu {
    edu_type: String,
    content: Value,
}

#[derive(Deserialize)]
struct TypingContent {
    room_id: OwnedRoomId,
    user_id: OwnedUserId,
    typing: bool,
}

/// room → kind → user → receipt
#[derive(Deserialize)]
struct ReceiptContent(BTreeMap<OwnedRoomId, BTreeMap<String, BTreeMap<OwnedUserId, UserReceipt>>>);

#[derive(Deserialize)]
struct UserReceipt {
    event_ids: Vec<OwnedEventId>,
    #[serde(default)]
    data: ReceiptData,
}

#[derive(Default, Deserialize)]
struct ReceiptData {
    ts: Option<u64>,
    thread_id: Option<String>,
}

/// How much may still be asked of rooms for one transaction.
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

/// Gives one EDU its effect, if it has one.
pub async fn take_effect(
    world: &World,
    origin: &OwnedServerName,
    edu: &RawValue,
    budget: &mut Budget,
) {
    let Ok(edu) = serde_json::from_str::<Edu>(edu.get()) else { return };
    match edu.edu_type.as_str() {
        "m.typing" => {
            if let Ok(content) = serde_json::from_value(edu.content)
                && budget.takes_room()
            {
                typing(world, origin, content).await;
            }
        }
        "m.receipt" => {
            if let Ok(content) = serde_json::from_value(edu.content) {
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
        world.ask(&room(&content.room_id), &Typing { user: content.user_id, until }).await
    {
        tell::tell_typing(world, &content.room_id, &now).await;
    }
}

async fn receipts(
    world: &World,
    origin: &OwnedServerName,
    content: ReceiptContent,
    budget: &mut Budget,
) {
    let mut left = MAX_RECEIPTS;
    let rooms = content.0.into_iter().map(|(room_id, kinds)| (room_id, own(origin, kinds)));
    for (room_id, own) in rooms.filter(|(_, own)| !own.is_empty()).take(MAX_ROOMS) {
        if left == 0 || !budget.takes_room() || !allowed(world, origin, &room_id).await {
            continue;
        }
        for (user, event_id, data) in own {
            if !take(&mut left) || !budget.takes_receipt() {
                return;
            }
            let ts = data.ts.unwrap_or_else(|| world.now());
            let kind = "m.read".to_owned();
            let receipt = Receipt { user, kind, thread: data.thread_id, event_id, ts };
            // Refused: the user is not in the room. Unreachable: the receipt is lost until the user reads on.
            world.ask(&room(&room_id), &receipt).await.ok();
        }
    }
}

/// The public receipts of a server's own users.
fn own(
    origin: &OwnedServerName,
    kinds: BTreeMap<String, BTreeMap<OwnedUserId, UserReceipt>>,
) -> Vec<(OwnedUserId, OwnedEventId, ReceiptData)> {
    let public = kinds.into_iter().filter(|(kind, _)| kind == "m.read");
    let users = public.flat_map(|(_, users)| users);
    let own = users.filter(|(user, _)| user.server_name() == origin);
    own.filter_map(|(user, receipt)| {
        Some((user, receipt.event_ids.into_iter().next()?, receipt.data))
    })
    .collect()
}

async fn allowed(world: &World, origin: &OwnedServerName, room_id: &OwnedRoomId) -> bool {
    world.ask(&room(room_id), &ServerAllowed { server: origin.clone() }).await.unwrap_or(false)
}
