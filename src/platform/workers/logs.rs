//! Where does the program's log go?
//!
//! Warnings and errors go to the console, which is what Workers Logs keep; the rest goes nowhere, since each line is
//! billed.

use std::{fmt, fmt::Write, sync::Once};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::set_global_default,
};

/// The console as a subscriber. Spans are not told apart.
struct Console;

/// One line: the message, then the fields.
#[derive(Default)]
struct Line(String, String);

/// From now on the program's warnings and errors are heard.
pub(super) fn hear() {
    static HEARD: Once = Once::new();
    HEARD.call_once(|| {
        if set_global_default(Console).is_err() {
            worker::console_warn!("somebody else hears the log");
        }
    });
}

impl Subscriber for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line(message, fields) = line;
        if *event.metadata().level() == Level::ERROR {
            worker::console_error!("{message}{fields}");
        } else {
            worker::console_warn!("{message}{fields}");
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.1, " {name}={value:?}"),
        };
    }
}
