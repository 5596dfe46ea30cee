//! Which two servers are it?

use std::rc::Rc;

use tombolo::app::Tombolo;
use tombolo_support::Pair;

pub const ONE: &str = "one.test:8448";
/// Its name is longer than the platform lets a pattern of `LIKE` be.
pub const TWO: &str = "two.of-a-name-that-has-more-than-fifty-characters-in-all.test:8448";

pub fn two_servers() -> Pair {
    Pair::new(Rc::new(Tombolo), [ONE, TWO])
}
