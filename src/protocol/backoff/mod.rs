//! When may a server that failed be tried again?
//! ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))

#[cfg(test)]
mod tests;

/// How waiting grows, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: i64,
    /// The longest wait.
    pub longest: i64,
}

/// Waiting for another server: from 10 minutes, doubling, to a week.
pub const DESTINATION: Backoff =
    Backoff { first: 10 * 60 * 1000, longest: 7 * 24 * 60 * 60 * 1000 };

impl Backoff {
    /// How long to wait after so many failures in a row.
    #[must_use]
    pub fn wait(&self, failures: u32) -> i64 {
        let Some(doublings) = failures.checked_sub(1) else { return 0 };
        let factor = 1_i64.checked_shl(doublings.min(62)).unwrap_or(i64::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// When to try again, after the last of so many failures in a row.
    #[must_use]
    pub fn next_attempt(&self, failed_at: i64, failures: u32) -> i64 {
        failed_at.saturating_add(self.wait(failures))
    }
}
