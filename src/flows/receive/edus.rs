//! What happens to the EDUs of another server?
//! ([EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus))
//!
//! A server speaks only for its own users. An EDU that is malformed or not allowed has no effect, and does not stop the
//! others. Messages to devices, and changes of devices, must not be lost: where one of ours does not answer, the
//! transaction fails, and the other server sends it again.

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
    config::Config,
    flows::{
        keys::{
            self, lists, telling,
            to_device::{self, Sending},
        },
        ours::Ours,
        telling::tell,
    },
    objects::{
        keys_object,
        room::messages::{Receipt, ServerAllowed, Typing},
        room_object,
        user_keys::messages::{NoteDevice, NoteSigning},
    },
};

/// How many rooms and receipts of one EDU have an effect.
const MAX_ROOMS: usize = 100;
const MAX_RECEIPTS: usize = 200;
/// How many users of one EDU get messages.
const MAX_USERS: usize = 1000;

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
///
/// # Errors
/// It must not be lost, and could not be applied.
pub async fn take_effect(
    world: &World,
    origin: &OwnedServerName,
    edu: &RawValue,
    budget: &mut Budget,
) -> Result<(), Ours> {
    let Ok(Edu { edu_type, content }) = serde_json::from_str(edu.get()) else { return Ok(()) };
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
        "m.direct_to_device" => {
            if let Ok(content) = serde_json::from_str(content.get()) {
                return to_device(world, origin, content).await;
            }
        }
        "m.device_list_update" => {
            if let Ok(content) = serde_json::from_str(content.get()) {
                return device_changed(world, origin, content).await;
            }
        }
        "m.signing_key_update" => {
            if let Ok(content) = serde_json::from_str(content.get()) {
                return signing_changed(world, origin, content).await;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Messages to devices of our users. Users that are not ours, and contents that are no objects, have no effect.
async fn to_device(
    world: &World,
    origin: &OwnedServerName,
    content: Sending<ByKey>,
) -> Result<(), Ours> {
    let Sending { sender, kind, message_id, messages } = content;
    let own_name = Config::of(world)?.server_name.clone();
    if sender.server_name() != origin || messages.len() > MAX_USERS {
        return Ok(());
    }
    let messages = messages.into_iter().filter_map(|(user, of_user)| {
        let user = OwnedUserId::try_from(user).ok()?;
        let of_user: ByKey = serde_json::from_str(of_user.get()).ok()?;
        let fits = |content: &RawValue| {
            content.get().starts_with('{') && content.get().len() <= to_device::MAX_CONTENT
        };
        let of_user = of_user.into_iter().filter(|(_, content)| fits(content)).collect();
        (user.server_name() == own_name).then_some((user, of_user))
    });
    let messages = messages.collect();
    to_device::deliver(world, origin.as_str(), Sending { sender, kind, message_id, messages }).await
}

/// The content of `m.device_list_update`.
#[derive(Deserialize)]
struct DeviceList {
    user_id: OwnedUserId,
    device_id: String,
    stream_id: i64,
    #[serde(default)]
    prev_id: Vec<i64>,
    #[serde(default)]
    deleted: bool,
    keys: Option<Box<RawValue>>,
    device_display_name: Option<String>,
}

async fn device_changed(
    world: &World,
    origin: &OwnedServerName,
    content: DeviceList,
) -> Result<(), Ours> {
    let DeviceList { user_id, device_id, stream_id, prev_id, deleted, keys, .. } = content;
    if user_id.server_name() != origin || !telling::is_shared(world, &user_id).await? {
        return Ok(());
    }
    let keys = keys.filter(|keys| lists::is_device(keys, &user_id, &device_id));
    let note = NoteDevice {
        device: device_id,
        stream_id,
        prev_ids: prev_id,
        keys,
        deleted,
        display_name: content.device_display_name,
    };
    world.ask(&keys_object(&user_id), &note).await.map_err(keys::failed)?;
    telling::tell_users(world, &user_id).await
}

/// The content of `m.signing_key_update`.
#[derive(Deserialize)]
struct SigningKeys {
    user_id: OwnedUserId,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

async fn signing_changed(
    world: &World,
    origin: &OwnedServerName,
    content: SigningKeys,
) -> Result<(), Ours> {
    let SigningKeys { user_id, master_key, self_signing_key } = content;
    if user_id.server_name() != origin || !telling::is_shared(world, &user_id).await? {
        return Ok(());
    }
    let own = |key: Option<Box<RawValue>>| key.filter(|key| lists::is_of(key, &user_id));
    let (master_key, self_signing_key) = (own(master_key), own(self_signing_key));
    let note = NoteSigning { master_key, self_signing_key };
    world.ask(&keys_object(&user_id), &note).await.map_err(keys::failed)?;
    telling::tell_users(world, &user_id).await
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
