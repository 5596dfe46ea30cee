//! What does a room's alarm do?
//!
//! Each part asks the object what is due, does it, and says when to come again. A part that fails does not keep the
//! others from their work; the alarm comes again for it.

use ruma::RoomId;
use tombolo_platform::{Address, Fault, World};

use super::{join, leave, receive, tell};

/// How long followers can be kept waiting (ms).
const MOMENT: u64 = 1000;

/// The alarm of a room: tells its followers, tries parked events again, takes up a join that nobody ended, tells
/// again of declined invites.
pub async fn room(world: World, address: Address) -> Result<Option<u64>, Fault> {
    let Ok(room_id) = RoomId::parse(&*address.name) else { return Ok(None) };
    let told = tell::tell(&world, &room_id).await;
    let begun = world.now();
    let retried = receive::retry(&world, &room_id).await.map_err(|error| Fault(error.message));
    // What came meanwhile does not wait for what else there is to do.
    let told = if world.now() > begun + MOMENT { tell::tell(&world, &room_id).await } else { told };
    let joined = join::resume(&world, &room_id).await.map_err(|error| Fault(error.message));
    let left = leave::resume(&world, &room_id).await.map_err(|error| Fault(error.message));
    Ok([told?, retried?, joined?, left?].into_iter().flatten().min())
}
