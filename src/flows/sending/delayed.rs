//! How are delayed events sent?
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140))
//!
//! The user's object gives out what is due, one after the other; the room takes it under the delayed event's ID as
//! transaction ID; then the object notes its end. After a crash between any two of these the object gives the event out
//! again, and the room answers with the event that it has already.

use ruma::{OwnedEventId, UserId};
use tombolo_platform::{AskError, World};

use super::{send, unsent::Unsent};
use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{self as room, Send, Transaction},
        user_object,
        user_sync::messages::{DelayedEnd, Failure, NoteDelayed, Refusal, TakeDue, Taken},
    },
};

/// How many events one alarm sends before it lets others in, and for how long (ms).
const ROUNDS: usize = 100;
const LONG: u64 = 10_000;

/// Sends what is due; answers when to come again (ms).
pub async fn send_due(world: &World, user: &UserId) -> Result<Option<u64>, Ours> {
    let begun = world.now();
    for _ in 0..ROUNDS {
        let due = match world.ask(&user_object(user), &TakeDue {}).await {
            Ok(due) => due,
            Err(AskError::Refused(Refusal::Limited(wait))) => {
                return Ok(Some(world.now().saturating_add(wait)));
            }
            Err(AskError::Refused(_)) => return Ok(None),
            Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
        };
        let Some(taken) = due.taken else { return Ok(due.next) };
        let sent = send_taken(world, user, taken).await;
        let end = match sent.1 {
            Ok(event_id) => DelayedEnd::Sent(event_id),
            Err(unsent) => {
                tracing::info!(%user, %unsent, "a delayed event was not sent");
                ended(unsent)
            }
        };
        note(world, user, sent.0, end).await?;
        if world.now() > begun.saturating_add(LONG) {
            break;
        }
    }
    Ok(Some(world.now()))
}

/// Sends an event that was taken before it was due. Where it cannot be sent now, it stays scheduled.
pub async fn send_now(world: &World, user: &UserId, taken: Taken) -> Result<(), Unsent> {
    let (delay_id, sent) = send_taken(world, user, taken).await;
    let (end, answer) = match sent {
        Ok(event_id) => (DelayedEnd::Sent(event_id), Ok(())),
        // It may have been sent.
        Err(unsent @ Unsent::Ours(_)) => (DelayedEnd::Unreached, Err(unsent)),
        Err(unsent) => (DelayedEnd::Kept, Err(unsent)),
    };
    note(world, user, delay_id, end).await?;
    answer
}

/// Sends an event; answers its delay's ID, too.
async fn send_taken(
    world: &World,
    user: &UserId,
    taken: Taken,
) -> (String, Result<OwnedEventId, Unsent>) {
    let Taken { delay_id, device, room_id, draft } = taken;
    let scope = Transaction::DELAYED.to_owned();
    let transaction = Some(Transaction { device, txn_id: delay_id.clone(), scope });
    let message = Send { transaction, ..Send::of(user.to_owned(), draft) };
    (delay_id, send::send(world, &room_id, message).await)
}

async fn note(world: &World, user: &UserId, delay_id: String, end: DelayedEnd) -> Result<(), Ours> {
    match world.ask(&user_object(user), &NoteDelayed { delay_id, end }).await {
        Ok(()) => Ok(()),
        Err(AskError::Refused(refusal)) => Err(Ours::broken(refusal)),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

/// Whether the event may have been sent, or can be in a moment.
fn is_passing(unsent: &Unsent) -> bool {
    use room::Refusal;
    matches!(
        unsent,
        Unsent::Ours(_)
            | Unsent::Refused(Refusal::Joining(_) | Refusal::AlreadyLive | Refusal::Behind)
    )
}

/// The end of an event that was due and was not sent.
fn ended(unsent: Unsent) -> DelayedEnd {
    match unsent {
        passing if is_passing(&passing) => DelayedEnd::Unreached,
        Unsent::Refused(refusal) => DelayedEnd::Failed(Failure::Room(refusal)),
        other => DelayedEnd::Failed(Failure::Other(other.to_string())),
    }
}
