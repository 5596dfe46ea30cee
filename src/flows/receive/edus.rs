//! What happens to what other servers say beside events?
//! ([EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus))
//!
//! A server speaks only for its own users. What has no form, or no right, has no effect and fails nobody else.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tombolo_platform::World;

use super::super::{room, tell};
use crate::objects::room::messages::{Receipt, ServerAllowed, Typing};

/// How long a remote user's typing lasts without another word (ms).
const TYPING_LASTS: u64 = 30_000;
/// How many receipts of one EDU are looked at.
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

/// Gives one EDU its effect, if it has one.
pub async fn receive(world: &World, origin: &OwnedServerName, edu: &RawValue) {
    let Ok(edu) = serde_json::from_str::<Edu>(edu.get()) else { return };
    match edu.edu_type.as_str() {
        "m.typing" => {
            if let Ok(content) = serde_json::from_value(edu.content) {
                typing(world, origin, content).await;
            }
        }
        "m.receipt" => {
            if let Ok(content) = serde_json::from_value(edu.content) {
                receipts(world, origin, content).await;
            }
        }
        _ => {}
    }
}

async fn typing(world: &World, origin: &OwnedServerName, content: TypingContent) {
    if content.user_id.server_name() != origin || !allowed(world, origin, &content.room_id).await {
        return;
    }
    let until = content.typing.then(|| world.now() + TYPING_LASTS);
    // Refused: the user is not in the room. Unreachable: stale in a moment.
    if let Ok(now) =
        world.ask(&room(&content.room_id), &Typing { user: content.user_id, until }).await
    {
        tell::tell_typing(world, &content.room_id, &now).await;
    }
}

async fn receipts(world: &World, origin: &OwnedServerName, content: ReceiptContent) {
    let mut left = MAX_RECEIPTS;
    for (room_id, kinds) in content.0 {
        if !allowed(world, origin, &room_id).await {
            continue;
        }
        for (user, receipt) in
            kinds.into_iter().filter(|(kind, _)| kind == "m.read").flat_map(|(_, users)| users)
        {
            let Some(event_id) = receipt
                .event_ids
                .into_iter()
                .next()
                .filter(|_| user.server_name() == origin && left > 0)
            else {
                continue;
            };
            left -= 1;
            let ts = receipt.data.ts.unwrap_or_else(|| world.now());
            let receipt = Receipt {
                user,
                kind: "m.read".to_owned(),
                thread: receipt.data.thread_id,
                event_id,
                ts,
            };
            // Refused: the user is not in the room. Unreachable: the next receipt says it again.
            world.ask(&room(&room_id), &receipt).await.ok();
        }
    }
}

async fn allowed(world: &World, origin: &OwnedServerName, room_id: &OwnedRoomId) -> bool {
    world.ask(&room(room_id), &ServerAllowed { server: origin.clone() }).await.unwrap_or(false)
}
