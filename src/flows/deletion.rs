//! How does an operator delete a room? ([deleting rooms], as Synapse's admin API has it)
//!
//! The room knows what is to be done and how far it is; its alarm does it here, a part each time. Whoever leaves is joined
//! to the new room first: a crash between the two leaves them in both, and the next alarm takes them out of the old one.
//!
//! [deleting rooms]: https://element-hq.github.io/synapse/latest/admin_api/rooms.html#version-2-new-version

use futures_util::{StreamExt, stream};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, json, value::to_raw_value};
use tombolo_platform::World;
use tombolo_protocol::{
    membership::Membership,
    room_version::{DEFAULT, RoomVersion},
};

use crate::{
    flows::{
        appservices::registrations,
        membership::{join, leave},
        ours::Ours,
        sending::{
            create_room::{NewRoom, Preset, Unmade, create_room},
            send,
            unsent::Unsent,
        },
        telling::tell,
    },
    objects::{
        appservice::messages::IsOwed as IsOwedService,
        appservice_object,
        destination::messages::IsOwed,
        destination_object,
        room::messages::{
            Draft, DueDeletion, DueDeletionReply, Leaver, Position, Purge, Send, Settled,
        },
        room_object, user_object,
        user_sync::messages::Forget,
    },
    stores::{aliases, room_servers},
};

/// How many users leave at once.
const AT_ONCE: usize = 5;
/// How many parts one alarm does.
const MOST_ROUNDS: usize = 100;
/// Who has this level may say nothing in the new room.
const SILENT: i64 = -10;
/// How the new room is called, and what is said there, unless the operator says it.
const NAME: &str = "Content Violation Notification";
const MESSAGE: &str = "Sharing illegal content on this server is not permitted and rooms in violation will be blocked.";

/// The room to which users are moved.
#[derive(Debug)]
pub struct Instead {
    /// A user of this server, who makes it.
    pub creator: OwnedUserId,
    pub name: Option<String>,
    pub message: Option<String>,
}

/// Why the room to which users are moved is not there.
#[derive(Debug, thiserror::Error)]
pub enum Unmoved {
    #[error("{0}")]
    Unmade(#[from] Unmade),
    #[error("{0}")]
    Unsent(#[from] Unsent),
}

/// Makes the room to which users are moved, and says there why. This comes before the deletion: of what fails in between, a
/// room is left that nobody is led to.
pub async fn make_room(world: &World, instead: Instead) -> Result<OwnedRoomId, Unmoved> {
    let creator = instead.creator.clone();
    let new = NewRoom {
        creator: creator.clone(),
        version: RoomVersion::of(DEFAULT)
            .ok_or_else(|| Unsent::from(Ours::broken("the default room version is unknown")))?,
        preset: Preset::PublicChat,
        creation_content: Map::new(),
        levels_override: Map::from_iter([("users_default".to_owned(), json!(SILENT))]),
        initial_state: Vec::new(),
        alias: None,
        name: Some(instead.name.unwrap_or_else(|| NAME.to_owned())),
        topic: None,
        invite: Vec::new(),
        is_direct: false,
        published: false,
    };
    let room_id = create_room(world, new).await?;
    let body = instead.message.unwrap_or_else(|| MESSAGE.to_owned());
    let content = json!({ "msgtype": "m.text", "body": body });
    let draft = Draft {
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: to_raw_value(&content).map_err(Unsent::from)?,
        redacts: None,
    };
    send::send(world, &room_id, Send::of(creator, draft)).await?;
    Ok(room_id)
}

/// Goes on with the deletion of a room; answers when to come again (ms).
pub async fn go_on(world: &World, room_id: &RoomId) -> Result<Option<u64>, Unsent> {
    let address = room_object(room_id);
    for _ in 0..MOST_ROUNDS {
        let Some(due) = world.ask(&address, &DueDeletion {}).await? else { return Ok(None) };
        if due.settle {
            let aliases = settle_aliases(world, room_id, &due).await?;
            world.ask(&address, &Settled { id: due.id, aliases }).await?;
        } else if due.purge && is_awaited(world, room_id, &due).await {
            return Ok(Some(due.next));
        } else if due.purge {
            // D1's copy of who is there is corrected by the room, which will know of nobody.
            room_servers::forget(world, room_id).await?;
            let mut part = Some(0);
            while let Some(next) = part {
                part = world.ask(&address, &Purge { id: due.id.clone(), part: next }).await?;
            }
        } else if due.leaving.is_empty() || !leave_all(world, room_id, &due).await {
            return Ok(Some(due.next));
        }
    }
    Ok(Some(world.now()))
}

/// Whether a server that is in the room, or an application service, has yet to be told what was before the deletion. Then
/// what is held is still asked for: how users left leads there.
async fn is_awaited(world: &World, room_id: &RoomId, due: &DueDeletionReply) -> bool {
    let Some(waits) = due.waits.as_ref().filter(|waits| waits.until > world.now()) else {
        return false;
    };
    let owed = stream::iter(&waits.servers).map(|server| async {
        let is_owed = IsOwed { room_id: room_id.to_owned(), before: waits.before };
        // Where it cannot be known, it is looked again.
        world.ask(&destination_object(server), &is_owed).await.unwrap_or(true)
    });
    let is_awaited = owed.buffer_unordered(AT_ONCE).any(|is_owed| async move { is_owed }).await
        || is_awaited_by_services(world, room_id, waits.before).await;
    if is_awaited {
        tracing::info!(room = %room_id, "a purge waits for who is out of reach");
    }
    is_awaited
}

async fn is_awaited_by_services(world: &World, room_id: &RoomId, before: Position) -> bool {
    let Ok(services) = registrations::recent(world).await else { return true };
    for service in services.iter().filter(|service| service.registration.url.is_some()) {
        let is_owed = IsOwedService { room_id: room_id.to_owned(), before };
        if world.ask(&appservice_object(service.id()), &is_owed).await.unwrap_or(true) {
            return true;
        }
    }
    false
}

/// Has some users leave; answers whether all could.
async fn leave_all(world: &World, room_id: &RoomId, due: &DueDeletionReply) -> bool {
    let left = stream::iter(&due.leaving).map(|leaver| async {
        let left = leave(world, room_id, leaver, due.new_room.as_deref()).await;
        if let Err(error) = &left {
            tracing::warn!(user = %leaver.user, room = %room_id, %error, "a deleted room could not be left");
        }
        left.is_ok()
    });
    left.buffer_unordered(AT_ONCE).fold(true, |all, left| async move { all && left }).await
}

/// Has the local aliases of the room name the new one, if there is one; else removes them. Answers which name another room
/// now. What was moved before a crash is not named again.
async fn settle_aliases(
    world: &World,
    room_id: &RoomId,
    due: &DueDeletionReply,
) -> Result<Vec<OwnedRoomAliasId>, Unsent> {
    let Some(new) = &due.new_room else {
        aliases::delete_of_room(world, room_id).await?;
        return Ok(Vec::new());
    };
    let named = aliases::of_room(world, room_id).await?;
    aliases::replace_room(world, room_id, new).await?;
    Ok(named)
}

/// Takes a local user out of the room and has them forget it.
async fn leave(
    world: &World,
    room_id: &RoomId,
    leaver: &Leaver,
    new_room: Option<&RoomId>,
) -> Result<(), Unsent> {
    let user = &leaver.user;
    if let Some(new) = new_room.filter(|_| leaver.membership == Membership::Join)
        && let Err(error) = join::join(world, user, new, &[], Map::new()).await
    {
        tracing::warn!(%user, room = %new, %error, "a user was not moved to the new room");
    }
    if leaver.outside {
        // The leave is noted here at once; that no server takes it keeps nobody from it.
        if let Err(error) = leave::leave(world, user, room_id, None).await {
            tracing::info!(%user, room = %room_id, %error, "an invite was not declined elsewhere");
        }
    } else {
        // Also from a room which a user may not leave by themselves.
        let content = to_raw_value(&json!({ "membership": Membership::Leave }))?;
        let message = Send::of(user.clone(), Draft::membership(user, content));
        let sent = world.ask(&room_object(room_id), &message).await?;
        tell::tell_now(world, room_id, sent.news).await;
    }
    // Who was not told yet that they left cannot forget: then the room stays in their list of rooms that they left.
    if let Err(error) = world.ask(&user_object(user), &Forget { room_id: room_id.to_owned() }).await
    {
        tracing::info!(%user, room = %room_id, ?error, "a deleted room was not forgotten");
    }
    Ok(())
}
