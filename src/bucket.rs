//! How often may something happen?
//!
//! A bucket fills with every request and empties with time. Buckets lie in the isolate's memory: a fresh isolate
//! forgives.

/// How many requests may come at once, and how fast the right to more grows.
pub struct Limit {
    /// Requests.
    pub burst: f64,
    /// Requests per second.
    pub per_second: f64,
}

/// How full a bucket is, and since when.
#[derive(Default)]
pub struct Bucket {
    used: f64,
    at: u64,
}

impl Bucket {
    /// Counts a request at a time (ms); if there is no room for it, it is not counted, and the answer is how long to
    /// wait (ms).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "milliseconds of a wait"
    )]
    pub fn take(&mut self, limit: &Limit, now: u64) -> Option<u64> {
        let gone = now.saturating_sub(self.at) as f64 / 1000.0;
        self.used = (self.used - gone * limit.per_second).max(0.0);
        self.at = now;
        if self.used + 1.0 > limit.burst {
            return Some(
                ((self.used + 1.0 - limit.burst) / limit.per_second * 1000.0).ceil() as u64
            );
        }
        self.used += 1.0;
        None
    }
}
