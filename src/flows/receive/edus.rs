//! What happens to the EDUs of another server?
//! ([EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus))
//!
//! A server speaks only for its own users. An EDU that is malformed or not allowed has no effect, and does not stop the
//! others. Messages to devices, and changes of devices, must not be lost: where one of ours does not answer, the
//! transaction fails, and the other server sends it again. Presence comes after all else: it may take long, and is the
//! least that is lost.

use ruma::{
    Int, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId,
    api::federation::transactions::edu::{ReceiptData, TypingContent},
    events::receipt,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::json;

use crate::{
    config::Config,
    flows::{
        keys::{
            self, lists, telling,
            to_device::{self, MAX_CONTENT, MAX_TYPE, Sending},
        },
        ours::Ours,
        presence,
        telling::tell,
    },
    objects::{
        keys_object,
        room::messages::{Receipt, ServerAllowed, Typing},
        room_object,
        user_keys::messages::{Change, ChangesTold, NoteChange, NoteDevice, NoteSigning},
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

/// The receipts of one room, by user.
#[derive(Deserialize)]
struct RoomReceipts {
    #[serde(rename = "m.read", default)]
    read: json::ByKey,
}

/// How many rooms, receipts, users with messages and lists of presences of one transaction may still have an effect.
pub struct Budget {
    rooms: usize,
    receipts: usize,
    users: usize,
    /// What is told of presence, which has its effect at the end.
    presences: Vec<Box<RawValue>>,
    /// Whether a message to devices is lost.
    message_lost: bool,
}

impl Default for Budget {
    fn default() -> Self {
        let presences = Vec::new();
        Self { rooms: 200, receipts: 500, users: 5_000, presences, message_lost: false }
    }
}

impl Budget {
    fn takes_room(&mut self) -> bool {
        take(&mut self.rooms)
    }

    fn takes_receipt(&mut self) -> bool {
        take(&mut self.receipts)
    }

    fn takes_user(&mut self) -> bool {
        take(&mut self.users)
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
            // Messages keep their order: where one is lost, those after it come again with it.
            if let Ok(content) = serde_json::from_str(content.get())
                && !budget.message_lost
            {
                let left = to_device(world, origin, content, budget).await;
                budget.message_lost = left.is_err();
                return left;
            }
        }
        "m.presence" if budget.presences.len() < presence::MOST_EDUS => {
            budget.presences.push(content.to_owned());
        }
        "m.device_list_update" => return keys_changed(world, origin, content, device_change).await,
        "m.signing_key_update" => {
            return keys_changed(world, origin, content, signing_change).await;
        }
        _ => {}
    }
    Ok(())
}

/// Applies what is left for the end.
pub async fn take_last(world: &World, origin: &OwnedServerName, budget: Budget) {
    presence::receive(world, origin, budget.presences).await;
}

/// Messages to devices of our users. Users that are not ours, and contents that cannot be passed on, have no effect.
async fn to_device(
    world: &World,
    origin: &OwnedServerName,
    content: Sending<json::ByKey>,
    budget: &mut Budget,
) -> Result<(), Ours> {
    let Sending { sender, kind, message_id, messages } = content;
    let own_name = Config::of(world)?.server_name.clone();
    if sender.server_name() != origin || kind.len() > MAX_TYPE {
        return Ok(());
    }
    let fits = |content: &RawValue| {
        content.get().len() <= MAX_CONTENT && json::plain_object(content.get()).is_some()
    };
    let messages = messages.into_iter().filter_map(|(user, of_user)| {
        let user =
            OwnedUserId::try_from(user).ok().filter(|user| user.server_name() == own_name)?;
        let of_user =
            json::members(Some(&of_user)).into_iter().filter(|(_, content)| fits(content));
        budget.takes_user().then(|| (user, of_user.collect()))
    });
    let messages = messages.collect();
    to_device::deliver(world, origin.as_str(), Sending { sender, kind, message_id, messages }).await
}

/// A change of the devices or keys of a user, which those of ours have to know who share a room with the user. One that
/// cannot be read has their whole list asked for again. Where it comes again, nobody is told again.
async fn keys_changed(
    world: &World,
    origin: &OwnedServerName,
    content: &RawValue,
    read: fn(&RawValue, &UserId) -> Option<Change>,
) -> Result<(), Ours> {
    #[derive(Deserialize)]
    struct Of {
        user_id: OwnedUserId,
    }
    let Ok(Of { user_id: user }) = serde_json::from_str(content.get()) else { return Ok(()) };
    if user.server_name() != origin || !telling::is_shared(world, &user).await? {
        return Ok(());
    }
    let keys = keys_object(&user);
    let note = NoteChange { change: read(content, &user).unwrap_or(Change::Unread) };
    let noted = world.ask(&keys, &note).await;
    let Some(upto) = noted.map_err(keys::failed)? else { return Ok(()) };
    telling::tell_users(world, &user).await?;
    world.ask(&keys, &ChangesTold { upto }).await.map_err(keys::failed)
}

/// Reads the content of `m.device_list_update`.
fn device_change(content: &RawValue, user: &UserId) -> Option<Change> {
    #[derive(Deserialize)]
    struct Content {
        device_id: String,
        stream_id: Int,
        #[serde(default)]
        prev_id: Vec<Int>,
        #[serde(default)]
        deleted: bool,
        keys: Option<Box<RawValue>>,
        device_display_name: Option<String>,
    }
    let content: Content = serde_json::from_str(content.get()).ok()?;
    let Content { device_id: device, stream_id, prev_id, deleted, keys, .. } = content;
    Some(Change::Device(NoteDevice {
        stream_id: stream_id.into(),
        prev_ids: prev_id.into_iter().map(i64::from).collect(),
        // A device whose keys are left out here has the list asked for again.
        keys: keys.filter(|keys| lists::is_device(keys, user, &device)),
        deleted,
        display_name: content.device_display_name.map(lists::shortened),
        device,
    }))
}

/// Reads the content of `m.signing_key_update`.
fn signing_change(content: &RawValue, user: &UserId) -> Option<Change> {
    #[derive(Deserialize)]
    struct Content {
        master_key: Option<Box<RawValue>>,
        self_signing_key: Option<Box<RawValue>>,
    }
    let Content { master_key, self_signing_key } = serde_json::from_str(content.get()).ok()?;
    let keys = [&master_key, &self_signing_key].into_iter().flatten();
    keys.into_iter().all(|key| lists::is_of(key, user)).then_some(())?;
    Some(Change::Signing(NoteSigning { master_key, self_signing_key }))
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

async fn receipts(
    world: &World,
    origin: &OwnedServerName,
    content: json::ByKey,
    budget: &mut Budget,
) {
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
