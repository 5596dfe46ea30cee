//! How does a local user make a room?
//! ([`createRoom`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom))
//!
//! The create event is built here, since in newer room versions its hash is the room ID. An alias is claimed first, so
//! that no two rooms get it; then the room takes all its first events in one transaction, and the invited users are
//! told.

mod events;
mod power;
#[cfg(test)]
mod tests;
mod unmade;

use std::{pin::pin, time::Duration};

use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::{join, select},
    stream,
};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    admission::Checked,
    event::{self, BuildFault, FormatFault, Links},
    json::canonical_object,
    room_version::RoomVersion,
};

pub use self::unmade::Unmade;
use super::send;
use crate::{
    config::Config,
    flows::{membership::join, ours::Ours, telling::tell},
    objects::{
        room::messages::{Create, Send},
        room_object,
    },
    stores::aliases,
};

/// The type of the event that is third in every room.
const POWER_LEVELS: &str = "m.room.power_levels";

/// How many random letters a room ID has, in room versions where it is not a hash.
const ID_LETTERS: usize = 18;
/// How many users are invited at once, or asked whether they want to be.
const INVITED_AT_ONCE: usize = 5;
/// How long the request waits for these invites.
const PATIENCE: Duration = Duration::from_secs(10);

/// The room that a client asks for.
#[derive(Debug)]
pub struct NewRoom {
    pub creator: OwnedUserId,
    pub version: &'static RoomVersion,
    pub preset: Preset,
    /// Further content of the create event.
    pub creation_content: Map<String, Value>,
    pub levels_override: Map<String, Value>,
    pub initial_state: Vec<InitialState>,
    pub alias: Option<OwnedRoomAliasId>,
    pub name: Option<String>,
    pub topic: Option<String>,
    pub invite: Vec<OwnedUserId>,
    pub is_direct: bool,
    /// Whether the server's directory has the room.
    pub published: bool,
}

/// A state event of the client's own.
#[derive(Debug, serde::Deserialize)]
pub struct InitialState {
    #[serde(rename = "type")]
    pub event_type: String,
    #[serde(default)]
    pub state_key: String,
    pub content: Box<RawValue>,
}

/// A set of initial rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    PrivateChat,
    TrustedPrivateChat,
    PublicChat,
}

/// Makes the room.
pub async fn create_room(world: &World, new: NewRoom) -> Result<OwnedRoomId, Unmade> {
    let own = Config::of(world)?.server_name.clone();
    let (ours, theirs): (Vec<_>, Vec<_>) =
        new.invite.iter().partition(|user| user.server_name() == own);
    if new.initial_state.iter().any(invites) {
        return Err(Unmade::Malformed("Users are invited by `invite`".to_owned()));
    }
    let (room_id, create) = create_event(world, &new)?;
    if !all_want_it(world, &room_id, (&new.creator, &ours)).await? {
        return Err(Unmade::Unwanted);
    }
    let creator = join::member_content(world, &new.creator).await?;
    let contents = stream::iter(&ours).map(|user| join::member_content(world, user));
    let contents: Vec<_> = contents.buffered(INVITED_AT_ONCE).try_collect().await?;
    let invited = ours.into_iter().cloned().zip(contents).collect();
    let events = events::after_create(&new, creator, invited)?;
    if let Some(alias) = &new.alias
        && !aliases::insert(world, alias, &room_id, &new.creator).await?
    {
        return Err(Unmade::AliasTaken);
    }
    let message = Create {
        version: new.version.id.to_string(),
        create,
        creator: new.creator.clone(),
        events,
        published: new.published,
    };
    let created = match world.ask(&room_object(&room_id), &message).await {
        Ok(created) => created,
        Err(error) => {
            if let AskError::Refused(_) = &error {
                give_back(world, &new).await;
            }
            return Err(error.into());
        }
    };
    // Who lists rooms after the answer finds this one; if the copy fails, the room's alarm makes it.
    let listing = tell::listed(world, &room_id, created.listing.as_ref());
    join(tell::tell_now(world, &room_id, created.news), listing).await;
    let inviting = invite(world.clone(), room_id.clone(), drafted_invites(&new, theirs)?);
    let inviting = inviting.boxed_local().shared();
    world.later(inviting.clone());
    // The creator does not wait for slow servers: the invites go on after the answer.
    select(inviting, pin!(world.sleep(PATIENCE))).await;
    Ok(room_id)
}

/// Whether a state event of the client's own invites somebody: it would ask nobody, neither the user nor their server.
fn invites(state: &InitialState) -> bool {
    send::invited_by(&state.event_type, &state.state_key, &state.content).is_some()
}

/// Whether all local users want to be invited. Where one does not, no room is made.
async fn all_want_it(
    world: &World,
    room_id: &RoomId,
    (creator, invited): (&UserId, &[&OwnedUserId]),
) -> Result<bool, Ours> {
    let wants = |user| send::wants_invite(world, room_id, (creator, user));
    let wants: Vec<bool> = stream::iter(invited)
        .map(|user| wants(user))
        .buffered(INVITED_AT_ONCE)
        .try_collect()
        .await?;
    Ok(wants.into_iter().all(|wants| wants))
}

fn drafted_invites(new: &NewRoom, users: Vec<&OwnedUserId>) -> serde_json::Result<Vec<Send>> {
    let draft = |user: &OwnedUserId| {
        let (sender, draft) = (new.creator.clone(), events::invite(new, user, Map::new())?);
        Ok(Send::of(sender, draft))
    };
    users.into_iter().map(draft).collect()
}

/// Invites users of other servers, a few at once. A refused invite, even for an unsupported room version, does not fail
/// the request: the room exists, and a client that is told of a failure makes another room.
async fn invite(world: World, room_id: OwnedRoomId, invites: Vec<Send>) {
    let (world, room_id) = (&world, &*room_id);
    let sent = stream::iter(invites).for_each_concurrent(INVITED_AT_ONCE, |invite| async move {
        let user = invite.draft.state_key.clone();
        if let Err(error) = send::send(world, room_id, invite).await {
            tracing::warn!(?user, %error, "an invite to a new room was not taken");
        }
    });
    sent.await;
}

/// The signed create event, and the ID of its room.
fn create_event(world: &World, new: &NewRoom) -> Result<(OwnedRoomId, Checked), Unmade> {
    let config = Config::of(world)?;
    let content = canonical_object(Value::Object(create_content(new)?))
        .map_err(|fault| Unmade::Malformed(fault.to_string()))?;
    let letters: String =
        world.random().iter().take(ID_LETTERS).map(|byte| letter(*byte)).collect();
    let named = match new.version.room_id_is_create_hash() {
        true => None,
        false => {
            let room_id = RoomId::parse(format!("!{letters}:{}", config.server_name));
            Some(room_id.map_err(Ours::broken)?)
        }
    };
    let draft = event::Draft {
        sender: new.creator.clone(),
        event_type: "m.room.create".to_owned(),
        state_key: Some(String::new()),
        content,
        redacts: None,
    };
    let origin_server_ts = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let links = Links {
        room_id: named.as_deref(),
        prev_events: &[],
        auth_events: &[],
        depth: 1,
        origin_server_ts,
    };
    let built =
        event::build(new.version, draft, links, &config.signing_key, config.server_name.as_str());
    let pdu = built.map_err(|fault| match fault {
        BuildFault::Format(FormatFault::TooLarge(_)) => Unmade::TooLarge(fault.to_string()),
        _ => Unmade::Malformed(fault.to_string()),
    })?;
    let json = RawValue::from_string(pdu.json)?;
    Ok((pdu.room_id, Checked { event_id: pdu.event_id, json }))
}

/// The content of the create event. The client cannot choose the room version and the creator.
fn create_content(new: &NewRoom) -> Result<Map<String, Value>, Unmade> {
    let rules = &new.version.rules.authorization;
    let mut content = new.creation_content.clone();
    content.remove("creator");
    if !rules.use_room_create_sender {
        content.insert("creator".to_owned(), json!(new.creator));
    }
    content.insert("room_version".to_owned(), json!(new.version.id.as_str()));
    if !rules.additional_room_creators {
        return Ok(content);
    }
    let mut creators = match content.remove("additional_creators") {
        None => Vec::new(),
        Some(creators) => {
            serde_json::from_value::<Vec<OwnedUserId>>(creators).map_err(|_| Unmade::Creators)?
        }
    };
    if new.preset == Preset::TrustedPrivateChat {
        creators.extend(new.invite.iter().cloned());
    }
    let mut distinct = Vec::new();
    for creator in creators {
        if creator != new.creator && !distinct.contains(&creator) {
            distinct.push(creator);
        }
    }
    if !distinct.is_empty() {
        content.insert("additional_creators".to_owned(), json!(distinct));
    }
    Ok(content)
}

fn letter(byte: u8) -> char {
    let letter = byte % 52;
    char::from(if letter < 26 { b'a' + letter } else { b'A' + letter - 26 })
}

/// Frees the alias of a room that was not made.
async fn give_back(world: &World, new: &NewRoom) {
    if let Some(alias) = &new.alias
        && let Err(error) = aliases::delete(world, alias).await
    {
        tracing::warn!(%alias, %error, "an alias of a room that was not made cannot be given back");
    }
}

/// Whether this is the state event of the type with the empty state key.
fn is_key(initial: &InitialState, event_type: &str) -> bool {
    initial.event_type == event_type && initial.state_key.is_empty()
}
