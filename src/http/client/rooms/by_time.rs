//! Which event of a room was sent at a time?
//! ([`/timestamp_to_event`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event))

use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::{Direction, client::room::get_event_by_timestamp::v1 as get_event_by_timestamp},
};
use tombolo_platform::World;

use super::not_in_room;
use crate::{
    error::{Result, not_found},
    flows::{by_time, receive::Failure},
    http::{auth::Reader, router::Router},
    objects::room::messages::{Asker, EventByTime, Refusal},
};

pub fn routes(router: &mut Router) {
    router.reading::<get_event_by_timestamp::Request, _, _>(not_in_room, event_by_time);
}

async fn event_by_time(
    world: World,
    Reader { session: caller, ignored }: Reader,
    request: get_event_by_timestamp::Request,
) -> Result<get_event_by_timestamp::Response> {
    let (asker, ts) = (Asker::User(caller.user), i64::from(request.ts.0));
    let ask = EventByTime { asker, ignored, ts, backwards: request.dir == Direction::Backward };
    let found = match by_time::event_by_time(&world, &request.room_id, &ask).await {
        Err(Failure::Room(Refusal::Absent)) => return Err(not_in_room()),
        found => found?,
    };
    let (event_id, ts) = found.ok_or_else(|| not_found("No event was sent then"))?;
    // A clock from before 1970 has no form here.
    let ts = UInt::new_saturating(u64::try_from(ts).unwrap_or_default());
    Ok(get_event_by_timestamp::Response::new(event_id, MilliSecondsSinceUnixEpoch(ts)))
}
