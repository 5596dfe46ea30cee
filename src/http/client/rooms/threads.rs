//! Which threads does a room have?
//! ([querying threads](https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room))

use ruma::{
    UInt,
    api::client::threads::get_threads::v1::{self as get_threads, IncludeThreads},
    serde::Raw,
};
use tombolo_platform::World;

use super::{ask_room, not_in_room};
use crate::{
    error::{Result, invalid_param},
    http::{
        auth::Reader,
        client::tokens::{self, Token},
        router::Router,
    },
    objects::room::messages::Threads,
};

/// How many threads a page has where the client does not say.
const DEFAULT_LIMIT: u32 = 5;
/// Without the path that the endpoint had before it was specified.
const PATH: &str = "/_matrix/client/v1/rooms/{room_id}/threads";

pub fn routes(router: &mut Router) {
    router.reading_at::<get_threads::Request, _, _>(&[PATH], not_in_room, threads);
}

async fn threads(
    world: World,
    Reader { session: caller, ignored }: Reader,
    request: get_threads::Request,
) -> Result<get_threads::Response> {
    let participated = match request.include {
        IncludeThreads::All => false,
        IncludeThreads::Participated => true,
        _ => return Err(invalid_param("include is neither all nor participated")),
    };
    let from = match request.from.as_deref().filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => match Token::parse(token) {
            Some(Token::Room(position)) => Some(position),
            _ => return Err(invalid_param("This is no token of a page of threads")),
        },
    };
    if request.limit.is_some_and(|limit| limit == UInt::MIN) {
        return Err(invalid_param("limit is greater than zero"));
    }
    let limit = request.limit.map_or(DEFAULT_LIMIT, |limit| limit.try_into().unwrap_or(u32::MAX));
    let (user, device) = (caller.user, caller.device);
    let threads = Threads { user, device, ignored, participated, from, limit };
    let found = ask_room(&world, &request.room_id, &threads).await?;
    let chunk = found.events.into_iter().map(Raw::from_json).collect();
    let mut response = get_threads::Response::new(chunk);
    response.next_batch = found.next.map(tokens::of_room);
    Ok(response)
}
