//! How does an operator delete a room, and how far is that?
//!
//! A deletion goes on in the room's alarm, whatever becomes of the request. Its ID names its room, so that no list of
//! deletions is kept beside the rooms.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::{AskError, World};

use super::{admin, must_be_admin};
use crate::{
    config::Config,
    error::{Error, Result, invalid_param, not_found},
    flows::deletion::{Instead, make_room},
    http::{
        admin::local_account,
        endpoint::{json_body, json_response},
        router::Router,
    },
    objects::{
        room::messages::{Delete, Deletion, Deletions, Refusal, Stage},
        room_object,
    },
};

const ROOM: &str = "/_synapse/admin/v2/rooms/{room_id}";
const WAITING: &str = "/_synapse/admin/v1/rooms/{room_id}";
const OF_ROOM: &str = "/_synapse/admin/v2/rooms/{room_id}/delete_status";
const BY_ID: &str = "/_synapse/admin/v2/rooms/delete_status/{delete_id}";

/// The most bytes of what is said in the new room, and of its name.
const MAX_TEXT: usize = 10_000;

/// How long a request waits for the end of a deletion, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(60);
const SEES: Duration = Duration::from_millis(250);

pub fn routes(router: &mut Router) {
    router.page(&Method::DELETE, ROOM, delete);
    router.page(&Method::DELETE, WAITING, delete_and_wait);
    router.page(&Method::GET, OF_ROOM, of_room);
    router.page(&Method::GET, BY_ID, by_id);
}

#[derive(Deserialize)]
struct Wanted {
    new_room_user_id: Option<OwnedUserId>,
    room_name: Option<String>,
    message: Option<String>,
    #[serde(default)]
    block: bool,
    #[serde(default = "yes")]
    purge: bool,
    #[serde(default)]
    force_purge: bool,
}

fn yes() -> bool {
    true
}

async fn delete(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let id = begin(&world, &request, &room_id).await?;
    json_response(StatusCode::OK, &json!({ "delete_id": id }))
}

/// The older form: it answers when the room is deleted, or after a while how far that is.
async fn delete_and_wait(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let id = begin(&world, &request, &room_id).await?;
    let until = world.now().saturating_add(PATIENCE.as_secs() * 1_000);
    loop {
        world.sleep(SEES).await;
        let deletions = world.ask(&room_object(&room_id), &Deletions {}).await?;
        let deletion = deletions.iter().find(|deletion| deletion.id == id);
        let deletion = deletion.ok_or_else(|| not_found("The deletion is not known any more"))?;
        if !deletion.stage.is_active() || world.now() >= until {
            return json_response(StatusCode::OK, &shown(&room_id, deletion)["shutdown_room"]);
        }
    }
}

/// Begins a deletion; answers its ID.
async fn begin(world: &World, request: &Request<Bytes>, room_id: &RoomId) -> Result<String> {
    let operator = admin(world, request).await?.user;
    let wanted: Wanted = json_body(request)?;
    if wanted.force_purge {
        let message = "Nothing is removed of a room in which users of this server still are";
        return Err(invalid_param(format!("`force_purge` is not supported: {message}")));
    }
    let texts = [&wanted.room_name, &wanted.message];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT) {
        return Err(invalid_param("The name or the message is too long"));
    }
    let is_active = |deletion: &Deletion| deletion.stage.is_active();
    let address = room_object(room_id);
    if world.ask(&address, &Deletions {}).await?.iter().any(is_active) {
        return Err(under_way());
    }
    let mut new_room = None;
    if let Some(creator) = wanted.new_room_user_id {
        if creator.server_name() != Config::of(world)?.server_name {
            let message = format!("User must be our own: {creator}");
            return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
        }
        local_account(world, &creator).await?;
        let instead = Instead { creator, name: wanted.room_name, message: wanted.message };
        new_room = Some(make_room(world, instead).await?);
    }
    let id = [&world.random()[..], room_id.as_str().as_bytes()];
    let [random, room] = id.map(|part| URL_SAFE_NO_PAD.encode(part));
    let id = format!("{random}.{room}");
    let block = wanted.block.then_some(operator);
    let delete = Delete { id: id.clone(), block, purge: wanted.purge, new_room };
    match world.ask(&address, &delete).await {
        Ok(()) => Ok(id),
        Err(AskError::Refused(Refusal::BadState(_))) => Err(under_way()),
        Err(error) => Err(error.into()),
    }
}

async fn of_room(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let deletions = world.ask(&room_object(&room_id), &Deletions {}).await?;
    if deletions.is_empty() {
        return Err(not_found(format!("No delete task for room_id '{room_id}' found")));
    }
    let results: Vec<Value> = deletions.iter().map(|deletion| shown(&room_id, deletion)).collect();
    json_response(StatusCode::OK, &json!({ "results": results }))
}

async fn by_id(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let unknown = || not_found(format!("delete id '{id}' not found"));
    let named = id.split_once('.').and_then(|(_, room)| URL_SAFE_NO_PAD.decode(room).ok());
    let named = named.and_then(|room| RoomId::parse(String::from_utf8(room).ok()?).ok());
    let room_id = named.ok_or_else(unknown)?;
    let deletions = world.ask(&room_object(&room_id), &Deletions {}).await?;
    let deletion = deletions.iter().find(|deletion| deletion.id == id).ok_or_else(unknown)?;
    json_response(StatusCode::OK, &shown(&room_id, deletion))
}

fn shown(room_id: &RoomId, deletion: &Deletion) -> Value {
    let Deletion { id, new_room, stage, users, failed, aliases, .. } = deletion;
    // Until all have left, it is not known who could not be removed.
    let has_left = !matches!(stage, Stage::Leaving);
    let kicked = users.iter().filter(|user| has_left && !failed.contains(user));
    let mut shown = json!({
        "delete_id": id,
        "room_id": room_id,
        "status": match stage {
            Stage::Leaving | Stage::Left | Stage::Purging => "active",
            Stage::Complete => "complete",
            Stage::Failed => "failed",
        },
        "shutdown_room": {
            "kicked_users": kicked.collect::<Vec<_>>(),
            "failed_to_kick_users": failed,
            "local_aliases": aliases,
            "new_room_id": new_room,
        },
    });
    if *stage == Stage::Failed {
        shown["error"] = json!("Some users could not be removed from the room");
    }
    shown
}

fn under_way() -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "This room is being deleted already")
}
