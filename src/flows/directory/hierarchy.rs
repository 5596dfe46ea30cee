//! Which rooms are below a space, as far as a user may know them?
//! ([hierarchy](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces))
//!
//! The walk is depth-first, and meets each room once: so loops end. A page ends where it is full or has taken long, and
//! its token says which rooms were met and which of them have children left. The next page begins at the root again,
//! asks only those rooms anew, and passes by the others. So nothing is kept between pages, and a token that somebody
//! made up shows nothing but what its user may see.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    pin::pin,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{Either, select},
    stream,
};
use ruma::{OwnedRoomId, OwnedServerName, RoomId, UserId};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tombolo_platform::World;
use tombolo_protocol::{membership::Membership, space::SPACE};

use super::look::{self, Here, Seen, View};
use crate::{
    flows::ours::Ours,
    objects::room::messages::{Child, Summary},
};

/// The most rooms of a page, and how many it has if the client does not say.
const MAX_ROOMS: usize = 50;
/// How deep a walk goes.
const MAX_DEPTH: usize = 50;
/// How many rooms one walk meets, over all its pages: so many have their place in a token.
const MAX_MET: usize = 1_000;
/// How many rooms one page looks at, at most, and for how long (ms).
const MAX_LOOKS: usize = 200;
const MAX_TIME: u64 = 15_000;
/// How many rooms are looked at at once.
const AT_ONCE: usize = 10;

/// What is wanted.
#[derive(Debug)]
pub struct Query {
    pub suggested_only: bool,
    pub max_depth: Option<usize>,
    pub limit: Option<usize>,
    pub from: Option<String>,
}

/// A page of the walk.
#[derive(Debug)]
pub struct Page {
    /// Each with the events that name its children.
    pub rooms: Vec<(Summary, Vec<Box<RawValue>>)>,
    pub next: Option<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Unwalked {
    #[error("You may not see this room, or there is none")]
    Unseen,
    #[error("There is no such token of this walk: suggested_only and max_depth cannot change")]
    Token,
    #[error("{0}")]
    Ours(#[from] Ours),
}

/// A room's ID, in short.
type Mark = [u8; 6];

fn mark(room_id: &RoomId) -> Mark {
    let hash = Sha256::digest(room_id.as_str());
    std::array::from_fn(|index| hash[index])
}

/// A room to be met.
struct Next {
    room_id: OwnedRoomId,
    via: Vec<OwnedServerName>,
    depth: usize,
    parent: Option<Mark>,
    /// What the server of the parent says of it.
    known: Option<Summary>,
    /// Whether that server says that nobody of us may know it.
    inaccessible: bool,
}

impl Next {
    fn root(room_id: &RoomId) -> Self {
        let (room_id, via) = (room_id.to_owned(), Vec::new());
        Self { room_id, via, depth: 0, parent: None, known: None, inaccessible: false }
    }
}

/// A walk while it makes a page.
struct Walk<'a> {
    world: &'a World,
    view: View<'a>,
    max_depth: usize,
    /// What is still to be met; the next is the last.
    stack: Vec<Next>,
    /// What was met.
    met: BTreeSet<Mark>,
    /// Of those met before this page: which have children left.
    open: BTreeSet<Mark>,
    /// The parents of rooms that have children.
    parents: BTreeMap<Mark, Option<Mark>>,
    /// What was looked at ahead.
    ahead: BTreeMap<OwnedRoomId, Option<Seen>>,
    looks: usize,
    /// When the page has taken long (ms).
    until: u64,
}

/// One page of the walk below a room.
pub async fn walk(
    world: &World,
    user: &UserId,
    root: &RoomId,
    query: &Query,
) -> Result<Page, Unwalked> {
    let max_depth = query.max_depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH);
    let limit = query.limit.unwrap_or(MAX_ROOMS).clamp(1, MAX_ROOMS);
    let suggested_only = query.suggested_only;
    let seal = seal(user, root, (suggested_only, query.max_depth));
    let (open, met) = match &query.from {
        Some(token) => read(token, seal).ok_or(Unwalked::Token)?,
        None => Default::default(),
    };
    let until = world.now().saturating_add(MAX_TIME);
    let view = View { user: Some(user), children: true, suggested_only };
    let (stack, parents, ahead) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut walk =
        Walk { world, view, max_depth, stack, met, open, parents, ahead, looks: 0, until };
    let before = walk.met.len();
    let seen = look::look(world, view, root, &[]).await?.filter(is_for).ok_or(Unwalked::Unseen)?;
    walk.ahead.insert(root.to_owned(), Some(seen));
    walk.stack.push(Next::root(root));
    let mut rooms = Vec::new();
    while let Some(next) = walk.stack.pop() {
        let mark = mark(&next.room_id);
        let again = walk.open.remove(&mark);
        if !again && walk.met.contains(&mark) {
            continue;
        }
        let spent = walk.looks >= MAX_LOOKS || world.now() >= until;
        let progress = walk.met.len() > before;
        if !again && (rooms.len() >= limit || walk.met.len() >= MAX_MET || spent && progress) {
            walk.stack.push(next);
            break;
        }
        walk.met.insert(mark);
        let Some(seen) = walk.meet(&next).await? else { continue };
        if !again {
            let events = seen.children.iter().map(|child| child.event.clone()).collect();
            rooms.push((seen.summary.clone(), events));
        }
        walk.expand(&next, mark, seen, limit.saturating_sub(rooms.len())).await?;
    }
    let is_over = walk.stack.is_empty() || walk.met.len() >= MAX_MET;
    let next = (!is_over).then(|| walk.token(seal));
    Ok(Page { rooms, next })
}

impl Walk<'_> {
    /// What is shown of a room; `None` where the user may not know it.
    async fn meet(&mut self, next: &Next) -> Result<Option<Seen>, Ours> {
        if let Some(seen) = self.ahead.remove(&next.room_id) {
            return Ok(seen);
        }
        self.looks += 1;
        look_at(self.world, self.view, next).await
    }

    /// Puts the children of a room on the stack, and looks ahead at as many as the page may have, and has time for.
    async fn expand(
        &mut self,
        next: &Next,
        mark: Mark,
        seen: Seen,
        room: usize,
    ) -> Result<(), Ours> {
        if next.depth >= self.max_depth || seen.children.is_empty() {
            return Ok(());
        }
        self.parents.insert(mark, next.parent);
        let below = seen.children.into_iter().map(|Child { room_id, via, .. }| {
            let answer = seen.answer.as_ref();
            Next {
                known: answer.and_then(|answer| answer.known.get(&room_id).cloned()),
                inaccessible: answer.is_some_and(|answer| answer.inaccessible.contains(&room_id)),
                depth: next.depth + 1,
                parent: Some(mark),
                room_id,
                via,
            }
        });
        let below: Vec<Next> = below.filter(|next| self.is_new(&next.room_id)).collect();
        let most = room.min(MAX_LOOKS.saturating_sub(self.looks));
        let (world, view) = (self.world, self.view);
        let wanted = below.iter().filter(|next| !self.ahead.contains_key(&next.room_id));
        let ahead = wanted.take(most).map(|next| async move {
            Ok::<_, Ours>((next.room_id.clone(), look_at(world, view, next).await?))
        });
        let mut found = Vec::new();
        let looking = stream::iter(ahead).buffer_unordered(AT_ONCE).try_for_each(|seen| {
            found.push(seen);
            ready(Ok(()))
        });
        let left = Duration::from_millis(self.until.saturating_sub(world.now()));
        // What was not seen by then is met by the next page.
        if let Either::Left((looked, _)) = select(pin!(looking), pin!(world.sleep(left))).await {
            looked?;
        }
        self.looks += found.len();
        self.ahead.extend(found);
        self.stack.extend(below.into_iter().rev());
        Ok(())
    }

    /// Whether a room was not met, or has children left.
    fn is_new(&self, room_id: &RoomId) -> bool {
        let mark = mark(room_id);
        !self.met.contains(&mark) || self.open.contains(&mark)
    }

    /// Which rooms were met, and which of these have children left: those above what is left on the stack.
    fn token(&self, seal: [u8; 8]) -> String {
        let mut open = BTreeSet::new();
        for next in &self.stack {
            let mut parent = next.parent;
            while let Some(mark) = parent.filter(|mark| open.insert(*mark)) {
                parent = self.parents.get(&mark).copied().flatten();
            }
        }
        let mut bytes = seal.to_vec();
        bytes.extend(u16::try_from(open.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(open.iter().chain(&self.met).flatten());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Whether a room may be shown to who has this membership: whoever is banned sees none, not even a public one
/// ([`/hierarchy`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy)).
fn is_for(seen: &Seen) -> bool {
    seen.membership != Some(Membership::Ban)
}

/// Looks at a room: here, or by what the server of its parent says, or by its own servers.
async fn look_at(world: &World, view: View<'_>, next: &Next) -> Result<Option<Seen>, Ours> {
    let is_space = |known: &Summary| known.room_type.as_deref() == Some(SPACE);
    match look::here(world, view, &next.room_id).await? {
        Here::Seen(seen) => return Ok(Some(*seen).filter(is_for)),
        Here::Closed => return Ok(None),
        Here::Absent if next.inaccessible => return Ok(None),
        Here::Absent => {}
    }
    // The children of a space are not told with it.
    let Some(known) = next.known.clone().filter(|known| !is_space(known)) else {
        return look::elsewhere(world, view, &next.room_id, &next.via).await;
    };
    let membership = match view.user {
        Some(user) => {
            look::outside(world, user, &next.room_id).await?.map(|outside| outside.membership)
        }
        None => None,
    };
    let may_know = look::may_know(world, view.user, &known, membership).await?;
    let seen = Seen { summary: known, membership, children: Vec::new(), answer: None };
    Ok(may_know.then_some(seen))
}

/// What binds a token to its user and to what was asked first.
fn seal(user: &UserId, root: &RoomId, asked: (bool, Option<usize>)) -> [u8; 8] {
    let hash = Sha256::digest(format!("{user} {root} {asked:?}"));
    std::array::from_fn(|index| hash[index])
}

/// The rooms of a token: those with children left, and all that were met.
fn read(token: &str, seal: [u8; 8]) -> Option<(BTreeSet<Mark>, BTreeSet<Mark>)> {
    let most = (MAX_MET * 2 * size_of::<Mark>() + 10) * 2;
    let bytes = URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() <= most)?).ok()?;
    let marks = bytes.strip_prefix(&seal)?;
    let (count, marks) = marks.split_first_chunk::<2>()?;
    let (marks, []) = marks.as_chunks::<{ size_of::<Mark>() }>() else { return None };
    let count = usize::from(u16::from_be_bytes(*count));
    // What has children left lies on one path. These are looked at again, so no token may name more.
    let (open, met) = marks.split_at_checked(count).filter(|_| count <= MAX_DEPTH + 1)?;
    Some((open.iter().copied().collect(), met.iter().copied().collect()))
}
