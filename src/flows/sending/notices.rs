//! How does an operator write to a user, in the name of the server?
//! ([server notices](https://spec.matrix.org/v1.19/client-server-api/#server-notices))
//!
//! A user of the server's own, who has no account, makes one room for each user to whom something is to be said, and
//! invites them there as often as they leave. The user's object knows the room.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, json, value::to_raw_value};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    membership::Membership,
    room_version::{DEFAULT, RoomVersion},
};

use super::{
    create_room::{NewRoom, Preset, Unmade, create_room},
    send::{send, send_once},
    unsent::Unsent,
};
use crate::{
    flows::{membership::join, ours::Ours},
    objects::{
        room::messages::{Draft, MembershipOf, Refusal as RoomRefusal, Send, Transaction},
        room_object, user_object,
        user_sync::messages::{NoticeRoom, Refusal},
    },
};

/// How the room is called.
const NAME: &str = "Server Notices";
/// Who has this level may say nothing in the room.
const SILENT: i64 = -10;

/// What is said.
pub struct Notice {
    /// By whom: the server's own user.
    pub sender: OwnedUserId,
    /// To whom: a user of this server.
    pub user: OwnedUserId,
    pub draft: Draft,
    pub transaction: Option<Transaction>,
}

/// Why a notice was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsaid {
    #[error("{0}")]
    Unmade(#[from] Unmade),
    #[error("{0}")]
    Unsent(#[from] Unsent),
    #[error("{0}")]
    User(Refusal),
    #[error("{0}")]
    Ours(#[from] Ours),
}

impl From<AskError<Refusal>> for Unsaid {
    fn from(error: AskError<Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::User(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}

/// Sends a notice, and invites the user who is not in the room. One that was sent before by the same transaction invites
/// nobody who has left since.
pub async fn notify(world: &World, notice: Notice) -> Result<OwnedEventId, Unsaid> {
    let room_id = room(world, &notice).await?;
    let Notice { sender, user, draft, transaction } = notice;
    let message = Send { transaction, ..Send::of(sender.clone(), draft) };
    let (event_id, again) = send_once(world, &room_id, message).await?;
    let of_user = MembershipOf { user: user.clone(), live: false };
    let membership = world.ask(&room_object(&room_id), &of_user).await.map_err(Unsent::from)?;
    if membership.is_none_or(|membership| membership.is_out() && !again) {
        invite(world, &room_id, (sender, &user)).await?;
    }
    Ok(event_id)
}

/// The room for notices to the user; makes it if there is none, or if it was deleted.
async fn room(world: &World, notice: &Notice) -> Result<OwnedRoomId, Unsaid> {
    let (address, sender) = (user_object(&notice.user), notice.sender.clone());
    let known = NoticeRoom { sender: sender.clone(), made: None, instead_of: None };
    let known = world.ask(&address, &known).await?;
    if let Some(room_id) = &known
        && is_in(world, &sender, room_id).await?
    {
        return Ok(room_id.clone());
    }
    let new = NewRoom {
        creator: sender.clone(),
        version: RoomVersion::of(DEFAULT)
            .ok_or_else(|| Ours::broken("the default room version is unknown"))?,
        preset: Preset::PrivateChat,
        creation_content: Map::new(),
        levels_override: Map::from_iter([("users_default".to_owned(), json!(SILENT))]),
        initial_state: Vec::new(),
        alias: None,
        name: Some(NAME.to_owned()),
        topic: None,
        invite: Vec::new(),
        is_direct: false,
        published: false,
    };
    let made = create_room(world, new).await?;
    let note = NoticeRoom { sender, made: Some(made), instead_of: known };
    let held = world.ask(&address, &note).await?;
    Ok(held.ok_or_else(|| Ours::broken("a room for notices was not noted"))?)
}

async fn is_in(world: &World, sender: &UserId, room_id: &RoomId) -> Result<bool, Unsaid> {
    let of_sender = MembershipOf { user: sender.to_owned(), live: true };
    match world.ask(&room_object(room_id), &of_sender).await {
        Ok(membership) => Ok(membership == Some(Membership::Join)),
        Err(AskError::Refused(RoomRefusal::Absent)) => Ok(false),
        Err(error) => Err(Unsent::from(error).into()),
    }
}

async fn invite(
    world: &World,
    room_id: &RoomId,
    (sender, user): (OwnedUserId, &UserId),
) -> Result<(), Unsaid> {
    let mut content = join::member_content(world, user).await.map_err(Ours::from)?;
    content.insert("membership".to_owned(), json!(Membership::Invite));
    let content = to_raw_value(&content).map_err(Ours::from)?;
    send(world, room_id, Send::of(sender, Draft::membership(user, content))).await?;
    Ok(())
}
