//! What is the user: online, unavailable or offline, and what are others told of it?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))
//!
//! Each device says what it is, by `PUT /presence` or by its polls; the user is what the most present device is. A
//! device that says nothing more is gone a while after its last poll. So the state follows from what was said and from
//! the time. It is worked out whenever somebody asks, and by the object's alarm while the user is not offline.
//!
//! What others were told is a row. It is written when they are told something else, which happens a few times at once
//! and then every few seconds at most; when a client sets a presence; and every few minutes at most for the time of the
//! last activity. That a device polls is held in memory: where that is lost, the time at which the device was last seen
//! says it, a few minutes less exactly. Rooms take no part.
//!
//! What is to be told counts as told in the same transaction, and the Worker tells it: first D1's copy, then others. Where
//! a Worker ends in between, others hear of the next change; D1's copy and other servers, of the same after [`REFRESH`].

mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use tombolo_platform::values;

use super::{
    DuePresence, Presence, PresenceNow, PresencePoll, PresenceState, PresenceUntold, Result,
    SetPresence, TellPresence, User, sessions::SEEN_EVERY,
};
use crate::shell::Stop;

/// How long a device is there after its last poll ended (ms).
const LINGERS: u64 = 30_000;
/// The longest poll (ms), for devices whose polls were forgotten.
const LONGEST_POLL: u64 = 60_000;
/// After how long without activity a user whose devices only poll is unavailable (ms).
const IDLE: u64 = 300_000;
/// How old the written time of the last activity may be (ms).
const ACTIVE_EVERY: u64 = 150_000;
/// How often the row is written because a device came or went (ms).
const NOTE_EVERY: u64 = 60_000;
/// How often others are told the same again (ms): Synapse forgets a user of whom it hears nothing for half an hour.
const REFRESH: u64 = 1_500_000;
/// How often the alarm looks whether the user is still there (ms).
const LOOK_EVERY: u64 = 300_000;
/// How often others are told something else (ms), and how many times may be taken in advance.
const TELL_EVERY: u64 = 10_000;
const IN_ADVANCE: u64 = 5;
/// When what could not be told is told again (ms).
const AGAIN: u64 = 60_000;

/// What is remembered of the user's presence.
#[derive(Default)]
pub struct Remembered {
    own: Option<Own>,
    /// Until when each device polls (ms).
    polls: BTreeMap<String, u64>,
    /// Since when polls are remembered (ms).
    since: Option<u64>,
}

/// What a device says that is not offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Says {
    /// The user is there: somebody said so.
    Online,
    /// The device polls, and no more than that.
    Polls,
    Unavailable,
}

/// What others were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    state: PresenceState,
    status_msg: Option<String>,
    /// Whether that failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
}

/// The row of the user's presence, and what is newer than it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Own {
    devices: BTreeMap<String, Says>,
    status_msg: Option<String>,
    active_ts: u64,
    told: Told,
    told_ts: u64,
    spent: u64,
    /// What was said and `active_ts`, as they are written.
    written: Said,
    written_ts: u64,
    /// When the row was written for a device that came or went (ms).
    noted_ts: u64,
}

/// What the user's devices and the user said.
type Said = (BTreeMap<String, Says>, Option<String>);

/// Until when a device counts as there (ms), and whether that is by a poll that is remembered.
struct There {
    until: u64,
    polls: bool,
}

/// What the user is at a moment, and when to look again (ms).
struct Standing {
    state: PresenceState,
    look_at: u64,
    gone: Vec<String>,
}

/// Sets what a device says, and the status message.
pub fn set(user: &mut User<'_>, message: SetPresence) -> Result<Option<TellPresence>> {
    user.exists()?;
    if !user.config.presence {
        return Ok(None);
    }
    user.count_presence()?;
    let SetPresence { device_id, state, status_msg } = message;
    let mut own = user.own_presence()?;
    own.say(&device_id, Some(state), user.moment.now);
    own.status_msg = status_msg.map(|text| text.replace('\0', "")).filter(|text| !text.is_empty());
    user.poll_until(&device_id, user.moment.now);
    let tell = user.settle(own)?;
    // What a client set is kept, though others may learn of it later.
    let own = user.own_presence()?;
    if own.said() != own.written {
        user.write_presence(own)?;
    }
    Ok(tell)
}

/// The user's presence now.
pub fn now(user: &mut User<'_>, _: PresenceNow) -> Result<Presence> {
    user.exists()?;
    let own = user.own_presence()?;
    let state = user.standing(&own)?.state;
    user.shown(&own, state)
}

/// What the time alone has changed.
pub fn due(user: &mut User<'_>, _: DuePresence) -> Result<Option<TellPresence>> {
    user.exists()?;
    if !user.config.presence {
        return Ok(None);
    }
    let own = user.own_presence()?;
    user.settle(own)
}

/// Has what could not be told told again, unless something else was told since.
pub fn untold(user: &mut User<'_>, message: PresenceUntold) -> Result<()> {
    user.exists()?;
    let mut own = user.own_presence()?;
    if own.told_ts == message.told_ts {
        own.told.failed = true;
        user.write_presence(own)?;
        user.effects.alarm_at(user.moment.now + AGAIN);
    }
    Ok(())
}

impl Own {
    fn said(&self) -> Said {
        (self.devices.clone(), self.status_msg.clone())
    }

    /// When others may be told something (ms).
    fn ready_at(&self) -> u64 {
        self.spent.saturating_sub(TELL_EVERY * (IN_ADVANCE - 1))
    }

    /// Notes what a device says; `None`: only that it polls. That, too, says that the user is there, but once: whatever
    /// else was said, who only polls is idle in the end.
    fn say(&mut self, device: &str, says: Option<PresenceState>, now: u64) {
        let says = match says {
            Some(PresenceState::Offline) => {
                self.devices.remove(device);
                return;
            }
            Some(PresenceState::Unavailable) => Says::Unavailable,
            Some(PresenceState::Online) => Says::Online,
            None => match self.devices.get(device) {
                Some(Says::Online | Says::Polls) => {
                    self.devices.insert(device.to_owned(), Says::Polls);
                    return;
                }
                Some(Says::Unavailable) | None => Says::Polls,
            },
        };
        if says != Says::Unavailable {
            self.active_ts = self.active_ts.max(now);
        }
        self.devices.insert(device.to_owned(), says);
    }
}

impl User<'_> {
    /// Notes a poll; answers what others are to be told. What one that goes on says was noted when it began: the user may
    /// have said something else since.
    pub fn note_poll(
        &mut self,
        device: &str,
        poll: &PresencePoll,
        goes_on: bool,
    ) -> Result<Option<TellPresence>> {
        let mut own = self.own_presence()?;
        if !goes_on {
            own.say(device, poll.says, self.moment.now);
        }
        if own.devices.contains_key(device) {
            self.poll_until(device, poll.until.min(self.moment.now.saturating_add(LONGEST_POLL)));
        } else {
            self.cache.presence.polls.remove(device);
        }
        self.settle(own)
    }

    /// Notes until when a device polls (ms). Another poll of it may last longer.
    fn poll_until(&mut self, device: &str, until: u64) {
        let noted = self.cache.presence.polls.entry(device.to_owned()).or_default();
        *noted = until.max(*noted);
    }

    /// Notes that the user does something, by a device that is not hidden. Others are told by the alarm, if they are.
    pub fn note_activity(&mut self, device: &str) -> Result<()> {
        if !self.config.presence {
            return Ok(());
        }
        let now = self.moment.now;
        let mut own = self.own_presence()?;
        let Some(says) = own.devices.get_mut(device) else { return Ok(()) };
        if *says == Says::Unavailable {
            *says = Says::Polls;
        }
        own.active_ts = own.active_ts.max(now);
        if own.told.state != PresenceState::Online {
            self.effects.alarm_at(now.max(own.ready_at()));
        }
        if own.active_ts >= own.written_ts.saturating_add(ACTIVE_EVERY) {
            return self.write_presence(own);
        }
        self.cache.presence.own = Some(own);
        Ok(())
    }

    /// Compares what the user is with what others were told; answers what they are to be told, which counts as told.
    fn settle(&mut self, mut own: Own) -> Result<Option<TellPresence>> {
        let now = self.moment.now;
        let Standing { state, look_at, gone } = self.standing(&own)?;
        for device in &gone {
            own.devices.remove(device);
        }
        let held = Told { state, status_msg: own.status_msg.clone(), failed: false };
        let (failed, again) = (own.told.failed, own.told == held);
        let is_same = again || failed && own.told == Told { failed, ..held.clone() };
        let is_there = state != PresenceState::Offline;
        let retry_at = own.told_ts.saturating_add(if failed { AGAIN } else { REFRESH });
        let is_due = !is_same || (is_there || failed) && now >= retry_at;
        let told = if is_due && now >= own.ready_at() {
            own.spent = own.spent.max(now).saturating_add(TELL_EVERY);
            (own.told, own.told_ts) = (held, now.max(own.told_ts.saturating_add(1)));
            let presence = self.shown(&own, state)?;
            if !is_same {
                self.hear(presence.clone());
            }
            Some(TellPresence { presence, again })
        } else {
            None
        };
        if is_due && told.is_none() {
            self.effects.alarm_at(own.ready_at());
        } else if is_there || own.told.failed {
            let retry_at =
                own.told_ts.saturating_add(if own.told.failed { AGAIN } else { REFRESH });
            self.effects.alarm_at(look_at.min(retry_at));
        }
        if told.is_some() {
            self.write_presence(own)?
        } else {
            self.hold_presence(own)?
        }
        Ok(told)
    }

    /// What the user is now, by what their devices say and when they were last there.
    fn standing(&mut self, own: &Own) -> Result<Standing> {
        let now = self.moment.now;
        let (mut state, mut look_at, mut gone) = (PresenceState::Offline, u64::MAX, Vec::new());
        for (device, says) in &own.devices {
            let there = self.there_until(device)?.filter(|there| there.until > now);
            let Some(There { until, polls }) = there else {
                gone.push(device.clone());
                continue;
            };
            // Who polls goes on, most likely: the alarm does not come for each poll.
            let until = if polls { until.max(now.saturating_add(LOOK_EVERY)) } else { until };
            let idle_at = own.active_ts.saturating_add(IDLE);
            let is_idle = *says == Says::Polls && now >= idle_at;
            look_at = look_at.min(until);
            if *says == Says::Polls && !is_idle {
                look_at = look_at.min(idle_at);
            }
            let of_device = match says {
                Says::Online | Says::Polls if !is_idle => PresenceState::Online,
                _ => PresenceState::Unavailable,
            };
            state = state.max(of_device);
        }
        Ok(Standing { state, look_at, gone })
    }

    /// Until when a device is there; `None`: it was removed.
    fn there_until(&mut self, device: &str) -> Result<Option<There>> {
        let since = *self.cache.presence.since.get_or_insert(self.moment.now);
        let query = "SELECT last_seen FROM devices WHERE device = ?";
        let seen = self.sql.row(query, values![device], |row| row.int_or_null(0))?;
        let Some(seen) = seen else { return Ok(None) };
        if let Some(until) = self.cache.presence.polls.get(device) {
            return Ok(Some(There { until: until.saturating_add(LINGERS), polls: true }));
        }
        // It may have polled after it was noted as seen, but not after the memory of polls began.
        let seen = seen.and_then(|seen| u64::try_from(seen).ok()).unwrap_or_default();
        let last = seen.saturating_add(SEEN_EVERY).min(since);
        Ok(Some(There { until: last.saturating_add(LONGEST_POLL + LINGERS), polls: false }))
    }

    /// The user's presence, as others are shown it.
    fn shown(&self, own: &Own, state: PresenceState) -> Result<Presence> {
        let broken = |_| Stop::broken("the user has no ID");
        let user: OwnedUserId = UserId::parse(self.name).map_err(broken)?;
        Ok(Presence {
            user,
            state,
            status_msg: own.status_msg.clone(),
            active_ts: Some(own.active_ts).filter(|at| *at > 0),
            currently_active: state == PresenceState::Online,
            told_ts: own.told_ts,
        })
    }
}
