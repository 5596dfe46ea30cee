//! How long is the wait after so many failures?

use super::DESTINATION;

const MINUTE: i64 = 60 * 1000;

#[test]
fn the_wait_doubles_from_ten_minutes_to_a_week() {
    for (failures, minutes) in [
        (0, 0),
        (1, 10),
        (2, 20),
        (3, 40),
        (10, 5120),
        (11, 7 * 24 * 60),
        (64, 7 * 24 * 60),
        (u32::MAX, 7 * 24 * 60),
    ] {
        assert_eq!(DESTINATION.wait(failures), minutes * MINUTE, "{failures}");
    }
}

#[test]
fn the_next_attempt_is_counted_from_the_failure() {
    assert_eq!(DESTINATION.next_attempt(1_000, 1), 1_000 + 10 * MINUTE);
    assert_eq!(DESTINATION.next_attempt(i64::MAX, 5), i64::MAX);
}
