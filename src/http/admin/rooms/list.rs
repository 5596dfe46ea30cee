//! Which rooms are there?
//!
//! D1 orders rooms and searches through them; what is told of each is asked of the room itself. How many state events a
//! room has is known to the room alone, so a list in that order asks all rooms, and is refused where these are too many.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedRoomId;
use serde_json::{Map, Value, json};
use tombolo_platform::{AskError, World};

use super::{must_be_admin, shown};
use crate::{
    config::Config,
    error::{Result, invalid_param},
    http::{admin::paging::Paging, endpoint::json_response, router::Router},
    objects::{
        room::messages::{Overview, OverviewReply},
        room_object,
    },
    stores::rooms::{self, Wanted},
};

/// How many rooms a page has at most.
const MOST: u32 = 500;
/// How many rooms are asked at most for a list in an order that D1 does not know.
const MOST_ASKED: u64 = 800;
/// How many rooms are asked at once.
const AT_ONCE: usize = 20;

/// By what rooms are ordered,
pub const ORDERS: [&str; 15] = [
    "alphabetical",
    "size",
    "name",
    "canonical_alias",
    "joined_members",
    "joined_local_members",
    "version",
    "creator",
    "encryption",
    "federatable",
    "public",
    "join_rules",
    "guest_access",
    "history_visibility",
    "state_events",
];
/// and in which of these orders the largest comes first.
const FALLING: [&str; 5] =
    ["size", "joined_members", "joined_local_members", "version", "state_events"];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_synapse/admin/v1/rooms", list);
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let paging = Paging::of(request.uri().query());
    let page = paging.page(MOST)?;
    let order = paging.order(&ORDERS, "name")?;
    let wanted = Wanted {
        term: paging.term()?,
        published: paging.flag("public_rooms")?,
        empty: paging.flag("empty_rooms")?,
        order: match order {
            "alphabetical" => "name",
            "size" => "joined_members",
            name => name,
        },
        backwards: paging.backwards()? != FALLING.contains(&order),
        from: page.from.into(),
        limit: page.limit.into(),
    };
    let (rooms, total) = match order {
        "state_events" => by_state_events(&world, wanted).await?,
        _ => listed(&world, &wanted).await?,
    };
    let rooms = rooms.iter().map(|(room_id, room)| shown(room_id, room));
    let rooms: Vec<Map<String, Value>> = rooms.collect::<Result<_>>()?;
    let mut answer = json!({ "rooms": rooms, "offset": page.from, "total_rooms": total });
    let end = u64::from(page.from).saturating_add(u64::from(page.limit));
    if end < total && page.limit > 0 {
        answer["next_batch"] = json!(end);
    }
    if page.from > 0 {
        answer["prev_batch"] = json!(page.from.saturating_sub(page.limit));
    }
    json_response(StatusCode::OK, &answer)
}

/// Rooms and what they are now.
type Rooms = Vec<(OwnedRoomId, OverviewReply)>;

/// A page in an order that D1 knows, and how many rooms there are in all.
async fn listed(world: &World, wanted: &Wanted<'_>) -> Result<(Rooms, u64)> {
    let own = &Config::of(world)?.server_name;
    let (found, total) = rooms::list(world, own, wanted).await?;
    Ok((overviews(world, found).await?, total))
}

/// The same, by how many state events the rooms have.
async fn by_state_events(world: &World, wanted: Wanted<'_>) -> Result<(Rooms, u64)> {
    let (from, limit, falling) = (wanted.from, wanted.limit, wanted.backwards);
    let all = Wanted { from: 0, limit: MOST_ASKED, ..wanted };
    let own = &Config::of(world)?.server_name;
    let (found, total) = rooms::list(world, own, &all).await?;
    if total > MOST_ASKED {
        return Err(invalid_param("There are too many rooms to order them by `state_events`"));
    }
    let mut rooms = overviews(world, found).await?;
    rooms.sort_by_key(|(room_id, room)| (room.state_events, room_id.clone()));
    if falling {
        rooms.reverse();
    }
    let places = [from, limit].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    Ok((rooms.into_iter().skip(places[0]).take(places[1]).collect(), total))
}

/// What these rooms are now, in this order. A room of which nothing is held any more is left out.
async fn overviews(world: &World, rooms: Vec<OwnedRoomId>) -> Result<Rooms> {
    let asked = stream::iter(rooms).map(|room_id| async move {
        match world.ask(&room_object(&room_id), &Overview { locals: false }).await {
            Ok(overview) => Ok(Some((room_id, overview))),
            Err(AskError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    });
    asked.buffered(AT_ONCE).try_filter_map(|room| async move { Ok(room) }).try_collect().await
}
