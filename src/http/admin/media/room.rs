//! Which media do the events of a room name, as far as they are not encrypted?

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedRoomId, RoomId};
use serde_json::json;
use tombolo_platform::{AskError, World};

use crate::{
    config::Config,
    error::Result,
    http::{admin::must_be_admin, endpoint::json_response, router::Router},
    objects::{
        room::messages::{MediaNamed, Refusal},
        room_object,
    },
    stores::media,
};

const OF_ROOM: &str = "/_synapse/admin/v1/room/{room_id}/media";
const QUARANTINE: &str = "/_synapse/admin/v1/room/{room_id}/media/quarantine";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, OF_ROOM, list);
    router.page(&Method::POST, QUARANTINE, quarantine);
}

async fn list(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let own = format!("mxc://{}/", Config::of(&world)?.server_name);
    let named = named_in(&world, &room_id).await?.into_iter();
    let (local, remote): (Vec<String>, Vec<String>) = named.partition(|url| url.starts_with(&own));
    json_response(StatusCode::OK, &json!({ "local": local, "remote": remote }))
}

/// Quarantines what the events of a room name and this server holds.
async fn quarantine(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let named = named_in(&world, &room_id).await?;
    let names = named.iter().filter_map(|url| url.strip_prefix("mxc://")?.split_once('/'));
    let quarantined = media::quarantine_these(&world, &names.collect::<Vec<_>>()).await?;
    json_response(StatusCode::OK, &json!({ "num_quarantined": quarantined }))
}

/// The room looks through so many events at a time; what is named twice is told once. A room that is not known names none.
async fn named_in(world: &World, room_id: &RoomId) -> Result<BTreeSet<String>> {
    let (mut named, mut after) = (BTreeSet::new(), Some(0));
    while let Some(event) = after {
        match world.ask(&room_object(room_id), &MediaNamed { after: event }).await {
            Ok(found) => {
                named.extend(found.urls);
                after = found.next;
            }
            Err(AskError::Refused(Refusal::Absent)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(named)
}
