//! Do objects still read the messages that earlier deployments wrote?
//!
//! `samples.json` of each class holds messages and their replies as deployments wrote them: a list of pairs for each
//! message. Samples are never changed; a new message or field gets a new sample.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::shell::Wire;

/// Samples by the name of the message.
type Samples = BTreeMap<String, Vec<Sample>>;

#[derive(serde::Deserialize)]
struct Sample {
    message: Value,
    reply: Value,
}

macro_rules! samples_of_classes {
    ($($module:ident::$class:ident, $object:ident;)*) => {
        fn classes() -> Vec<(&'static [Wire], Samples)> {
            let samples = |text: &str| serde_json::from_str(text).unwrap();
            vec![$(($module::WIRES, samples(include_str!(concat!(stringify!($module), "/samples.json"))))),*]
        }
    };
}
classes!(samples_of_classes);

/// Whether `is` holds everything that `was` holds; it may hold more.
fn says(is: &Value, was: &Value) -> bool {
    match (is, was) {
        (Value::Object(is), Value::Object(was)) => {
            was.iter().all(|(name, was)| is.get(name).is_some_and(|is| says(is, was)))
        }
        (Value::Array(is), Value::Array(was)) => {
            is.len() == was.len() && is.iter().zip(was).all(|(is, was)| says(is, was))
        }
        _ => is == was,
    }
}

#[test]
fn what_was_written_before_is_read_as_it_was_meant() {
    for (wires, samples) in classes() {
        for wire in wires {
            for Sample { message, reply } in samples.get(wire.name).into_iter().flatten() {
                for (was, again) in [(message, wire.message), (reply, wire.reply)] {
                    let is = again(&was.to_string());
                    let is = is.unwrap_or_else(|error| panic!("{} {was}: {error}", wire.name));
                    let is = serde_json::from_str(&is).unwrap();
                    assert!(says(&is, was), "{}: {was} became {is}", wire.name);
                }
            }
        }
    }
}

#[test]
fn every_message_has_a_sample_that_names_all_its_members() {
    for (wires, samples) in classes() {
        for wire in wires {
            let held = samples.get(wire.name).map_or(&[][..], Vec::as_slice);
            let [first, ..] = held else { panic!("there is no sample of {}", wire.name) };
            let is = (wire.message)(&first.message.to_string()).unwrap();
            let is: Value = serde_json::from_str(&is).unwrap();
            let names_all = |sample: &Sample| names(&is).is_subset(&names(&sample.message));
            assert!(held.iter().any(names_all), "{}: no sample names all of {is}", wire.name);
        }
        let known: BTreeSet<&str> = wires.iter().map(|wire| wire.name).collect();
        let unknown = samples.keys().find(|name| !known.contains(name.as_str()));
        assert_eq!(unknown, None, "a message is understood no more");
    }
}

/// The names of an object's members.
fn names(of: &Value) -> BTreeSet<&str> {
    of.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}
