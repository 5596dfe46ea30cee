//! What is a room that somebody looks at, here or elsewhere, and may they know it?
//! ([spaces](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces))
//!
//! A room in which one of our users is answers for itself. Of another room its servers are asked, and what one says holds
//! for who asked that server: one that lies about a room spoils nothing for who goes by another.

use std::rc::Rc;

use ruma::{OwnedRoomId, OwnedServerName, RoomId, UserId};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::remote::{self, Answer};
use crate::{
    flows::{
        membership::join::{member_of, residents},
        ours::Ours,
    },
    objects::{
        room::messages::{Access, Asker, Child, Look, Looked, OutOfBand, Summary},
        room_object,
    },
};

/// How many servers are asked of one room, at most.
const MAX_SERVERS: usize = 3;

/// A room that the asker may know.
#[derive(Debug)]
pub struct Seen {
    pub summary: Summary,
    pub membership: Option<Membership>,
    pub children: Vec<Child>,
    /// What the server said that was asked of it.
    pub answer: Option<Rc<Answer>>,
}

/// What a room of ours says.
pub enum Here {
    /// None of our users is in it.
    Absent,
    /// The asker may not know it.
    Closed,
    Seen(Box<Seen>),
}

/// What is looked for.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// `None`: nobody who is known.
    pub user: Option<&'a UserId>,
    /// Whether the children of a space are wanted.
    pub children: bool,
    pub suggested_only: bool,
}

/// Looks at a room, by these servers where it is not here; `None` where the user may not know it or nobody does.
pub async fn look(
    world: &World,
    view: View<'_>,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Option<Seen>, Ours> {
    let asker = view.user.map(|user| Asker::User(user.to_owned()));
    match here(world, asker, room_id, view).await? {
        Here::Seen(seen) => Ok(Some(*seen)),
        Here::Closed => Ok(None),
        Here::Absent => elsewhere(world, view, room_id, via).await,
    }
}

/// What a room of ours says to a user or to another server.
pub async fn here(
    world: &World,
    asker: Option<Asker>,
    room_id: &RoomId,
    View { children, suggested_only, .. }: View<'_>,
) -> Result<Here, Ours> {
    let look = Look { asker, children, suggested_only };
    let looked = match world.ask(&room_object(room_id), &look).await {
        Ok(looked) => looked,
        Err(AskError::Refused(_)) => return Ok(Here::Absent),
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    };
    let Looked { summary, access, membership, children } = looked;
    let may_know = match access {
        Access::Open => true,
        Access::Closed => false,
        Access::MembersOf(rooms) => is_in_one(world, look.asker.as_ref(), &rooms).await?,
    };
    let seen = Seen { summary, membership, children, answer: None };
    Ok(if may_know { Here::Seen(Box::new(seen)) } else { Here::Closed })
}

/// Whether the asker is joined to one of these rooms: of a server, whether a user of it is.
async fn is_in_one(
    world: &World,
    asker: Option<&Asker>,
    rooms: &[OwnedRoomId],
) -> Result<bool, Ours> {
    match asker {
        None => Ok(false),
        Some(Asker::User(user)) => Ok(!member_of(world, user, rooms).await?.joined.is_empty()),
        Some(asker @ Asker::Server(_)) => {
            for room_id in rooms.iter().take(MAX_ALLOWING) {
                let asker = Some(asker.clone());
                let look = Look { asker, children: false, suggested_only: false };
                match world.ask(&room_object(room_id), &look).await {
                    Ok(looked) if looked.membership == Some(Membership::Join) => return Ok(true),
                    Ok(_) | Err(AskError::Refused(_)) => {}
                    Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
                }
            }
            Ok(false)
        }
    }
}

/// How many rooms are asked whether a server is in them.
const MAX_ALLOWING: usize = 20;

/// What the servers of a room that is not here say of it.
pub async fn elsewhere(
    world: &World,
    view: View<'_>,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Option<Seen>, Ours> {
    let (servers, membership) = match view.user {
        Some(user) => {
            (residents(world, user, room_id, via).await?, outside(world, user, room_id).await?)
        }
        None => (via.to_vec(), None),
    };
    for server in servers.iter().take(MAX_SERVERS) {
        let Some(answer) = remote::ask(world, server, room_id, view.suggested_only).await else {
            continue;
        };
        let summary = answer.room.clone();
        // Another server may know better.
        if !may_know(world, view.user, &summary, membership).await? {
            continue;
        }
        let children = answer.children.clone();
        return Ok(Some(Seen { summary, membership, children, answer: Some(answer) }));
    }
    Ok(None)
}

/// Whether a user may know a room that another server tells of.
pub async fn may_know(
    world: &World,
    user: Option<&UserId>,
    summary: &Summary,
    membership: Option<Membership>,
) -> Result<bool, Ours> {
    if summary.is_listed() || membership == Some(Membership::Invite) {
        return Ok(true);
    }
    let Some(user) = user else { return Ok(false) };
    Ok(!member_of(world, user, &summary.allowed_room_ids).await?.joined.is_empty())
}

/// A user's membership in a room that is not here.
pub async fn outside(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
) -> Result<Option<Membership>, Ours> {
    match world.ask(&room_object(room_id), &OutOfBand { user: user.to_owned() }).await {
        Ok(outside) => Ok(Some(outside.membership)),
        Err(AskError::Refused(_)) => Ok(None),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}
