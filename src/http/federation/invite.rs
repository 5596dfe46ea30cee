//! How do other servers invite our users? ([inviting](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room))
//!
//! An invite of another server gets our signature only if it invites one of our users, its sender belongs to the server
//! that asks, and it is of the room that the path names.

use http::{Method, StatusCode};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    admission::Checked,
    canonical_json,
    event::{self, Pdu},
    json::parse_object,
    membership::Membership,
    room_version::RoomVersion,
};

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Error, Result, forbidden, incompatible, internal, invalid_param},
    flows::{
        appservices::{appservices, queries},
        receive::verify,
        telling::tell,
    },
    http::{endpoint::fault_response, router::Router},
    objects::{room::messages::Invited, room_object, user_object, user_sync::messages::MayInvite},
    stores::accounts,
};

#[derive(Deserialize)]
struct Invite {
    room_version: String,
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

pub fn routes(router: &mut Router) {
    router.federation(&Method::PUT, "/_matrix/federation/v2/invite/{room_id}/{event_id}", invite);
    router.federation(
        &Method::PUT,
        "/_matrix/federation/v1/invite/{room_id}/{event_id}",
        invite_v1,
    );
}

#[derive(Serialize)]
struct Countersigned {
    event: Box<RawValue>,
}

async fn invite(
    world: World,
    signed: Signed,
    path: (OwnedRoomId, OwnedEventId),
) -> Result<Countersigned> {
    let Invite { room_version, event, invite_room_state } = signed.body()?;
    let version = RoomVersion::of(&room_version).ok_or_else(|| unsupported(&room_version))?;
    let verdict = verify::verify(&world, [(version, &*event)])
        .await
        .pop()
        .ok_or_else(|| invalid_param("There is no event"))?;
    let event = verdict?;
    let pdu = event.pdu(version).map_err(|fault| invalid_param(fault.to_string()))?;
    check(&world, &signed, path, &pdu).await?;
    check_create(version, &pdu.room_id, &invite_room_state)?;
    let stripped = event::shown(&invite_room_state, &pdu.sender).ok_or_else(too_large)?;
    let countersigned = countersign(&world, version, &event)?;
    let invited = Invited {
        version: room_version,
        event: countersigned.clone(),
        origin: signed.origin.clone(),
        stripped,
    };
    world.ask(&room_object(&pdu.room_id), &invited).await?;
    tell::tell_locals(&world, &pdu.room_id).await;
    Ok(Countersigned { event: countersigned.json })
}

/// Version 1 of the endpoint carries no room version: it is for room versions 1 and 2, which are not supported. It
/// refuses everything, so neither ACLs nor the invited user's rules are asked.
async fn invite_v1(_: World, _: Signed, _: ()) -> Result<Countersigned> {
    Err(unsupported("1"))
}

async fn check(
    world: &World,
    signed: &Signed,
    path: (OwnedRoomId, OwnedEventId),
    pdu: &Pdu,
) -> Result<()> {
    let (room_id, event_id) = path;
    let fits = pdu.room_id == room_id
        && pdu.event_id == event_id
        && pdu.kind() == "m.room.member"
        && pdu.membership() == Some(Membership::Invite);
    let invited = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok()).filter(|_| fits);
    let invited =
        invited.ok_or_else(|| invalid_param("This is not the invite that the path names"))?;
    if pdu.sender.server_name() != signed.origin {
        return Err(invalid_param("The inviting user is of another server"));
    }
    if invited.server_name() != Config::of(world)?.server_name {
        return Err(invalid_param("The invited user is not of this server"));
    }
    queries::ask_for_user(world, &invited).await?;
    let account = accounts::find(world, invited.localpart()).await?;
    let is_sender = account.is_none() && appservices(world).await?.has_sender(&invited);
    if !is_sender && account.is_none_or(|account| account.deactivated) {
        return Err(forbidden("There is no such user"));
    }
    let may_invite = MayInvite { room_id, inviter: Some(pdu.sender.clone()) };
    Ok(world.ask(&user_object(&invited), &may_invite).await?)
}

/// If the room ID is the hash of the create event, `invite_room_state` must have that event
/// ([MSC4311](https://github.com/matrix-org/matrix-spec-proposals/pull/4311)).
///
/// The proposal asks for whole, signed events in the other entries as well. Synapse 1.163 sends those stripped, so
/// verifying them would hide the names of its rooms.
fn check_create(version: &RoomVersion, room_id: &RoomId, given: &[Box<RawValue>]) -> Result<()> {
    if !version.room_id_is_create_hash() {
        return Ok(());
    }
    let is_create = |event: &RawValue| {
        let kind = event::field(event, "type");
        kind.is_some_and(|kind| kind.get() == "\"m.room.create\"")
    };
    let create = given
        .iter()
        .find(|event| is_create(event))
        .ok_or_else(|| invalid_param("invite_room_state has no m.room.create"))?;
    let id = parse_object(create.get().as_bytes()).map(|create| event::event_id(&create, version));
    if id.ok() != event::create_event_id(room_id) {
        return Err(invalid_param("The m.room.create of invite_room_state is not the room's"));
    }
    Ok(())
}

fn countersign(world: &World, version: &RoomVersion, event: &Checked) -> Result<Checked> {
    let config = Config::of(world)?;
    let mut object =
        parse_object(event.json.get().as_bytes()).map_err(|fault| fault_response(&fault))?;
    config.signing_key.sign_event(version, &mut object, config.server_name.as_str());
    let json = RawValue::from_string(canonical_json::to_string(&object)).map_err(internal)?;
    Ok(Checked { event_id: event.event_id.clone(), json })
}

fn too_large() -> Error {
    let message = "invite_room_state is too large";
    Error::new(StatusCode::BAD_REQUEST, "M_TOO_LARGE", message)
}

fn unsupported(version: &str) -> Error {
    incompatible("This room version is not supported", Some(version))
}
