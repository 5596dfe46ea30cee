//! Which pushers does the user have, and what has each yet to send?
//! ([pushers](https://spec.matrix.org/v1.19/client-server-api/#push-notifications))
//!
//! A pusher knows the last notice that it has sent. What it has yet to send follows from that: the unread notices after
//! it. So what is read before it is sent is never sent.

use ruma::RoomId;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::membership::Membership;

use super::{
    DuePushes, DuePushesReply, Push, PushEnd, PushNotice, Pushed, Pushers, Refusal, RemovePusher,
    Result, SetPusher, User,
};
use crate::shell::Stop;

/// How many pushers a user may have.
const MOST_PUSHERS: i64 = 50;
/// How many notices a pusher is given at once.
const AT_ONCE: usize = 20;
/// When a push that failed is tried again (ms); twice as long each time,
const FIRST_PAUSE: u64 = 1_000;
/// up to an hour (ms),
const LONGEST_PAUSE: u64 = 3_600_000;
/// and for a day (ms): what is older is given up.
const GIVES_UP: u64 = 86_400_000;

/// A row of `pushers`.
struct Pusher {
    app_id: String,
    pushkey: String,
    pusher: String,
    sent: i64,
    unread: i64,
    retry_at: Option<i64>,
    set_ts: i64,
}

/// Sets a pusher. It sends what comes from now on.
pub fn set(user: &mut User<'_>, message: SetPusher) -> Result<()> {
    let device = user.device_of(&message.session)?;
    let query = "SELECT count(*) FROM pushers WHERE app_id <> ? OR pushkey <> ?";
    let values = values![&message.app_id, &message.pushkey];
    if user.sql.row(query, values, |row| row.int(0))?.unwrap_or_default() >= MOST_PUSHERS {
        return Err(Stop::Refused(Refusal::Invalid("these are too many pushers".to_owned())));
    }
    let (newest, unread) = (user.next_notice()? - 1, user.unread_everywhere()?);
    let insert = "INSERT INTO pushers (app_id, pushkey, device, pusher, set_ts, sent, unread) VALUES (?, ?, ?, ?, ?, ?, ?)
                  ON CONFLICT DO UPDATE SET device = excluded.device, pusher = excluded.pusher, set_ts = excluded.set_ts,
                  failing_since = NULL, attempts = 0, retry_at = NULL";
    let SetPusher { app_id, pushkey, pusher, .. } = message;
    let now = user.moment.now;
    user.sql.run(
        insert,
        values![&app_id, &pushkey, &device, pusher.get(), now / 1000, newest, unread],
    )?;
    user.cache.pushes = None;
    // One that was set anew may have something to send.
    user.push()
}

/// Removes a pusher.
pub fn remove(user: &mut User<'_>, message: RemovePusher) -> Result<()> {
    user.exists()?;
    user.remove_pusher(&message.app_id, &message.pushkey)
}

/// The pushers, as clients are shown them.
pub fn pushers(user: &mut User<'_>, _: Pushers) -> Result<Vec<Box<RawValue>>> {
    user.exists()?;
    let all = user.pushers()?.into_iter();
    Ok(all.map(|held| RawValue::from_string(held.pusher)).collect::<serde_json::Result<_>>()?)
}

/// What the pushers have to send now.
pub fn due(user: &mut User<'_>, _: DuePushes) -> Result<DuePushesReply> {
    user.exists()?;
    let mut reply = DuePushesReply::default();
    let unread = user.unread_everywhere()?;
    for held in user.pushers()? {
        let retry_at = held.retry_at.and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
        if retry_at > user.moment.now {
            reply.next = Some(reply.next.map_or(retry_at, |next| next.min(retry_at)));
            continue;
        }
        let notices = user.unsent(held.sent)?;
        if notices.is_empty() && u64::try_from(held.unread).is_ok_and(|sent| sent == unread) {
            continue;
        }
        reply.pushes.push(Push {
            app_id: held.app_id,
            pushkey: held.pushkey,
            pusher: RawValue::from_string(held.pusher)?,
            set_ts: u64::try_from(held.set_ts).unwrap_or_default(),
            notices,
            unread,
        });
    }
    Ok(reply)
}

/// Notes what became of a push.
pub fn pushed(user: &mut User<'_>, message: Pushed) -> Result<()> {
    user.exists()?;
    let Pushed { app_id, pushkey, upto, end } = message;
    match end {
        PushEnd::Sent { unread } => {
            let update = "UPDATE pushers SET sent = max(sent, coalesce(?, sent)), unread = ?, failing_since = NULL, attempts = 0, retry_at = NULL
                          WHERE app_id = ? AND pushkey = ?";
            user.sql.run(update, values![upto, unread, &app_id, &pushkey])?;
        }
        PushEnd::Failed => user.note_failure([&app_id, &pushkey], upto)?,
        PushEnd::Rejected => user.remove_pusher(&app_id, &pushkey)?,
    }
    Ok(())
}

impl User<'_> {
    /// Has the pushers send what has changed, if there are any.
    pub fn push(&mut self) -> Result<()> {
        let some = match self.cache.pushes {
            Some(some) => some,
            None => {
                let query = "SELECT 1 FROM pushers LIMIT 1";
                self.sql.row(query, values![], |row| row.int(0))?.is_some()
            }
        };
        self.cache.pushes = Some(some);
        if some {
            self.effects.alarm_at(self.moment.now);
        }
        Ok(())
    }

    /// Removes the pushers that were set on these devices (a JSON array).
    pub fn drop_pushers_of(&mut self, devices: &str) -> Result<()> {
        let delete = "DELETE FROM pushers WHERE device IN (SELECT value FROM json_each(?))";
        self.sql.run(delete, values![devices])?;
        self.cache.pushes = None;
        Ok(())
    }

    fn remove_pusher(&mut self, app_id: &str, pushkey: &str) -> Result<()> {
        let delete = "DELETE FROM pushers WHERE app_id = ? AND pushkey = ?";
        self.sql.run(delete, values![app_id, pushkey])?;
        self.cache.pushes = None;
        Ok(())
    }

    fn pushers(&mut self) -> Result<Vec<Pusher>> {
        let query = "SELECT app_id, pushkey, pusher, sent, unread, retry_at, set_ts FROM pushers ORDER BY app_id, pushkey";
        let read = |row: &Row<'_>| {
            Ok(Pusher {
                app_id: row.text(0)?,
                pushkey: row.text(1)?,
                pusher: row.text(2)?,
                sent: row.int(3)?,
                unread: row.int(4)?,
                retry_at: row.int_or_null(5)?,
                set_ts: row.int(6)?,
            })
        };
        Ok(self.sql.rows(query, values![], read)?)
    }

    /// The unread notices after one, oldest first; not all, where they are many.
    fn unsent(&mut self, after: i64) -> Result<Vec<PushNotice>> {
        let rooms: Vec<_> = self
            .tallies()?
            .iter()
            .filter(|(_, tally)| tally.newest > after && !tally.counts.is_empty())
            .map(|(room, _)| room.clone())
            .collect();
        let mut unsent = Vec::new();
        for room_id in rooms {
            for notice in self.unread_in(&room_id)?.into_notices() {
                if notice.number > after && !notice.read {
                    unsent.push(PushNotice {
                        number: notice.number,
                        room_id: room_id.clone(),
                        event_id: notice.event_id,
                        actions: notice.actions,
                        encrypted: notice.encrypted,
                        stripped: None,
                    });
                }
            }
        }
        unsent.sort_unstable_by_key(|notice| notice.number);
        unsent.truncate(AT_ONCE);
        for notice in &mut unsent {
            notice.stripped = self.stripped_of_invite(&notice.room_id)?;
        }
        Ok(unsent)
    }

    /// What the user was shown with an invite, if they are invited to this room.
    fn stripped_of_invite(&mut self, room: &RoomId) -> Result<Option<Box<RawValue>>> {
        let last = self.loaded()?.rooms.get(room).cloned();
        let Some(last) = last.filter(|last| last.membership == Membership::Invite) else {
            return Ok(None);
        };
        let text = self.stripped_at(last.pos)?;
        Ok(text.map(RawValue::from_string).transpose()?)
    }

    /// Has a push tried again later. It fails since something was sent last; after a day, what could not be sent is given
    /// up.
    fn note_failure(&mut self, [app_id, pushkey]: [&str; 2], upto: Option<i64>) -> Result<()> {
        let (now, newest) = (self.moment.now, self.next_notice()? - 1);
        let query = "SELECT failing_since, attempts FROM pushers WHERE app_id = ? AND pushkey = ?";
        let read = |row: &Row<'_>| Ok((row.int_or_null(0)?, row.int(1)?));
        let Some((since, attempts)) = self.sql.row(query, values![app_id, pushkey], read)? else {
            return Ok(());
        };
        let since = since.filter(|_| upto.is_none()).and_then(|since| u64::try_from(since).ok());
        let (since, attempts) = since.map_or((now, 0), |since| (since, attempts));
        let gives_up = now.saturating_sub(since) >= GIVES_UP;
        if gives_up {
            let unread = self.unread_everywhere()?;
            let update = "UPDATE pushers SET sent = max(sent, ?), unread = ?, failing_since = NULL, attempts = 0, retry_at = NULL
                          WHERE app_id = ? AND pushkey = ?";
            self.sql.run(update, values![newest, unread, app_id, pushkey])?;
            return Ok(());
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << attempts.clamp(0, 20)).min(LONGEST_PAUSE);
        let update = "UPDATE pushers SET sent = max(sent, coalesce(?, sent)), failing_since = ?, attempts = ?, retry_at = ?
                      WHERE app_id = ? AND pushkey = ?";
        let values = values![upto, since, attempts + 1, now + pause, app_id, pushkey];
        self.sql.run(update, values)?;
        Ok(())
    }
}
