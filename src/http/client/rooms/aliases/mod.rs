//! Which room does an alias name?
//! ([room aliases](https://spec.matrix.org/v1.19/client-server-api/#room-aliases))

use std::collections::BTreeMap;

use http::StatusCode;
use ruma::{
    OwnedRoomId, OwnedServerName, RoomAliasId, RoomId,
    api::client::{
        alias::{
            create_alias::v3 as create_alias, delete_alias::v3 as delete_alias,
            get_alias::v3 as get_alias,
        },
        room::aliases::v3 as room_aliases,
    },
};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::{AskError, World};
use tombolo_protocol::event::field;

use super::{ask_room, events::send_draft, must_be_joined, not_in_room};
use crate::{
    config::Config,
    error::{Error, Result, exclusive, forbidden, invalid_param, not_found},
    flows::appservices::{appservices, queries},
    http::{
        auth::{Reader, Session},
        rate_limit::{Kind, Stranger},
        router::Router,
    },
    objects::{
        room::messages::{Draft, MayRead, MaySend, Participants, State},
        room_object,
    },
    remote::{
        api,
        client::{self, Ask},
    },
    stores::aliases,
};

pub const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// The longest alias, in bytes.
const MAX_BYTES: usize = 255;

pub fn routes(router: &mut Router) {
    router.endpoint::<get_alias::Request, _, _>(find);
    router.endpoint::<create_alias::Request, _, _>(create);
    router.endpoint::<delete_alias::Request, _, _>(delete);
    router.reading::<room_aliases::Request, _, _>(not_in_room, of_room);
}

/// The room of an alias.
#[derive(Debug, Deserialize)]
pub struct Found {
    pub room_id: OwnedRoomId,
    /// Servers through which the room may be joined.
    pub servers: Vec<OwnedServerName>,
}

/// The room of an alias, from this server or the alias's own; `None` if there is no such alias.
pub async fn resolve(world: &World, alias: &RoomAliasId) -> Result<Option<Found>> {
    let config = Config::of(world)?;
    if alias.server_name() != config.server_name {
        let path = api::directory(alias);
        return match client::ask(world, alias.server_name(), Ask::get(&path)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let mut held = aliases::find(world, alias).await?;
    if held.is_none() && queries::ask_for_alias(world, alias).await? {
        held = aliases::find(world, alias).await?;
    }
    let Some(held) = held else { return Ok(None) };
    let mut servers = match world.ask(&room_object(&held.room_id), &Participants {}).await {
        Ok(participants) => participants.servers,
        Err(AskError::Refused(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    servers.retain(|server| *server != config.server_name);
    servers.insert(0, config.server_name.clone());
    Ok(Some(Found { room_id: held.room_id, servers }))
}

/// Refuses an alias that does not belong to this server or is malformed.
pub fn must_be_ours(world: &World, alias: &RoomAliasId) -> Result<()> {
    let ours = alias.server_name() == Config::of(world)?.server_name;
    let formed = alias.as_str().len() <= MAX_BYTES
        && !alias.alias().contains(|letter: char| letter.is_control() || letter.is_whitespace());
    if ours && formed && !alias.alias().is_empty() {
        Ok(())
    } else {
        Err(invalid_param("This is no alias of this server"))
    }
}

/// Refuses an alias that only another application service makes and deletes, and a service one that is not of its
/// namespace.
pub async fn must_be_free_to(world: &World, caller: &Session, alias: &RoomAliasId) -> Result<()> {
    let by = caller.appservice.as_deref();
    if by.is_some_and(|service| !service.has_alias(alias.as_str())) {
        return Err(exclusive("This alias is not of the application service's namespace"));
    }
    match appservices(world).await?.alias_owned_by_others(alias.as_str(), by) {
        true => Err(exclusive("This alias is for an application service")),
        false => Ok(()),
    }
}

async fn find(
    world: World,
    stranger: Stranger,
    request: get_alias::Request,
) -> Result<get_alias::Response> {
    match appservices(&world).await?.has_alias(request.room_alias.as_str()) {
        // A service may be asked.
        true => stranger.count(&world, Kind::Errand)?,
        false => stranger.count_errand(&world, request.room_alias.server_name())?,
    }
    let found = resolve(&world, &request.room_alias).await?.ok_or_else(unknown)?;
    Ok(get_alias::Response::new(found.room_id, found.servers))
}

async fn create(
    world: World,
    caller: Session,
    request: create_alias::Request,
) -> Result<create_alias::Response> {
    must_be_ours(&world, &request.room_alias)?;
    must_be_free_to(&world, &caller, &request.room_alias).await?;
    // A service has full control over the aliases of its namespace.
    if caller.appservice.is_none() {
        must_be_joined(&world, &caller.user, &request.room_id).await?;
    }
    if aliases::insert(&world, &request.room_alias, &request.room_id, &caller.user).await? {
        return Ok(create_alias::Response::new());
    }
    Err(Error::new(StatusCode::CONFLICT, "M_UNKNOWN", "The alias is taken"))
}

async fn delete(
    world: World,
    caller: Session,
    request: delete_alias::Request,
) -> Result<delete_alias::Response> {
    must_be_ours(&world, &request.room_alias)?;
    must_be_free_to(&world, &caller, &request.room_alias).await?;
    let held = aliases::find(&world, &request.room_alias).await?.ok_or_else(unknown)?;
    let may = held.creator == caller.user || caller.appservice.is_some();
    if !may && !manages(&world, &caller, &held.room_id).await? {
        return Err(forbidden(
            "Neither did you make this alias, nor may you set the room's canonical alias",
        ));
    }
    aliases::delete(&world, &request.room_alias).await?;
    // The alias is gone, whether or not the room can be told so.
    if let Err(error) = drop_canonical(&world, &caller, &held.room_id, &request.room_alias).await {
        tracing::info!(room = %held.room_id, ?error, "a deleted alias is still canonical");
    }
    Ok(delete_alias::Response::new())
}

/// Takes an alias out of those that the room calls its own; refused if the caller may not set these.
async fn drop_canonical(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    alias: &RoomAliasId,
) -> Result<()> {
    let (event_type, state_key) = (CANONICAL_ALIAS.to_owned(), String::new());
    let (kind, key) = (Some(event_type.clone()), Some(state_key.clone()));
    let state = State { user: caller.user.clone(), event_type: kind, state_key: key };
    let events = ask_room(world, room_id, &state).await?;
    let content = events.first().and_then(|event| field(event, "content"));
    let Some(content) = content.and_then(|content| without(content, alias)) else { return Ok(()) };
    let (content, state_key) = (to_raw_value(&content)?, Some(state_key));
    let draft = Draft { event_type, state_key, content, redacts: None };
    send_draft(world, caller, room_id, draft, None).await.map(|_| ())
}

/// The content of a canonical alias event without an alias; `None` if that is not in it.
fn without(content: &RawValue, alias: &RoomAliasId) -> Option<BTreeMap<String, Box<RawValue>>> {
    // Other fields stay text: they may be nested deeper than `serde_json` makes values of.
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(content.get()).ok()?;
    let is_it = |text: &RawValue| {
        serde_json::from_str::<String>(text.get()).is_ok_and(|text| text == alias.as_str())
    };
    let is_canonical = fields.get("alias").is_some_and(|text| is_it(text));
    if is_canonical {
        fields.remove("alias");
    }
    let others = fields.get("alt_aliases").map(|text| text.get());
    let others = others.and_then(|text| serde_json::from_str::<Vec<Box<RawValue>>>(text).ok());
    let mut others = others.unwrap_or_default();
    let count = others.len();
    others.retain(|text| !is_it(text));
    let is_other = others.len() < count;
    if is_other && others.is_empty() {
        fields.remove("alt_aliases");
    } else if is_other {
        fields.insert("alt_aliases".to_owned(), to_raw_value(&others).ok()?);
    }
    (is_canonical || is_other).then_some(fields)
}

async fn of_room(
    world: World,
    Reader { session: caller, .. }: Reader,
    request: room_aliases::Request,
) -> Result<room_aliases::Response> {
    if !ask_room(&world, &request.room_id, &MayRead { user: caller.user }).await? {
        return Err(not_in_room());
    }
    Ok(room_aliases::Response::new(aliases::of_room(&world, &request.room_id).await?))
}

/// Whether the caller may set the room's canonical alias.
pub async fn manages(world: &World, caller: &Session, room_id: &RoomId) -> Result<bool> {
    let may = MaySend {
        user: caller.user.clone(),
        event_type: CANONICAL_ALIAS.to_owned(),
        is_state: true,
    };
    match world.ask(&room_object(room_id), &may).await {
        Err(AskError::Refused(_)) => Ok(false),
        may => Ok(may?),
    }
}

/// The error for an unknown alias.
pub fn unknown() -> Error {
    not_found("There is no such alias")
}
