//! What is a room that somebody looks at, here or elsewhere, and may they know it?
//! ([spaces](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces))
//!
//! A room in which one of our users is answers for itself. Of another room its servers are asked, and what one says holds
//! for who asked that server: one that lies about a room spoils nothing for who goes by another.

use std::{collections::BTreeSet, rc::Rc};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use tombolo_platform::{AskError, World};
use tombolo_protocol::membership::Membership;

use super::remote::{self, Answer};
use crate::{
    config::Config,
    flows::{membership::join::member_of, ours::Ours},
    objects::{
        room::messages::{
            Access, Asker, Child, HasServer, Look, Looked, OutOfBand, OutOfBandReply, Summary,
        },
        room_object,
    },
    remote::failing,
    stores::room_servers,
};

/// How many servers are asked of one room, at most.
const MAX_SERVERS: usize = 3;
/// How many rooms are asked at once.
const AT_ONCE: usize = 10;
/// How many rooms D1 is asked about for one server, and how many of them are asked themselves.
const MAX_ALLOWING: usize = 2_000;
const MAX_ASKED: usize = 50;

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

impl Here {
    fn of(looked: Looked, may_know: bool) -> Self {
        let Looked { summary, membership, children, .. } = looked;
        let seen = Seen { summary, membership, children, answer: None };
        if may_know { Self::Seen(Box::new(seen)) } else { Self::Closed }
    }
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
    match here(world, view, room_id).await? {
        Here::Seen(seen) => Ok(Some(*seen)),
        Here::Closed => Ok(None),
        Here::Absent => elsewhere(world, view, room_id, via).await,
    }
}

/// What a room of ours says to a user.
pub async fn here(world: &World, view: View<'_>, room_id: &RoomId) -> Result<Here, Ours> {
    let asker = view.user.map(|user| Asker::User(user.to_owned()));
    let Some(looked) = ask(world, asker, room_id, view).await? else { return Ok(Here::Absent) };
    let may_know = match (&looked.access, view.user) {
        (Access::MembersOf(rooms), Some(user)) => {
            !member_of(world, user, rooms).await?.joined.is_empty()
        }
        (access, _) => *access == Access::Open,
    };
    Ok(Here::of(looked, may_know))
}

/// What rooms of ours say to another server, in their order. In which rooms it is whose members may know others is
/// found out once for all of them.
pub async fn to_server(
    world: &World,
    server: &ServerName,
    (view, rooms): (View<'_>, &[OwnedRoomId]),
) -> Result<Vec<Here>, Ours> {
    let asker = Asker::Server(server.to_owned());
    let asks = rooms.iter().map(|room_id| ask(world, Some(asker.clone()), room_id, view));
    let looked: Vec<_> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
    let allowing = looked.iter().flatten().flat_map(|looked| match &looked.access {
        Access::MembersOf(rooms) => rooms.as_slice(),
        _ => &[],
    });
    let inside = rooms_with(world, server, allowing.take(MAX_ALLOWING).collect()).await?;
    let heard = looked.into_iter().map(|looked| {
        let Some(looked) = looked else { return Here::Absent };
        let may_know = match &looked.access {
            Access::MembersOf(rooms) => rooms.iter().any(|room_id| inside.contains(room_id)),
            access => *access == Access::Open,
        };
        Here::of(looked, may_know)
    });
    Ok(heard.collect())
}

/// In which of these rooms a user of a server is joined. D1 says in which one may be, and these few say whether one is.
async fn rooms_with(
    world: &World,
    server: &ServerName,
    rooms: BTreeSet<&OwnedRoomId>,
) -> Result<BTreeSet<OwnedRoomId>, Ours> {
    if rooms.is_empty() {
        return Ok(BTreeSet::new());
    }
    let noted = room_servers::of_these(world, server, &rooms).await?;
    let asks = noted.into_iter().take(MAX_ASKED).map(|room_id| async move {
        let ask = HasServer { server: server.to_owned() };
        match world.ask(&room_object(&room_id), &ask).await {
            Ok(here) => Ok(here.then_some(room_id)),
            Err(AskError::Refused(_)) => Ok(None),
            Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
        }
    });
    let inside: Vec<_> = stream::iter(asks).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(inside.into_iter().flatten().collect())
}

/// Asks a room of ours; `None`: none of our users is in it.
async fn ask(
    world: &World,
    asker: Option<Asker>,
    room_id: &RoomId,
    View { children, suggested_only, .. }: View<'_>,
) -> Result<Option<Looked>, Ours> {
    match world.ask(&room_object(room_id), &Look { asker, children, suggested_only }).await {
        Ok(looked) => Ok(Some(looked)),
        Err(AskError::Refused(_)) => Ok(None),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

/// What the servers of a room that is not here say of it.
pub async fn elsewhere(
    world: &World,
    view: View<'_>,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Option<Seen>, Ours> {
    let outside = match view.user {
        Some(user) => outside(world, user, room_id).await?,
        None => None,
    };
    let membership = outside.as_ref().map(|outside| outside.membership);
    let mut servers = via.to_vec();
    servers.extend(outside.map(|outside| outside.via).unwrap_or_default());
    servers.extend(room_id.server_name().map(ToOwned::to_owned));
    let (own, mut seen) = (&Config::of(world)?.server_name, BTreeSet::new());
    servers.retain(|server| server != own && seen.insert(server.clone()));
    for server in failing::last(world, servers, MAX_SERVERS) {
        let Some(answer) = remote::ask(world, &server, room_id, view.suggested_only).await else {
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

/// What is known of a user in a room that is not here.
pub async fn outside(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
) -> Result<Option<OutOfBandReply>, Ours> {
    match world.ask(&room_object(room_id), &OutOfBand { user: user.to_owned() }).await {
        Ok(outside) => Ok(Some(outside)),
        Err(AskError::Refused(_)) => Ok(None),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}
