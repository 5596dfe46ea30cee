//! What did the user hear of the presence of others, and has not been shown?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))
//!
//! It is held in memory alone. A poll says up to when it knows; where that is before this memory began, the answer says
//! so, and D1's copy is asked. While a poll is held, whatever is heard wakes it. Nobody says that a server went silent:
//! D1's copy is asked for that now and then, by each user at another time.

use std::collections::BTreeMap;

use ruma::OwnedUserId;

use super::{
    ASKS_EVERY, Presence, PresenceNews, PresencePoll, PulledPresence, Result, TellPresence, User,
};

/// The most users whose presence is remembered. What the oldest said is asked of D1 then.
const MOST: usize = 1_000;
/// How far in the future a time may be that this object gave a client (ms): clocks differ, and no two are the same.
const AHEAD: u64 = 60_000;

/// What was heard since a time.
#[derive(Default)]
pub struct Heard {
    /// Since when everything heard is here (ms).
    began: Option<u64>,
    /// When something was heard last (ms); no two are heard at the same time.
    last: u64,
    users: BTreeMap<OwnedUserId, (u64, Presence)>,
}

impl Heard {
    /// Begins to remember, if it has not.
    pub fn begin(&mut self, now: u64) -> u64 {
        if self.began.is_none() {
            self.last = self.last.max(now);
        }
        *self.began.get_or_insert(now)
    }

    /// A time that was not given before.
    fn tick(&mut self, now: u64) -> u64 {
        self.begin(now);
        self.last = now.max(self.last.saturating_add(1));
        self.last
    }

    /// Notes what was heard; answers whether it is new.
    fn note(&mut self, presence: Presence, now: u64) -> bool {
        let known =
            |(_, held): &(u64, Presence)| held.told_ts > presence.told_ts || *held == presence;
        if self.users.get(&presence.user).is_some_and(known) {
            return false;
        }
        let at = self.tick(now);
        self.users.insert(presence.user.clone(), (at, presence));
        if self.users.len() > MOST {
            let oldest = self.users.iter().min_by_key(|(_, (at, _))| *at);
            if let Some((user, at)) = oldest.map(|(user, (at, _))| (user.clone(), *at)) {
                self.users.remove(&user);
                self.began = Some(at);
            }
        }
        true
    }
}

/// Notes what others are now.
pub fn news(user: &mut User<'_>, message: PresenceNews) -> Result<()> {
    user.exists()?;
    if !user.config.presence {
        return Ok(());
    }
    let ignored = user.ignored()?;
    let shown = message.presences.into_iter().filter(|of| !ignored.contains(&of.user));
    for presence in shown {
        user.hear(presence);
    }
    Ok(())
}

impl User<'_> {
    /// Notes a presence, of another or of the user; wakes the polls if it is new.
    pub fn hear(&mut self, presence: Presence) {
        let is_new = self.cache.heard.note(presence, self.moment.now);
        self.effects.wake |= is_new;
    }

    /// What a poll of a device says of the user is noted, and what it has not heard is its answer.
    pub fn poll_presence(
        &mut self,
        device: &str,
        poll: Option<PresencePoll>,
        goes_on: bool,
    ) -> Result<Option<PulledPresence>> {
        let Some(mut poll) = poll.filter(|_| self.config.presence) else { return Ok(None) };
        let (heard, now) = (&mut self.cache.heard, self.moment.now);
        let began = heard.begin(now);
        // Nobody was given a time that is far from here. What is heard next is later than what was given.
        poll.since = poll.since.filter(|since| *since <= heard.last.max(now).saturating_add(AHEAD));
        heard.last = heard.last.max(poll.since.unwrap_or_default());
        let tell = self.note_poll(device, &poll, goes_on)?;
        Ok(Some(self.unheard(&poll, began, tell)))
    }

    fn unheard(
        &mut self,
        poll: &PresencePoll,
        began: u64,
        tell: Option<TellPresence>,
    ) -> PulledPresence {
        let (heard, now) = (&mut self.cache.heard, self.moment.now);
        let since = poll.since.unwrap_or_default();
        let shift = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        let shift = self.name.bytes().fold(0, shift) % ASKS_EVERY;
        let turn = |at: u64| at.saturating_add(shift) / ASKS_EVERY;
        let whole = poll
            .since
            .is_some_and(|since| (poll.watched || since >= began) && turn(since) >= turn(now));
        let new = heard.users.values().filter(|(at, _)| *at > since);
        let new = new.map(|(_, presence)| presence.clone()).collect();
        heard.last = heard.last.max(now);
        PulledPresence { heard: new, next: heard.last, whole, tell }
    }
}
