//! How does a client make a room?
//! ([`createRoom`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom))

use http::StatusCode;
use ruma::{
    RoomAliasId, ServerName,
    api::client::room::{
        Visibility,
        create_room::v3::{self as create_room, RoomPreset},
    },
    serde::Raw,
};
use serde_json::{Map, Value};
use tombolo_platform::World;
use tombolo_protocol::room_version::{DEFAULT, RoomVersion};

use super::aliases;
use crate::{
    config::Config,
    error::{Error, Result, bad_json, forbidden, invalid_param},
    flows::sending::create_room::{NewRoom, Preset, create_room as make},
    http::{auth::Session, router::Router},
    objects::user_sync::messages::Cost,
};

/// How many users one request can invite.
const MAX_INVITES: usize = 100;

pub fn routes(router: &mut Router) {
    router.costly::<create_room::Request, _, _>(Cost::Membership, create);
}

async fn create(
    world: World,
    caller: Session,
    request: create_room::Request,
) -> Result<create_room::Response> {
    if !request.invite_3pid.is_empty() {
        return Err(forbidden("Third-party invites are not supported"));
    }
    if request.invite.len() > MAX_INVITES {
        return Err(invalid_param("Too many users are invited at once"));
    }
    let config = Config::of(&world)?;
    let alias = match &request.room_alias_name {
        Some(name) => Some(alias(&world, name, &config.server_name)?),
        None => None,
    };
    if let Some(alias) = &alias {
        aliases::must_be_free_to(&world, &caller, alias).await?;
    }
    let initial_state =
        request.initial_state.iter().map(|event| serde_json::from_str(event.json().get()));
    let mut invite = Vec::new();
    for user in request.invite {
        if !invite.contains(&user) {
            invite.push(user);
        }
    }
    let new = NewRoom {
        creator: caller.user,
        version: version(
            request.room_version.as_ref().map_or(DEFAULT, |version| version.as_str()),
        )?,
        preset: preset(request.preset.as_ref(), &request.visibility)?,
        creation_content: object(request.creation_content.as_ref())?,
        levels_override: object(request.power_level_content_override.as_ref())?,
        initial_state: initial_state
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| bad_json(error.to_string()))?,
        alias,
        name: request.name,
        topic: request.topic,
        invite,
        is_direct: request.is_direct,
        published: request.visibility == Visibility::Public,
    };
    Ok(create_room::Response::new(make(&world, new).await?))
}

/// The room version of this name, if it is supported.
pub fn version(id: &str) -> Result<&'static RoomVersion> {
    let unsupported = || {
        Error::new(
            StatusCode::BAD_REQUEST,
            "M_UNSUPPORTED_ROOM_VERSION",
            "This room version is not supported",
        )
    };
    RoomVersion::of(id).ok_or_else(unsupported)
}

/// The preset, or else the one that the visibility stands for.
fn preset(preset: Option<&RoomPreset>, visibility: &Visibility) -> Result<Preset> {
    match preset {
        Some(RoomPreset::PublicChat) => Ok(Preset::PublicChat),
        Some(RoomPreset::PrivateChat) => Ok(Preset::PrivateChat),
        Some(RoomPreset::TrustedPrivateChat) => Ok(Preset::TrustedPrivateChat),
        Some(_) => Err(invalid_param("Unknown preset")),
        None if *visibility == Visibility::Public => Ok(Preset::PublicChat),
        None => Ok(Preset::PrivateChat),
    }
}

fn alias(world: &World, name: &str, server_name: &ServerName) -> Result<ruma::OwnedRoomAliasId> {
    let alias = RoomAliasId::parse(format!("#{name}:{server_name}"))
        .map_err(|error| invalid_param(error.to_string()))?;
    // A colon in the name would make it an alias of another server.
    if name.contains(':') {
        return Err(invalid_param("The alias name has a colon"));
    }
    aliases::must_be_ours(world, &alias)?;
    Ok(alias)
}

fn object<T>(raw: Option<&Raw<T>>) -> Result<Map<String, Value>> {
    let Some(raw) = raw else { return Ok(Map::new()) };
    serde_json::from_str(raw.json().get()).map_err(|error| bad_json(error.to_string()))
}
