//! How does a room get another version? By another room that replaces it.
//! ([room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades))
//!
//! The new room is made first, with what goes over; the tombstone in the old one leads there. What a failure leaves is a
//! room that nobody is led to. What users have set for the old room goes over when they join the new one
//! (`objects/user_sync/replaced.rs`).

mod levels;

use ruma::{OwnedRoomId, OwnedUserId, RoomAliasId, RoomId};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::room_version::RoomVersion;

use self::levels::Levels;
use super::{
    create_room::{InitialState, NewRoom, Preset, Unmade, create_room},
    send,
    unsent::Unsent,
};
use crate::{
    config::Config,
    objects::{
        room::messages::{Draft, Publish, Send, StateItem, Transferable, TransferableReply},
        room_object,
    },
    stores::aliases,
};

const POWER_LEVELS: &str = "m.room.power_levels";
const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// What a client asks for.
pub struct Upgrade {
    pub user: OwnedUserId,
    pub room_id: OwnedRoomId,
    pub version: &'static RoomVersion,
    /// Who else creates the new room, where its version knows that.
    pub additional_creators: Vec<OwnedUserId>,
}

/// Why a room was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum Unreplaced {
    #[error("{0}")]
    Unmade(#[from] Unmade),
    #[error("{0}")]
    Unsent(#[from] Unsent),
}

/// Replaces a room; answers which is the new one.
pub async fn upgrade(world: &World, upgrade: Upgrade) -> Result<OwnedRoomId, Unreplaced> {
    let ask = Transferable { user: upgrade.user.clone() };
    let old = world.ask(&room_object(&upgrade.room_id), &ask).await.map_err(Unsent::from)?;
    // Asked again after its answer was lost, or when somebody was faster: there is one replacement.
    if let Some(new) = old.replaced_by {
        return Ok(new);
    }
    let levels = Levels::of(&upgrade, &old)?;
    let new = create_room(world, new_room(&upgrade, &old, &levels)?).await?;
    if let Some(settled) = &levels.settled {
        state(world, &new, &upgrade.user, (POWER_LEVELS, settled)).await?;
    }
    let tombstone = json!({ "body": "This room has been replaced", "replacement_room": new });
    state(world, &upgrade.room_id, &upgrade.user, ("m.room.tombstone", &tombstone)).await?;
    let moved = move_aliases(world, (&upgrade, &new), &old).await;
    let silenced = (POWER_LEVELS, &levels.silenced);
    let silenced = state(world, &upgrade.room_id, &upgrade.user, silenced).await;
    let listed = if old.published { list(world, (&upgrade, &new)).await } else { Ok(()) };
    // The room is replaced: who may not set the levels or the alias of the old one has done what they could.
    for error in [moved, silenced, listed].into_iter().filter_map(Result::err) {
        tracing::info!(room = %upgrade.room_id, %error, "not everything of a replaced room was settled");
    }
    Ok(new)
}

/// The room that replaces the old one.
fn new_room(
    upgrade: &Upgrade,
    old: &TransferableReply,
    levels: &Levels,
) -> Result<NewRoom, Unmade> {
    let held: Map<String, Value> = serde_json::from_str(old.create.get())?;
    let mut creation_content = Map::new();
    for kept in ["type", "m.federate"] {
        creation_content.extend(held.get(kept).map(|value| (kept.to_owned(), value.clone())));
    }
    let mut predecessor = json!({ "room_id": upgrade.room_id });
    // A create event whose hash names the room cites no event of the old one.
    let cites = !upgrade.version.room_id_is_create_hash();
    if let Some(last) = old.last_event.as_ref().filter(|_| cites) {
        predecessor["event_id"] = json!(last);
    }
    creation_content.insert("predecessor".to_owned(), predecessor);
    if !upgrade.additional_creators.is_empty()
        && upgrade.version.rules.authorization.additional_room_creators
    {
        let creators = json!(upgrade.additional_creators);
        creation_content.insert("additional_creators".to_owned(), creators);
    }
    let own_settings = [POWER_LEVELS, CANONICAL_ALIAS];
    let goes_over = |item: &&StateItem| !own_settings.contains(&item.event_type.as_str());
    let mut initial_state: Vec<InitialState> =
        old.state.iter().filter(goes_over).map(initial).collect();
    if !initial_state.iter().any(|state| state.event_type == "m.room.join_rules") {
        initial_state.push(of("m.room.join_rules", &json!({ "join_rule": "invite" }))?);
    }
    initial_state.push(of(POWER_LEVELS, &levels.first)?);
    Ok(NewRoom {
        creator: upgrade.user.clone(),
        version: upgrade.version,
        // It adds nothing that the old room does not have.
        preset: Preset::PublicChat,
        creation_content,
        levels_override: Map::new(),
        initial_state,
        alias: None,
        name: None,
        topic: None,
        invite: Vec::new(),
        is_direct: false,
        published: false,
    })
}

fn initial(item: &StateItem) -> InitialState {
    let StateItem { event_type, state_key, content } = item.clone();
    InitialState { event_type, state_key, content }
}

fn of(event_type: &str, content: &Value) -> serde_json::Result<InitialState> {
    let content = serde_json::value::to_raw_value(content)?;
    Ok(InitialState { event_type: event_type.to_owned(), state_key: String::new(), content })
}

/// Has our aliases of the old room name the new one, where they were its canonical ones too.
async fn move_aliases(
    world: &World,
    (upgrade, new): (&Upgrade, &RoomId),
    old: &TransferableReply,
) -> Result<(), Unsent> {
    aliases::replace_room(world, &upgrade.room_id, new).await?;
    let held = old.state.iter().find(|item| item.event_type == CANONICAL_ALIAS);
    let Some(held) = held else { return Ok(()) };
    let config = Config::of(world)?;
    let is_ours = |alias: &Value| {
        let alias = alias.as_str().and_then(|alias| RoomAliasId::parse(alias).ok());
        alias.is_some_and(|alias| alias.server_name() == config.server_name)
    };
    let (ours, others) = split(&held.content, is_ours)?;
    if ours.as_object().is_none_or(Map::is_empty) {
        return Ok(());
    }
    state(world, &upgrade.room_id, &upgrade.user, (CANONICAL_ALIAS, &others)).await?;
    state(world, new, &upgrade.user, (CANONICAL_ALIAS, &ours)).await
}

/// Has the directory list the new room in the place of the old one; the telling of each copies that to D1.
async fn list(world: &World, (upgrade, new): (&Upgrade, &RoomId)) -> Result<(), Unsent> {
    for (room_id, published) in [(new, true), (&*upgrade.room_id, false)] {
        let publish = Publish { user: upgrade.user.clone(), admin: false, published };
        world.ask(&room_object(room_id), &publish).await?;
    }
    Ok(())
}

/// The canonical aliases that are of one kind, and the others.
fn split(
    content: &RawValue,
    is_ours: impl Fn(&Value) -> bool,
) -> serde_json::Result<(Value, Value)> {
    let content: Map<String, Value> = serde_json::from_str(content.get())?;
    let (mut ours, mut others) = (Map::new(), Map::new());
    for (name, value) in content {
        match value {
            Value::Array(aliases) if name == "alt_aliases" => {
                let (of_ours, of_others): (Vec<_>, Vec<_>) =
                    aliases.into_iter().partition(&is_ours);
                for (part, aliases) in [(&mut ours, of_ours), (&mut others, of_others)] {
                    if !aliases.is_empty() {
                        part.insert(name.clone(), Value::Array(aliases));
                    }
                }
            }
            value if name == "alias" && is_ours(&value) => _ = ours.insert(name, value),
            value => _ = others.insert(name, value),
        }
    }
    Ok((Value::Object(ours), Value::Object(others)))
}

/// Sends state of a user, with an empty key.
async fn state(
    world: &World,
    room_id: &RoomId,
    user: &OwnedUserId,
    (event_type, content): (&str, &Value),
) -> Result<(), Unsent> {
    let draft = Draft {
        event_type: event_type.to_owned(),
        state_key: Some(String::new()),
        content: serde_json::value::to_raw_value(content)?,
        redacts: None,
    };
    send::send(world, room_id, Send::of(user.clone(), draft)).await.map(|_| ())
}
