//! How does a client read and write the state of a room?
//! ([getting events for a room](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room))

use http::StatusCode;
use ruma::{
    OwnedRoomAliasId, RoomId,
    api::client::state::{
        get_state_event_for_key::v3::{self as get_state_event, StateEventFormat},
        get_state_events::v3 as get_state_events,
        send_state_event::v3 as send_state_event,
    },
    serde::Raw,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::acl::ServerAcl;

use super::{
    aliases, ask_room,
    events::{self, massaged},
    not_in_room,
};
use crate::{
    config::Config,
    error::{Error, Result, bad_json, forbidden, internal, invalid_param, not_found},
    http::{
        auth::{Reader, Session},
        router::Router,
    },
    objects::{
        room::messages::{Draft, Send, State},
        user_sync::messages::Cost,
    },
};

/// The paths for the empty state key, which ruma's types can read but do not list.
pub const KEYLESS: [&str; 4] = [
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
];

pub fn routes(router: &mut Router) {
    router.reading::<get_state_events::Request, _, _>(not_in_room, whole);
    router.reading::<get_state_event::Request, _, _>(not_in_room, one);
    router.costly::<send_state_event::Request, _, _>(Cost::Event, send);
    router.reading_at::<get_state_event::Request, _, _>(&KEYLESS, not_in_room, one);
    router.costly_at::<send_state_event::Request, _, _>(&KEYLESS, Cost::Event, send);
}

async fn whole(
    world: World,
    Reader { session: caller, .. }: Reader,
    request: get_state_events::Request,
) -> Result<get_state_events::Response> {
    let state = State { user: caller.user, event_type: None, state_key: None };
    let events = ask_room(&world, &request.room_id, &state).await?;
    Ok(get_state_events::Response::new(events.into_iter().map(Raw::from_json).collect()))
}

async fn one(
    world: World,
    Reader { session: caller, .. }: Reader,
    request: get_state_event::Request,
) -> Result<get_state_event::Response> {
    let whole = match request.format {
        StateEventFormat::Event => true,
        StateEventFormat::Content => false,
        _ => return Err(invalid_param("format is neither content nor event")),
    };
    let event = event(
        &world,
        &caller,
        &request.room_id,
        (&request.event_type.to_string(), &request.state_key),
    )
    .await?
    .ok_or_else(|| not_found("There is no such state"))?;
    let shown = if whole { event } else { content_of(&event)? };
    Ok(get_state_event::Response::new(shown))
}

async fn send(
    world: World,
    caller: Session,
    request: send_state_event::Request,
) -> Result<send_state_event::Response> {
    let event_type = request.event_type.to_string();
    let content = request.body.into_json();
    let draft = Draft { event_type, state_key: Some(request.state_key), content, redacts: None };
    check(&world, &caller, &request.room_id, &draft).await?;
    let ts = massaged(&caller, request.timestamp);
    let event = Send { ts, ..Send::of(caller.user, draft) };
    let event_id = events::send(&world, &request.room_id, event).await?;
    Ok(send_state_event::Response::new(event_id))
}

/// Refuses state that the rules of the room would allow, but that cannot be meant.
pub async fn check(world: &World, caller: &Session, room_id: &RoomId, draft: &Draft) -> Result<()> {
    match draft.event_type.as_str() {
        aliases::CANONICAL_ALIAS => check_aliases(world, caller, room_id, &draft.content).await,
        "m.room.server_acl" => check_acl(world, &draft.content),
        _ => Ok(()),
    }
}

/// One event of the state, as the caller may see it; `None` if there is none.
async fn event(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    key: (&str, &str),
) -> Result<Option<Box<RawValue>>> {
    let (event_type, state_key) = (Some(key.0.to_owned()), Some(key.1.to_owned()));
    let state = State { user: caller.user.clone(), event_type, state_key };
    Ok(ask_room(world, room_id, &state).await?.into_iter().next())
}

/// The content of an event.
fn content_of(event: &RawValue) -> Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Event {
        content: Box<RawValue>,
    }
    Ok(serde_json::from_str::<Event>(event.get()).map_err(internal)?.content)
}

/// The aliases a canonical alias event names.
#[derive(Default, Deserialize)]
struct CanonicalAlias {
    alias: Option<String>,
    #[serde(default)]
    alt_aliases: Vec<String>,
}

impl CanonicalAlias {
    fn all(self) -> impl Iterator<Item = String> {
        self.alias.into_iter().filter(|alias| !alias.is_empty()).chain(self.alt_aliases)
    }
}

/// Refuses aliases that are new in this event and do not lead to the room
/// ([`m.room.canonical_alias`](https://spec.matrix.org/v1.19/client-server-api/#mroomcanonical_alias)).
async fn check_aliases(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    content: &RawValue,
) -> Result<()> {
    // A user who may not set the aliases must not make us ask other servers.
    if !aliases::manages(world, caller, room_id).await? {
        return Err(forbidden("You may not set the aliases of this room"));
    }
    let new: CanonicalAlias =
        serde_json::from_str(content.get()).map_err(|error| bad_json(error.to_string()))?;
    let held = match event(world, caller, room_id, (aliases::CANONICAL_ALIAS, "")).await? {
        // The current event may be malformed.
        Some(event) => {
            serde_json::from_str::<CanonicalAlias>(content_of(&event)?.get()).unwrap_or_default()
        }
        None => CanonicalAlias::default(),
    };
    let held: Vec<String> = held.all().collect();
    for alias in new.all().filter(|alias| !held.contains(alias)) {
        let alias: OwnedRoomAliasId = alias.try_into().map_err(|_| {
            Error::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", "That is no alias")
        })?;
        let found = aliases::resolve(world, &alias).await?;
        if found.is_none_or(|found| found.room_id != room_id) {
            let message = format!("{alias} does not lead to this room");
            return Err(Error::new(StatusCode::BAD_REQUEST, "M_BAD_ALIAS", message));
        }
    }
    Ok(())
}

/// Refuses an ACL that would shut this server out of the room.
fn check_acl(world: &World, content: &RawValue) -> Result<()> {
    if ServerAcl::of(content).admits(Config::of(world)?.server_name.as_str()) {
        return Ok(());
    }
    Err(forbidden("This ACL would shut your own server out"))
}
