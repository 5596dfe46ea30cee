//! What do all invocations in one isolate share?

use std::rc::Rc;

use crate::{Isolate, units::Meter};

thread_local! {
    static ISOLATE: Rc<Isolate> = Rc::default();
    static METER: Rc<Meter> = Rc::default();
}

/// What this isolate remembers.
pub(super) fn isolate() -> Rc<Isolate> {
    ISOLATE.with(Rc::clone)
}

/// What this isolate will be billed for.
pub(super) fn meter() -> Rc<Meter> {
    METER.with(Rc::clone)
}
