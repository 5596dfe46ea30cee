//! To which threads is the user subscribed?
//! ([MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306),
//! [MSC4308](https://github.com/matrix-org/matrix-spec-proposals/pull/4308))
//!
//! A thread is one row, which each change overwrites: clients learn how a subscription is, never how it was. The row stays
//! when the user unsubscribes, with the end of the room's timeline then: no event up to there subscribes the user again,
//! however late a client looks at it.

use ruma::{EventId, OwnedEventId, RoomId};
use tombolo_platform::{Row, values};

use super::{
    Refusal, Result, StreamPosition, Subscribe, Subscription, SubscriptionTo, Subscriptions,
    SubscriptionsBetween, Unsubscribe, User, messages::Cost,
};
use crate::{objects::room::Position, shell::Stop};

/// How many threads are remembered. A new one takes the place of the one that the user unsubscribed from first.
const MOST_THREADS: i64 = 10_000;

/// What is held of a thread.
enum Held {
    Subscribed { automatic: bool },
    Unsubscribed { at: Position },
}

/// Subscribes the user to a thread. A subscription stays as it is, but where the user chooses what a client had done by
/// itself.
pub fn subscribe(user: &mut User<'_>, message: Subscribe) -> Result<bool> {
    user.exists()?;
    user.must_be_active()?;
    let Subscribe { room_id, root, cause } = message;
    let held = user.held_subscription(&room_id, &root)?;
    match held {
        Some(Held::Subscribed { automatic }) if !automatic || cause.is_some() => return Ok(true),
        Some(Held::Unsubscribed { at }) if cause.is_some_and(|cause| cause <= at) => {
            return Ok(false);
        }
        _ => user.spend(Cost::Event)?,
    }
    if held.is_none() {
        user.make_place()?;
    }
    user.set_subscription((&room_id, &root), Some(cause.is_some()), None)?;
    Ok(true)
}

/// Unsubscribes the user from a thread, if they are subscribed to it.
pub fn unsubscribe(user: &mut User<'_>, message: Unsubscribe) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let Unsubscribe { room_id, root, newest } = message;
    if !user.is_subscribed(&room_id, &root)? {
        return Ok(());
    }
    user.spend(Cost::Event)?;
    user.set_subscription((&room_id, &root), None, Some(newest))
}

/// Whether the user is subscribed to a thread.
pub fn subscription(user: &mut User<'_>, message: SubscriptionTo) -> Result<Option<bool>> {
    user.exists()?;
    match user.held_subscription(&message.room_id, &message.root)? {
        Some(Held::Subscribed { automatic }) => Ok(Some(automatic)),
        _ => Ok(None),
    }
}

/// The subscriptions that changed in a range of the stream.
pub fn between(user: &mut User<'_>, message: SubscriptionsBetween) -> Result<Subscriptions> {
    user.exists()?;
    let end = user.loaded()?.pos;
    user.subscriptions_between(message.from, message.to.unwrap_or(end), message.limit)
}

impl User<'_> {
    /// The newest of the subscriptions that changed after one position and up to another.
    pub fn subscriptions_between(
        &mut self,
        from: StreamPosition,
        to: StreamPosition,
        limit: u32,
    ) -> Result<Subscriptions> {
        if from >= self.loaded()?.subscriptions {
            return Ok(Subscriptions::default());
        }
        let query = "SELECT room, root, pos, automatic FROM thread_subscriptions
                     WHERE pos > ? AND pos <= ? ORDER BY pos DESC LIMIT ?";
        let read = |row: &Row<'_>| {
            let automatic = row.int_or_null(3)?.map(|automatic| automatic != 0);
            Ok((row.text(0)?, row.text(1)?, row.int(2)?, automatic))
        };
        // One more than is asked for says whether there are more.
        let rows = self.sql.rows(query, values![from, to, i64::from(limit) + 1], read)?;
        let mut found = Subscriptions::default();
        for (room, root, pos, automatic) in rows {
            if found.changed.len() as u64 == u64::from(limit) {
                found.earlier = Some(pos);
                break;
            }
            let room_id = room.try_into().map_err(|_| broken())?;
            let root: OwnedEventId = root.try_into().map_err(|_| broken())?;
            found.changed.push(Subscription { room_id, root, pos, automatic });
        }
        Ok(found)
    }

    /// Whether the user is subscribed to a thread.
    pub fn is_subscribed(&mut self, room: &RoomId, root: &EventId) -> Result<bool> {
        Ok(matches!(self.held_subscription(room, root)?, Some(Held::Subscribed { .. })))
    }

    fn held_subscription(&mut self, room: &RoomId, root: &EventId) -> Result<Option<Held>> {
        let query = "SELECT automatic, unsubscribed_at FROM thread_subscriptions WHERE room = ? AND root = ?";
        let read = |row: &Row<'_>| Ok((row.int_or_null(0)?, row.int_or_null(1)?));
        let row = self.sql.row(query, values![room.as_str(), root.as_str()], read)?;
        Ok(row.map(|(automatic, at)| match automatic {
            Some(automatic) => Held::Subscribed { automatic: automatic != 0 },
            None => Held::Unsubscribed { at: at.unwrap_or_default() },
        }))
    }

    fn set_subscription(
        &mut self,
        (room, root): (&RoomId, &EventId),
        automatic: Option<bool>,
        unsubscribed_at: Option<Position>,
    ) -> Result<()> {
        let pos = self.next_pos()?;
        self.loaded()?.subscriptions = pos;
        let insert = "INSERT INTO thread_subscriptions (room, root, pos, automatic, unsubscribed_at) VALUES (?, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET pos = excluded.pos, automatic = excluded.automatic, unsubscribed_at = excluded.unsubscribed_at";
        let values = values![room.as_str(), root.as_str(), pos, automatic, unsubscribed_at];
        self.sql.run(insert, values)?;
        self.effects.wake = true;
        Ok(())
    }

    /// Makes place for one more thread, or refuses if the user is subscribed to all that are remembered.
    fn make_place(&mut self) -> Result<()> {
        let count = match self.cache.threads {
            Some(count) => count,
            None => {
                let query = "SELECT count(*) FROM thread_subscriptions";
                self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default()
            }
        };
        if count < MOST_THREADS {
            self.cache.threads = Some(count + 1);
            return Ok(());
        }
        let delete = "DELETE FROM thread_subscriptions
                      WHERE pos = (SELECT min(pos) FROM thread_subscriptions WHERE automatic IS NULL) RETURNING 1";
        self.cache.threads = Some(count);
        let gone = self.sql.row(delete, values![], |row| row.int(0))?;
        gone.map(|_| ()).ok_or_else(|| {
            let reason = "you are subscribed to as many threads as can be";
            Stop::Refused(Refusal::Forbidden(reason.to_owned()))
        })
    }

    /// Forgets the subscriptions to threads of a room.
    pub fn drop_subscriptions_in(&mut self, room: &RoomId) -> Result<()> {
        let end = self.loaded()?.pos;
        let delete = "DELETE FROM thread_subscriptions WHERE room = ?";
        let gone = self.sql.run(delete, values![room.as_str()])?;
        self.were_dropped(gone > 0, end)
    }

    /// Forgets all subscriptions.
    pub fn drop_subscriptions(&mut self) -> Result<()> {
        let end = self.loaded()?.pos;
        let gone = self.sql.run("DELETE FROM thread_subscriptions", values![])?;
        self.were_dropped(gone > 0, end)
    }

    fn were_dropped(&mut self, any: bool, end: StreamPosition) -> Result<()> {
        self.cache.threads = None;
        if any { self.keep_end(end) } else { Ok(()) }
    }
}

fn broken() -> Stop<Refusal> {
    Stop::broken("a subscription names no thread")
}
