//! Which users are found, and which rooms are shared with one?
//! ([user directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory),
//! [mutual rooms](https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms))

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, RoomId, api::client::user_directory::search_users::v3 as search_users};
use serde_json::{Map, Value, json};
use tombolo_platform::World;

use crate::{
    error::{Result, invalid_param, missing_param},
    flows::directory::users::{self, Found},
    http::{
        auth,
        endpoint::{decode, json_response, paths_of},
        query,
        router::Router,
    },
    objects::user_sync::messages::Cost,
    stores::room_members,
};

/// The most users that one search finds, and the longest term (bytes).
const MAX_FOUND: usize = 50;
const MAX_TERM: usize = 255;
/// How many shared rooms one page has.
const MAX_ROOMS: u32 = 100;
/// The paths of shared rooms: that of the specification, and that of MSC2666.
const MUTUAL: [&str; 2] = [
    "/_matrix/client/v1/mutual_rooms",
    "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
];

/// What is found is not written by ruma's types: an avatar is shown as the profile has it.
pub fn routes(router: &mut Router) {
    for path in paths_of::<search_users::Request>() {
        router.page(&Method::POST, path, search);
    }
    for path in MUTUAL {
        router.page(&Method::GET, path, mutual_rooms);
    }
}

async fn search(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Search).await?;
    let asked: search_users::Request = decode(&request, &[])?;
    let limit = usize::try_from(asked.limit).unwrap_or(MAX_FOUND).min(MAX_FOUND);
    let term = asked.search_term.trim().to_lowercase();
    if term.len() > MAX_TERM {
        return Err(invalid_param("The search term is too long"));
    }
    let mut found = match term.trim_start_matches('@') {
        "" => Vec::new(),
        _ => users::search(&world, &caller.user, &term, limit.saturating_add(1)).await?,
    };
    let limited = found.len() > limit;
    found.truncate(limit);
    let results: Vec<Value> = found.iter().map(shown).collect();
    json_response(StatusCode::OK, &json!({ "results": results, "limited": limited }))
}

fn shown(found: &Found) -> Value {
    let mut user = Map::from_iter([("user_id".to_owned(), json!(found.user_id))]);
    for (name, text) in [("display_name", &found.display_name), ("avatar_url", &found.avatar_url)] {
        if let Some(text) = text {
            user.insert(name.to_owned(), json!(text));
        }
    }
    Value::Object(user)
}

async fn mutual_rooms(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let first = |name: &str| query::first(&pairs, name);
    let user = first("user_id").ok_or_else(|| missing_param("user_id is missing"))?;
    let user: OwnedUserId = user.parse().map_err(|_| invalid_param("user_id is no user ID"))?;
    if user.is_historical() {
        return Err(invalid_param("user_id has the form of old user IDs"));
    }
    if user == caller.user {
        return Err(invalid_param("That is you"));
    }
    let after = match first("from") {
        Some(token) => read(token).ok_or_else(|| invalid_param("There is no such token"))?,
        None => String::new(),
    };
    let both = (&*caller.user, &*user);
    let mut joined = room_members::mutual(&world, both, &after, MAX_ROOMS + 1).await?;
    let more = joined.len() > MAX_ROOMS as usize;
    joined.truncate(MAX_ROOMS as usize);
    let next = joined.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last));
    let count = room_members::count_mutual(&world, both.0, both.1).await?;
    let mut answer = json!({ "joined": joined, "count": count });
    if let Some(next) = next {
        answer["next_batch"] = json!(next);
    }
    json_response(StatusCode::OK, &answer)
}

/// The room of a token, after which to go on.
fn read(token: &str) -> Option<String> {
    let room = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    RoomId::parse(&room).is_ok().then_some(room)
}
