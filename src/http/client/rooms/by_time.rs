//! Which event of a room was sent at a time?
//! ([`/timestamp_to_event`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event))

use bytes::Bytes;
use http::{Method, Request, Response};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedRoomId, UInt,
    api::{Direction, client::room::get_event_by_timestamp::v1 as get_event_by_timestamp},
};
use tombolo_platform::World;

use super::not_in_room;
use crate::{
    error::{Result, not_found},
    flows::{by_time, receive::Failure},
    http::{
        auth::{self, Reader},
        endpoint::{decode, encode, paths_of},
        rate_limit::{self, Kind},
        router::Router,
    },
    objects::room::messages::{Asker, EventByTime, Refusal},
};

/// Not written by ruma's type alone: the caller's address is counted.
pub fn routes(router: &mut Router) {
    for path in paths_of::<get_event_by_timestamp::Request>() {
        router.page(&Method::GET, path, event_by_time);
    }
}

/// A room with gaps asks other servers and fetches history, and one with much that is hidden is looked through for long.
async fn event_by_time(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let reader = auth::reader(&world, &request, Some(room_id.clone())).await?;
    let Reader { session: caller, ignored } = reader.ok_or_else(not_in_room)?;
    let asked: get_event_by_timestamp::Request = decode(&request, &[room_id.to_string()])?;
    rate_limit::count(&world, &request, Kind::Errand)?;
    let (asker, ts) = (Asker::User(caller.user), i64::from(asked.ts.0));
    let backwards = asked.dir == Direction::Backward;
    let ask = EventByTime { asker, ignored, ts, backwards, after: None };
    let found = match by_time::event_by_time(&world, &room_id, &ask).await {
        Err(Failure::Room(Refusal::Absent)) => return Err(not_in_room()),
        found => found?,
    };
    let (event_id, ts) = found.ok_or_else(|| not_found("No event was sent then"))?;
    // A clock from before 1970 has no form here.
    let ts = UInt::new_saturating(u64::try_from(ts).unwrap_or_default());
    encode(get_event_by_timestamp::Response::new(event_id, MilliSecondsSinceUnixEpoch(ts)))
}
