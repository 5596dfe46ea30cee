//! What does a room's alarm do?
//!
//! Each part asks the object what is due, does it, and says when to come again. A part that fails does not keep the
//! others from their work; the alarm comes again for it.

use ruma::RoomId;
use tombolo_platform::{Address, AskError, Fault, World};

use crate::{
    flows::{
        membership::{join, leave},
        receive,
        sending::unsent::Unsent,
        telling::tell,
    },
    objects::{
        room::{RoomClass, messages::DueJoin},
        room_object,
    },
};

/// How long followers can be kept waiting (ms).
const MOMENT: u64 = 1000;

/// The alarm of a room: tells its followers, tries parked events again, takes up what was begun.
pub async fn room(world: World, address: Address<RoomClass>) -> Result<Option<u64>, Fault> {
    let Ok(room_id) = RoomId::parse(&*address.name) else { return Ok(None) };
    let told = tell::tell(&world, &room_id).await;
    let begun = world.now();
    let retried = receive::retry(&world, &room_id).await.map_err(|error| Fault(error.to_string()));
    // What came meanwhile does not wait for what else there is to do.
    let told = if world.now() > begun + MOMENT { tell::tell(&world, &room_id).await } else { told };
    let taken_up = take_up(&world, &room_id).await;
    Ok([told?, retried?, taken_up?].into_iter().flatten().min())
}

/// Takes up a join that nobody ended, and tells again of a declined invite; answers when to come again (ms).
async fn take_up(world: &World, room_id: &RoomId) -> Result<Option<u64>, Fault> {
    let due = match world.ask(&room_object(room_id), &DueJoin {}).await {
        Ok(due) => due,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(error) => return Err(Fault(error.to_string())),
    };
    let fault = |unsent: Unsent| Fault(unsent.to_string());
    let left = match due.leave {
        Some((user, via)) => leave::resume(world, &user, room_id, &via).await.map_err(fault),
        None => Ok(()),
    };
    let joined = match due.attempt {
        Some(attempt) => join::resume(world, room_id, (attempt, due.unproven)).await.map_err(fault),
        None => Ok(None),
    };
    left?;
    Ok([due.next, joined?].into_iter().flatten().min())
}
