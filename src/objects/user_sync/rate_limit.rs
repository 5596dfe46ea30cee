//! May the user do this now?
//!
//! A bucket per kind of request, in memory: an eviction forgives.

use super::{Cost, Refusal, Result, User};
use crate::objects::Stop;

/// How many requests may come at once, and how fast the right to more grows.
struct Limit {
    burst: f64,
    per_second: f64,
}

const EVENTS: Limit = Limit { burst: 10.0, per_second: 0.2 };
const MEMBERSHIPS: Limit = Limit { burst: 10.0, per_second: 0.1 };

/// How full the buckets are, and since when.
#[derive(Default)]
pub struct Buckets {
    events: Bucket,
    memberships: Bucket,
}

#[derive(Default)]
struct Bucket {
    used: f64,
    at: u64,
}

impl User<'_> {
    /// Takes a request's cost out of its bucket, or says how long to wait.
    pub fn spend(&mut self, cost: Cost) -> Result<()> {
        if !self.config.rate_limits {
            return Ok(());
        }
        let now = self.moment.now;
        let wait = match cost {
            Cost::Free => None,
            Cost::Event => self.hot.buckets.events.take(&EVENTS, now),
            Cost::Membership => self.hot.buckets.memberships.take(&MEMBERSHIPS, now),
        };
        wait.map_or(Ok(()), |wait| Err(Stop::Refused(Refusal::Limited(wait))))
    }
}

impl Bucket {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "milliseconds of a wait")]
    fn take(&mut self, limit: &Limit, now: u64) -> Option<u64> {
        let gone = now.saturating_sub(self.at) as f64 / 1000.0;
        self.used = (self.used - gone * limit.per_second).max(0.0);
        self.at = now;
        if self.used + 1.0 > limit.burst {
            return Some(((self.used + 1.0 - limit.burst) / limit.per_second * 1000.0).ceil() as u64);
        }
        self.used += 1.0;
        None
    }
}
