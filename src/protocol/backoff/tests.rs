//! How long is the wait after a server has failed for some time?

use super::{DAY, HOUR, SECOND, wait};

#[test]
fn the_wait_is_as_long_as_the_outage_within_limits() {
    let week = 7 * DAY;
    for (failing_for, expected) in [
        (0, SECOND),
        (SECOND, SECOND),
        (20 * SECOND, 20 * SECOND),
        (HOUR, HOUR),
        (week, HOUR),
        (2 * week, 2 * HOUR),
        (24 * week, DAY),
        (u64::MAX, DAY),
    ] {
        assert_eq!(wait(failing_for), expected, "{failing_for}");
    }
}

#[test]
fn attempts_double_their_distance() {
    let (mut now, mut attempts) = (0, Vec::new());
    while now < 60 * SECOND {
        now += wait(now);
        attempts.push(now / SECOND);
    }
    assert_eq!(attempts, [1, 2, 4, 8, 16, 32, 64]);
}
