//! When is a server that fails tried again?
//! ([transactions](https://spec.matrix.org/v1.19/server-server-api/#transactions))

#[cfg(test)]
mod tests;

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// How many hours a week has.
const HOURS_OF_A_WEEK: u64 = 7 * 24;

/// How long to wait before the next attempt (ms), after a server has been failing for some time (ms): as long as that,
/// so that an outage is over after twice its length at most. At least a second, at most an hour; a server that has been
/// dead for weeks is left alone for up to a day.
#[must_use]
pub fn wait(failing_for: u64) -> u64 {
    let longest = (failing_for / HOURS_OF_A_WEEK).clamp(HOUR, DAY);
    failing_for.clamp(SECOND, longest)
}
