//! What does the alarm of a room, or of a user, do?
//!
//! Each part asks the object what is due, does it, and says when the alarm shall come again. A part that fails does not
//! stop the other parts; the alarm repeats it.

use ruma::{RoomId, UserId};
use tombolo_platform::{Address, AskError, Fault, World};

use crate::{
    flows::{
        deletion,
        keys::removed,
        membership::{depart, join, leave},
        ours::Ours,
        presence, push, receive,
        sending::{delayed, unsent::Unsent},
        telling::tell,
    },
    objects::{
        room::{RoomClass, messages::DueJoin},
        room_object,
        user_sync::UserSyncClass,
    },
};

/// How long the retry of parked events may take before the followers are told again, ahead of the rest (ms).
const MOMENT: u64 = 1000;

/// Runs a room's alarm: tells the followers, tries parked events again, resumes joins and leaves.
pub async fn room(world: World, address: Address<RoomClass>) -> Result<Option<u64>, Fault> {
    let Ok(room_id) = RoomId::parse(&*address.name) else { return Ok(None) };
    let told = tell::tell(&world, &room_id).await;
    let begun = world.now();
    let retried = receive::retry(&world, &room_id).await.map_err(|error| Fault(error.to_string()));
    // Events that came in meanwhile are told now: they do not wait for other servers.
    let told = if world.now() > begun + MOMENT { tell::tell(&world, &room_id).await } else { told };
    let taken_up = take_up(&world, &room_id).await;
    Ok([told?, retried?, taken_up?].into_iter().flatten().min())
}

/// Runs a user's alarm: sends delayed events and pushes, drops the keys of devices that are gone, tells what the user's
/// presence is, and goes on with a deactivation. Those are told who share rooms that are left then.
pub async fn user(world: World, address: Address<UserSyncClass>) -> Result<Option<u64>, Fault> {
    let Ok(user) = UserId::parse(&*address.name) else { return Ok(None) };
    let fault = |error: Ours| Fault(error.to_string());
    let sent = delayed::send_due(&world, &user).await.map_err(fault);
    let dropped = removed::drop_keys(&world, &user).await.map_err(fault);
    let pushed = push::push(&world, &user).await.map_err(fault);
    let told = presence::due(&world, &user).await.map_err(fault);
    let departed = depart::depart(&world, &user).await.map_err(fault);
    dropped?;
    told?;
    Ok([sent?, departed?, pushed?].into_iter().flatten().min())
}

/// Resumes a join whose outcome is unknown, sends the leave of a declined invite again, and goes on with a deletion;
/// answers when to come again (ms).
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
    let deleted = match due.deletion {
        true => deletion::go_on(world, room_id).await.map_err(fault),
        false => Ok(None),
    };
    left?;
    Ok([due.next, joined?, deleted?].into_iter().flatten().min())
}
