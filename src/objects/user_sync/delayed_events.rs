//! Which events has the user scheduled, and what became of them?
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140))
//!
//! Whoever sends a delayed event, the alarm or a request, takes it first. What was taken can no more be cancelled, and
//! is given out again where its end is not noted in time: a crash loses nothing. It is sent under its ID as transaction
//! ID, so the room makes one event of however many attempts.

use ruma::{OwnedRoomId, RoomId};
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{
    CancelDelayed, Cost, DelayedEnd, DelayedEvent, DelayedEvents, Failure, NoteDelayed,
    OneDelayedEvent, Refusal, RestartDelayed, Result, Schedule, ScheduleReply, Scheduled,
    TakeDelayed, TakeDue, TakeDueReply, Taken, User,
};
use crate::{
    objects::room::messages::{Draft, Transaction},
    shell::Stop,
};

/// How many events a user may have scheduled at once,
pub const MAX_SCHEDULED: i64 = 100;
/// and how many bytes their contents may have in all.
const MAX_BYTES: i64 = 1 << 20;
/// How long it is known what became of an event (ms),
const RETENTION: u64 = 7 * 86_400_000;
/// and of how many, the last ones.
const MAX_FINALISED: i64 = 100;
/// For how long an event is taken (ms); twice as long with each attempt,
const LEASE: u64 = 30_000;
/// up to an hour (ms).
const LONGEST_LEASE: u64 = 3_600_000;
/// When to ask again about an event that is taken (ms).
const A_MOMENT: u64 = 1_000;
/// How late an event is given up that nothing but an outage keeps from being sent (ms): who it was meant for has
/// stopped waiting.
const GIVES_UP: u64 = 3_600_000;

/// A row of `delayed_events`.
struct Held {
    device: String,
    shown: DelayedEvent,
    is_taken: bool,
    attempts: i64,
}

impl Held {
    fn due_at(&self) -> u64 {
        self.shown.delayed_since.saturating_add(self.shown.delay)
    }

    fn is_sent(&self) -> bool {
        self.shown.event_id.is_some()
    }

    fn is_finalised(&self) -> bool {
        self.shown.finalised_ts.is_some()
    }

    /// Has the caller come again while somebody sends the event: nobody knows yet how that ends.
    fn must_be_free(&self) -> Result<()> {
        if self.is_taken { Err(Stop::Refused(Refusal::Limited(A_MOMENT))) } else { Ok(()) }
    }
}

/// Schedules an event, once for a transaction.
pub fn schedule(user: &mut User<'_>, message: Schedule) -> Result<ScheduleReply> {
    let device = user.device_of(&message.session)?;
    user.must_be_active()?;
    let Schedule { delay_id, transaction, room_id, event, .. } = message;
    if let Some(transaction) = &transaction
        && let Some(delay_id) = user.scheduled_before(&device, &room_id, transaction)?
    {
        return Ok(ScheduleReply { delay_id });
    }
    let Scheduled { draft, delay } = event.ok_or(Stop::Refused(Refusal::NotFound))?;
    user.prune_delayed_events()?;
    user.must_have_room_for(draft.content.get().len())?;
    let now = user.moment.now;
    let (txn, scope) = transaction.map(|of| (of.txn_id, of.scope)).unzip();
    let insert = "INSERT INTO delayed_events (delay_id, device, txn, scope, room, type, state_key, content, delay, delayed_since)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = values![
        &delay_id,
        &device,
        txn.as_deref(),
        scope.as_deref(),
        room_id.as_str(),
        &draft.event_type,
        draft.state_key.as_deref(),
        draft.content.get(),
        delay,
        now,
    ];
    user.sql.run(insert, values)?;
    user.effects.alarm_at(now.saturating_add(delay));
    Ok(ScheduleReply { delay_id })
}

/// Cancels an event. To clients, one that was sent is no delayed event any more.
pub fn cancel(user: &mut User<'_>, message: CancelDelayed) -> Result<()> {
    user.exists()?;
    user.count_delayed()?;
    let held = user.delayed_event(&message.delay_id)?;
    held.must_be_free()?;
    if held.is_sent() {
        return Err(Stop::Refused(Refusal::NotFound));
    }
    if held.is_finalised() {
        return Ok(());
    }
    let update = "UPDATE delayed_events SET finalised_ts = ? WHERE delay_id = ?";
    user.sql.run(update, values![user.moment.now, &message.delay_id])?;
    Ok(())
}

/// Has a delay begin anew, unless it is over.
pub fn restart(user: &mut User<'_>, message: RestartDelayed) -> Result<()> {
    user.exists()?;
    user.count_delayed()?;
    let held = user.delayed_event(&message.delay_id)?;
    held.must_be_free()?;
    if held.is_finalised() {
        return Err(Stop::Refused(Refusal::NotFound));
    }
    let now = user.moment.now;
    let update = "UPDATE delayed_events SET delayed_since = ? WHERE delay_id = ?";
    user.sql.run(update, values![now, &message.delay_id])?;
    user.effects.alarm_at(now.saturating_add(held.shown.delay));
    Ok(())
}

/// Takes one event, to send it before it is due; `None` if it is sent already.
pub fn take(user: &mut User<'_>, message: TakeDelayed) -> Result<Option<Taken>> {
    user.exists()?;
    user.count_delayed()?;
    let held = user.delayed_event(&message.delay_id)?;
    held.must_be_free()?;
    if held.is_sent() {
        return Ok(None);
    }
    if held.is_finalised() {
        return Err(Stop::Refused(Refusal::NotFound));
    }
    user.must_be_free_to_speak()?;
    user.spend(Cost::Event)?;
    user.taken(held).map(Some)
}

/// Takes the event that is due for the longest time. What is due counts as what the user sends now: where they send too
/// much, it waits.
pub fn take_due(user: &mut User<'_>, _: TakeDue) -> Result<TakeDueReply> {
    user.exists()?;
    user.end_what_cannot_be_sent()?;
    let query = "SELECT delay_id FROM delayed_events WHERE finalised_ts IS NULL
                     AND coalesce(taken_until, delayed_since + delay) <= ? ORDER BY delayed_since + delay, rowid LIMIT 1";
    let due = user.sql.row(query, values![user.moment.now], |row| row.text(0))?;
    let Some(delay_id) = due else {
        let query = "SELECT min(coalesce(taken_until, delayed_since + delay)) FROM delayed_events WHERE finalised_ts IS NULL";
        let next = user.sql.row(query, values![], |row| row.int_or_null(0))?.flatten();
        let next = next.and_then(|at| u64::try_from(at).ok());
        return Ok(TakeDueReply { taken: None, next });
    };
    let held = user.delayed_event(&delay_id)?;
    if !held.is_taken {
        user.spend(Cost::Event)?;
    }
    Ok(TakeDueReply { taken: Some(user.taken(held)?), next: None })
}

/// Notes what became of an event.
pub fn note(user: &mut User<'_>, message: NoteDelayed) -> Result<()> {
    user.exists()?;
    let (now, delay_id) = (user.moment.now, &message.delay_id);
    // An account that is deactivated meanwhile leaves nothing behind.
    let Some(held) = user.held_delayed_event(delay_id)? else { return Ok(()) };
    match message.end {
        DelayedEnd::Sent(event_id) => {
            let update = "UPDATE delayed_events SET finalised_ts = coalesce(finalised_ts, ?), event = ?, failure = NULL, taken_until = NULL
                          WHERE delay_id = ?";
            user.sql.run(update, values![now, event_id.as_str(), delay_id])?;
        }
        DelayedEnd::Failed(failure) if now >= held.due_at() => {
            let update = "UPDATE delayed_events SET finalised_ts = ?, failure = ?, taken_until = NULL WHERE delay_id = ? AND finalised_ts IS NULL";
            user.sql.run(update, values![now, &serde_json::to_string(&failure)?, delay_id])?;
        }
        DelayedEnd::Kept | DelayedEnd::Failed(_) => {
            let update =
                "UPDATE delayed_events SET taken_until = NULL, attempts = 0 WHERE delay_id = ?";
            user.sql.run(update, values![delay_id])?;
            user.effects.alarm_at(held.due_at());
        }
        // It is taken until it is tried again.
        DelayedEnd::Unreached => {}
    }
    Ok(())
}

/// What is scheduled, in the order in which it is due.
pub fn scheduled(user: &mut User<'_>, _: DelayedEvents) -> Result<Vec<DelayedEvent>> {
    user.exists()?;
    user.count_delayed()?;
    let query =
        "SELECT delay_id FROM delayed_events WHERE finalised_ts IS NULL AND taken_until IS NULL
                 ORDER BY delayed_since + delay, rowid";
    let all = user.sql.rows(query, values![], |row| row.text(0))?;
    all.iter().map(|delay_id| Ok(user.delayed_event(delay_id)?.shown)).collect()
}

/// One event.
pub fn one(user: &mut User<'_>, message: OneDelayedEvent) -> Result<DelayedEvent> {
    user.exists()?;
    user.count_delayed()?;
    Ok(user.delayed_event(&message.delay_id)?.shown)
}

impl User<'_> {
    /// Removes all delayed events: a user who is gone says nothing more.
    pub fn drop_delayed_events(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM delayed_events", values![])?;
        Ok(())
    }

    fn scheduled_before(
        &mut self,
        device: &str,
        room: &RoomId,
        transaction: &Transaction,
    ) -> Result<Option<String>> {
        let query = "SELECT delay_id FROM delayed_events WHERE device = ? AND txn = ? AND scope = ? AND room = ?";
        let values = values![device, &transaction.txn_id, &transaction.scope, room.as_str()];
        Ok(self.sql.row(query, values, |row| row.text(0))?)
    }

    /// Refuses what is more than a user may have scheduled, until the next of it is sent.
    fn must_have_room_for(&mut self, bytes: usize) -> Result<()> {
        let query = "SELECT count(*), coalesce(sum(length(CAST(content AS BLOB))), 0), min(delayed_since + delay)
                     FROM delayed_events WHERE finalised_ts IS NULL";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int_or_null(2)?));
        let (count, held, next) = self.sql.row(query, values![], read)?.unwrap_or_default();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if count < MAX_SCHEDULED && held.saturating_add(bytes) <= MAX_BYTES {
            return Ok(());
        }
        let next = next.and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
        let wait = next.saturating_sub(self.moment.now).max(1);
        Err(Stop::Refused(Refusal::Limited(wait)))
    }

    /// Ends what is due in the name of who is locked or suspended, and what nothing but outages has kept for too long,
    /// however those who took it ended.
    fn end_what_cannot_be_sent(&mut self) -> Result<()> {
        let now = self.moment.now;
        let late = now.saturating_sub(GIVES_UP);
        let unreached = Failure::Other("The room could not be reached".to_owned());
        let mut ends = vec![(unreached, late, 2)];
        if let Err(Stop::Refused(refusal)) = self.must_be_free_to_speak() {
            ends.push((Failure::User(refusal), now, 0));
        }
        for (failure, due, attempts) in ends {
            let update = "UPDATE delayed_events SET finalised_ts = ?1, failure = ?2, taken_until = NULL
                          WHERE finalised_ts IS NULL AND attempts >= ?3 AND delayed_since + delay <= ?4
                              AND coalesce(taken_until, 0) <= ?1";
            self.sql.run(update, values![now, &serde_json::to_string(&failure)?, attempts, due])?;
        }
        Ok(())
    }

    /// Forgets what became of older events.
    fn prune_delayed_events(&mut self) -> Result<()> {
        let delete = "DELETE FROM delayed_events WHERE finalised_ts < ? OR delay_id IN (
                          SELECT delay_id FROM delayed_events WHERE finalised_ts IS NOT NULL
                          ORDER BY finalised_ts DESC, rowid DESC LIMIT -1 OFFSET ?)";
        let oldest = self.moment.now.saturating_sub(RETENTION);
        self.sql.run(delete, values![oldest, MAX_FINALISED])?;
        Ok(())
    }

    fn delayed_event(&mut self, delay_id: &str) -> Result<Held> {
        self.held_delayed_event(delay_id)?.ok_or(Stop::Refused(Refusal::NotFound))
    }

    fn held_delayed_event(&mut self, delay_id: &str) -> Result<Option<Held>> {
        let query = "SELECT device, room, type, state_key, content, delay, delayed_since, taken_until, attempts, finalised_ts, event, failure
                     FROM delayed_events WHERE delay_id = ?";
        let ms = |at: i64| u64::try_from(at).unwrap_or_default();
        let read = |row: &Row<'_>| {
            let texts = (row.text(0)?, row.text(1)?, row.text(2)?, row.text_or_null(3)?);
            let times = (ms(row.int(5)?), ms(row.int(6)?), row.int_or_null(7)?, row.int(8)?);
            let end = (row.int_or_null(9)?.map(ms), row.text_or_null(10)?, row.text_or_null(11)?);
            Ok((texts, row.text(4)?, times, end))
        };
        let Some((texts, content, times, end)) = self.sql.row(query, values![delay_id], read)?
        else {
            return Ok(None);
        };
        let (device, room, event_type, state_key) = texts;
        let (delay, delayed_since, taken_until, attempts) = times;
        let (finalised_ts, event, failure) = end;
        let broken = |_| Stop::broken("a delayed event names what has no form");
        let shown = DelayedEvent {
            delay_id: delay_id.to_owned(),
            room_id: OwnedRoomId::try_from(room).map_err(broken)?,
            event_type,
            state_key,
            content: RawValue::from_string(content)?,
            delay,
            delayed_since,
            finalised_ts,
            event_id: event.map(|id| id.try_into()).transpose().map_err(broken)?,
            failure: failure.map(|text| serde_json::from_str(&text)).transpose()?,
        };
        Ok(Some(Held { device, shown, is_taken: taken_until.is_some(), attempts }))
    }

    /// Notes that an event is taken, for a while.
    fn taken(&mut self, held: Held) -> Result<Taken> {
        let Held { device, shown, attempts, .. } = held;
        let lease = LEASE.saturating_mul(1 << attempts.clamp(0, 20)).min(LONGEST_LEASE);
        let until = self.moment.now.saturating_add(lease);
        let update =
            "UPDATE delayed_events SET taken_until = ?, attempts = attempts + 1 WHERE delay_id = ?";
        self.sql.run(update, values![until, &shown.delay_id])?;
        self.effects.alarm_at(until);
        let DelayedEvent { delay_id, room_id, event_type, state_key, content, .. } = shown;
        let draft = Draft { event_type, state_key, content, redacts: None };
        Ok(Taken { delay_id, device, room_id, draft })
    }
}
