//! Which events hold these words, in all rooms that a user may read?
//! ([search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search))
//!
//! Each room is asked for its own hits, and judges by itself what the user may see. A room in which nobody has searched
//! looks through its events first. If one is not done in time, the search fails: that is not the same as finding nothing.
//! The next search goes on from there.

use std::{cmp::Reverse, collections::BTreeMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, RoomId};
use tombolo_platform::{AskError, World};

use crate::objects::{
    room::{
        Sn,
        messages::{Hit, HitView, Hits, Position, Refusal, Search, SearchReply},
    },
    room_object,
};

/// How many rooms are searched at once, and how many at most.
const ROOMS_AT_ONCE: usize = 16;
pub const MAX_ROOMS: usize = 500;
/// How often a room is asked that has to look through its events first, and until when (ms).
const MAX_ASKED: usize = 50;
const PATIENCE: u64 = 15_000;

/// Where a page of the newest hits ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub ts: i64,
    pub room_id: OwnedRoomId,
    pub pos: Position,
}

impl End {
    /// The time and place in a room before which the next page's hits are: of one time, rooms follow by their IDs.
    fn in_room(&self, room_id: &RoomId) -> (i64, Position) {
        let pos = match room_id.cmp(&self.room_id) {
            std::cmp::Ordering::Less => Position::MAX >> 11,
            std::cmp::Ordering::Equal => self.pos,
            std::cmp::Ordering::Greater => 0,
        };
        (self.ts, pos)
    }
}

/// The hits of all rooms, best first, and how many there are at all.
pub struct Found {
    pub hits: Vec<(OwnedRoomId, Hit)>,
    pub count: u64,
}

/// Asks every room. `after` is where the page before ended.
pub async fn search(
    world: &World,
    rooms: Vec<OwnedRoomId>,
    ask: &Search,
    after: Option<&End>,
) -> Result<Found, AskError<Refusal>> {
    let until = world.now().saturating_add(PATIENCE);
    let replies: Vec<(OwnedRoomId, SearchReply)> = stream::iter(rooms.into_iter().take(MAX_ROOMS))
        .map(|room_id| async move {
            let ask = Search {
                user: ask.user.clone(),
                expression: ask.expression.clone(),
                filter: ask.filter.of_room(&room_id),
                recent: ask.recent,
                before: after.map(|after| after.in_room(&room_id)),
            };
            let reply = of_room(world, &room_id, &ask, until).await?;
            Ok::<_, AskError<Refusal>>((room_id, reply))
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    let count = replies.iter().map(|(_, reply)| u64::from(reply.count)).sum();
    let mut hits: Vec<(OwnedRoomId, Hit)> = replies
        .into_iter()
        .flat_map(|(room_id, reply)| reply.hits.into_iter().map(move |hit| (room_id.clone(), hit)))
        .collect();
    let rank = |hit: &Hit| if ask.recent { 0 } else { hit.rank };
    hits.sort_by(|(room, a), (other, b)| {
        let newer = (rank(b), b.ts).cmp(&(rank(a), a.ts));
        newer.then_with(|| other.cmp(room)).then_with(|| Reverse(a.pos).cmp(&Reverse(b.pos)))
    });
    Ok(Found { hits, count })
}

/// The hits as the user sees them, by their rooms and numbers.
pub async fn views(
    world: &World,
    hits: &[(OwnedRoomId, Hit)],
    ask: &Hits,
) -> Result<BTreeMap<(OwnedRoomId, Sn), HitView>, AskError<Refusal>> {
    let mut rooms: BTreeMap<&OwnedRoomId, Vec<Sn>> = BTreeMap::new();
    for (room_id, hit) in hits {
        rooms.entry(room_id).or_default().push(hit.sn);
    }
    let views: Vec<Vec<_>> = stream::iter(rooms)
        .map(|(room_id, sns)| async move {
            let ask = Hits {
                user: ask.user.clone(),
                device: ask.device.clone(),
                ignored: ask.ignored.clone(),
                sns,
                around: ask.around,
                profiles: ask.profiles,
            };
            let views = match world.ask(&room_object(room_id), &ask).await {
                // The user may read nothing there any more.
                Err(AskError::Refused(_)) => Vec::new(),
                views => views?,
            };
            let keyed = views.into_iter().map(|view| ((room_id.clone(), view.sn), view));
            Ok::<_, AskError<Refusal>>(keyed.collect())
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(views.into_iter().flatten().collect())
}

/// The hits in one room; none where the user may not read it. A room that does not come to an end is as good as out of
/// reach.
async fn of_room(
    world: &World,
    room_id: &RoomId,
    ask: &Search,
    until: u64,
) -> Result<SearchReply, AskError<Refusal>> {
    for _ in 0..MAX_ASKED {
        match world.ask(&room_object(room_id), ask).await {
            Err(AskError::Refused(Refusal::Absent | Refusal::Forbidden(_))) => {
                return Ok(SearchReply::default());
            }
            Ok(reply) if reply.unfinished && world.now() < until => {}
            Ok(reply) if reply.unfinished => break,
            reply => return reply,
        }
    }
    Err(AskError::Unreachable("a room looks through its events for too long".to_owned()))
}
