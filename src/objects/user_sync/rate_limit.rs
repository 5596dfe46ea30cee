//! Is the user within their rate limits?
//!
//! One bucket per kind of request, in the memory of the isolate and not of the object: a refusal clears the object's
//! memory, and refusing is what a full bucket does. A new isolate starts with empty buckets.

use std::{cell::RefCell, collections::BTreeMap};

use tombolo_platform::{Row, values};

use super::{Cost, OverrideRateLimit, RateLimit, RateLimitOf, Refusal, Result, User};
use crate::{
    bucket::{Bucket, Limit},
    shell::Stop,
};

const EVENTS: Limit = Limit { burst: 10.0, per_second: 0.2 };
const PASSWORDS: Limit = Limit { burst: 5.0, per_second: 0.17 };
const REFRESHES: Limit = Limit { burst: 20.0, per_second: 0.5 };
const PRESENCES: Limit = Limit { burst: 10.0, per_second: 0.2 };
const SEARCHES: Limit = Limit { burst: 10.0, per_second: 0.5 };
/// A client that opens a room asks for all that is named there at once.
const PREVIEWS: Limit = Limit { burst: 60.0, per_second: 1.0 };
const DELAYED: Limit = Limit { burst: 20.0, per_second: 1.0 };
const MEMBERSHIPS: Limit = Limit { burst: 10.0, per_second: 0.1 };

/// The most users whose buckets are remembered; beyond that, all are forgotten.
const MAX_USERS: usize = 10_000;

/// The buckets of the users whose objects run in this isolate.
#[derive(Default)]
pub struct Users(RefCell<BTreeMap<String, Buckets>>);

/// The buckets of one user.
#[derive(Default)]
struct Buckets {
    events: Bucket,
    logins: Bucket,
    proofs: Bucket,
    refreshes: Bucket,
    memberships: Bucket,
    searches: Bucket,
    previews: Bucket,
    delayed: Bucket,
    presences: Bucket,
}

/// Sets another limit for the user, or the usual one. An account may have a limit that nobody ever used.
pub fn set_override(user: &mut User<'_>, message: OverrideRateLimit) -> Result<()> {
    match message.limit {
        Some(RateLimit { messages_per_second, burst_count }) => {
            user.create()?;
            let write = "INSERT INTO rate_limit (one, per_second, burst) VALUES (1, ?, ?)
                 ON CONFLICT DO UPDATE SET per_second = excluded.per_second, burst = excluded.burst";
            user.sql.run(write, values![messages_per_second, burst_count])?;
        }
        None => {
            user.exists()?;
            user.sql.run("DELETE FROM rate_limit", values![])?;
        }
    }
    user.cache.rate_limit = Some(message.limit);
    Ok(())
}

/// The limit that was set for the user.
pub fn rate_limit_of(user: &mut User<'_>, _: RateLimitOf) -> Result<Option<RateLimit>> {
    user.exists()?;
    user.own_rate_limit()
}

impl User<'_> {
    /// Counts a request in the bucket of its cost, or refuses with the time to wait.
    pub fn spend(&mut self, cost: Cost) -> Result<()> {
        if !self.config.rate_limits || cost == Cost::Free {
            return Ok(());
        }
        let events = match self.own_rate_limit()? {
            Some(RateLimit { messages_per_second: 0, .. }) => return Ok(()),
            // One event at a time may always be sent.
            Some(RateLimit { messages_per_second, burst_count }) => Limit {
                burst: f64::from(burst_count.max(1)),
                per_second: f64::from(messages_per_second),
            },
            None => EVENTS,
        };
        let now = self.moment.now;
        self.buckets(|buckets| match cost {
            Cost::Free => None,
            Cost::Event => buckets.events.take(&events, now),
            Cost::Membership => buckets.memberships.take(&MEMBERSHIPS, now),
            Cost::Search => buckets.searches.take(&SEARCHES, now),
            Cost::Preview => buckets.previews.take(&PREVIEWS, now),
        })
    }

    fn own_rate_limit(&mut self) -> Result<Option<RateLimit>> {
        if let Some(limit) = self.cache.rate_limit {
            return Ok(limit);
        }
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        let read = |row: &Row<'_>| {
            let (messages_per_second, burst_count) = (count(row.int(0)?), count(row.int(1)?));
            Ok(RateLimit { messages_per_second, burst_count })
        };
        let query = "SELECT per_second, burst FROM rate_limit";
        let limit = self.sql.row(query, values![], read)?;
        self.cache.rate_limit = Some(limit);
        Ok(limit)
    }

    /// Counts a password that is tried: at a login, where strangers try too, or as the proof of a session.
    pub fn count_password(&mut self, proof: bool) -> Result<()> {
        if !self.config.rate_limits {
            return Ok(());
        }
        let now = self.moment.now;
        self.buckets(|buckets| {
            let bucket = if proof { &mut buckets.proofs } else { &mut buckets.logins };
            bucket.take(&PASSWORDS, now)
        })
    }

    /// Counts a refresh of a session.
    pub fn count_refresh(&mut self) -> Result<()> {
        if !self.config.rate_limits {
            return Ok(());
        }
        let now = self.moment.now;
        self.buckets(|buckets| buckets.refreshes.take(&REFRESHES, now))
    }

    /// Counts a request about the user's delayed events, whoever makes it.
    pub fn count_delayed(&mut self) -> Result<()> {
        if !self.config.rate_limits {
            return Ok(());
        }
        let now = self.moment.now;
        self.buckets(|buckets| buckets.delayed.take(&DELAYED, now))
    }

    /// Counts a presence that a client sets.
    pub fn count_presence(&mut self) -> Result<()> {
        if !self.config.rate_limits {
            return Ok(());
        }
        let now = self.moment.now;
        self.buckets(|buckets| buckets.presences.take(&PRESENCES, now))
    }

    /// Works on this user's buckets; refuses if `take` answers how long to wait.
    fn buckets(&self, take: impl FnOnce(&mut Buckets) -> Option<u64>) -> Result<()> {
        let mut users = self.limits.0.borrow_mut();
        if users.len() > MAX_USERS {
            users.clear();
        }
        let wait = take(users.entry(self.name.to_owned()).or_default());
        wait.map_or(Ok(()), |wait| Err(Stop::Refused(Refusal::Limited(wait))))
    }
}
