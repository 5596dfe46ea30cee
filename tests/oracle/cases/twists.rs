//! How might an event be wrong in its citations, its proofs or its text?

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tombolo_protocol::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

use crate::{
    fields,
    world::{Branch, Parts, SERVERS, USERS, World, text_of},
};

/// A twisted event.
pub struct Twist {
    /// What is wrong.
    pub aim: &'static str,
    /// The event.
    pub text: String,
    /// Whether the room may go on with it.
    pub keep: bool,
}

/// Takes away what the first event of a room does not have.
pub fn begin_room(world: &World, parts: &mut Parts) {
    parts.fields.insert("prev_events".to_owned(), json!([]));
    parts.fields.insert("auth_events".to_owned(), json!([]));
    if world.version.room_id_is_create_hash() {
        parts.fields.remove("room_id");
    }
}

/// Twists an event.
pub fn twist(world: &World, branch: &Branch, parts: &mut Parts) -> Twist {
    match world.dice.below(20) {
        0..9 => {
            let aim = citations(world, branch, parts);
            Twist { aim, text: text_of(&world.seal(parts)), keep: true }
        }
        9 | 10 => {
            let aim = previous(world, parts);
            Twist { aim, text: text_of(&world.seal(parts)), keep: true }
        }
        11..15 => {
            let aim = fields::twist(world, parts);
            Twist { aim, text: text_of(&world.seal(parts)), keep: false }
        }
        15 | 16 => proofs(world, parts),
        17 | 18 if world.dice.percent(20) => sized(world, parts),
        17 | 18 => altered(world, parts),
        _ => spliced(world, parts),
    }
}

fn list<'a>(parts: &'a mut Parts, field: &str) -> &'a mut Vec<Value> {
    match parts.fields.get_mut(field) {
        Some(Value::Array(list)) => list,
        _ => panic!("{field} is a list"),
    }
}

fn citations(world: &World, branch: &Branch, parts: &mut Parts) -> &'static str {
    let dice = &world.dice;
    let cited = list(parts, "auth_events");
    let place = if cited.is_empty() { None } else { Some(dice.below(cited.len())) };
    match (dice.below(12), place) {
        (choice @ (0 | 1 | 4..=6 | 8), Some(place)) => change_citation(world, cited, place, choice),
        (choice, _) => add_citation(world, branch, cited, choice),
    }
}

/// Removes, repeats or replaces a citation.
fn change_citation(
    world: &World,
    cited: &mut Vec<Value>,
    place: usize,
    choice: usize,
) -> &'static str {
    match choice {
        0 => {
            cited.remove(place);
            "one citation less"
        }
        1 => {
            cited.push(cited[place].clone());
            "cited twice"
        }
        4 => {
            cited[place] = any_event(world);
            "something else cited"
        }
        5 | 6 => {
            cited[place] = older(world, &cited[place]);
            "an older event cited"
        }
        _ => {
            cited[place] = one_of(world, &world.foreign);
            "another room cited"
        }
    }
}

/// Adds a citation.
fn add_citation(
    world: &World,
    branch: &Branch,
    cited: &mut Vec<Value>,
    choice: usize,
) -> &'static str {
    let (aim, more) = match choice {
        2 => ("anything cited too", Some(any_event(world))),
        3 if !branch.state.is_empty() => {
            let current: Vec<_> = branch.state.values().cloned().collect();
            ("some state cited too", Some(one_of(world, &current)))
        }
        7 => ("another room cited too", Some(one_of(world, &world.foreign))),
        9 if !world.refused.is_empty() => {
            ("a refused event cited", Some(one_of(world, &world.refused)))
        }
        10 => ("an unknown event cited", Some(format!("${}", "A".repeat(43)).into())),
        _ => {
            let create = world.room_id.as_ref().map(|id| id.as_str().replacen('!', "$", 1));
            ("the create event cited by its room", create.map(Value::from))
        }
    };
    cited.extend(more);
    aim
}

fn one_of(world: &World, ids: &[OwnedEventId]) -> Value {
    world.dice.one(ids).as_str().into()
}

fn any_event(world: &World) -> Value {
    one_of(world, &world.events.keys().cloned().collect::<Vec<_>>())
}

/// Another event of the same type and state key, if there is one.
fn older(world: &World, id: &Value) -> Value {
    let found = world.events.iter().find(|(other, _)| Some(other.as_str()) == id.as_str());
    let Some(key) = found.and_then(|(_, event)| event.key()) else { return id.clone() };
    let same: Vec<_> =
        world.events.values().filter(|event| event.key() == Some(key) && !event.rejected).collect();
    if same.is_empty() { id.clone() } else { world.dice.one(&same).event_id.as_str().into() }
}

fn previous(world: &World, parts: &mut Parts) -> &'static str {
    let dice = &world.dice;
    let create = world.events.values().find(|event| event.kind() == "m.room.create");
    let create = create.map(|event| Value::from(event.event_id.as_str()));
    let previous = list(parts, "prev_events");
    match dice.below(5) {
        0 => {
            previous.clear();
            "nothing before it"
        }
        1 => {
            previous.extend(previous.clone());
            "the same before it twice"
        }
        2 => {
            *previous = create.into_iter().collect();
            "only the create event before it"
        }
        3 => {
            previous.push(any_event(world));
            "two events before it"
        }
        _ => {
            let count = *dice.one(&[20, 21]);
            *previous = (0..count).map(|n| format!("${n:0>43}").into()).collect();
            "many events before it"
        }
    }
}

/// What is wrong with hashes and signatures. A wrong signature is no case: the other side is not asked to verify.
fn proofs(world: &World, parts: &mut Parts) -> Twist {
    let dice = &world.dice;
    let mut object = world.seal(parts);
    let junk = [json!(5), Value::Null, json!([]), json!("x"), json!({})];
    let aim = match dice.below(4) {
        0 => {
            parts.signers = vec![(*dice.one(&SERVERS)).to_owned()];
            object = world.seal(parts);
            "one server signs"
        }
        1 => {
            let value = dice.one(&junk).clone();
            object.insert("signatures".to_owned(), value.try_into().unwrap());
            "junk signatures"
        }
        2 => {
            let hashes = [
                json!({ "sha256": 5 }),
                json!({ "sha256": "%" }),
                json!({ "sha256": "AAAA" }),
                json!({ "md5": "x" }),
            ];
            let value = dice.one(if dice.percent(50) { &hashes } else { &junk[..] }).clone();
            object = world.seal_with(parts, value);
            "junk hashes"
        }
        _ => {
            object.remove(*dice.one(&["hashes", "signatures"]));
            "no hashes or signatures"
        }
    };
    Twist { aim, text: text_of(&object), keep: false }
}

/// Whether it is a create event, whose content is signed as a whole in newer rooms.
fn is_create(parts: &Parts) -> bool {
    parts.fields.get("type") == Some(&json!("m.room.create"))
}

/// Changes an event after it was hashed and signed: its ID must stay, and its content goes.
fn altered(world: &World, parts: &mut Parts) -> Twist {
    let mut object = world.seal(parts);
    let added = CanonicalJsonValue::String(world.text());
    if is_create(parts) || world.dice.percent(50) {
        object.insert("org.example.added".to_owned(), added);
    } else if let Some(CanonicalJsonValue::Object(content)) = object.get_mut("content") {
        content.insert("org.example.added".to_owned(), added);
    }
    Twist { aim: "altered", text: text_of(&object), keep: true }
}

/// Fills an event up to a size at which some server says no.
fn sized(world: &World, parts: &mut Parts) -> Twist {
    let bytes = *world.dice.one(&[65_521, 65_522, 65_523, 65_536, 65_537]);
    let pad = |parts: &mut Parts, count: usize| {
        parts.fields.insert("org.example.pad".to_owned(), "x".repeat(count).into());
        text_of(&world.seal(parts))
    };
    let empty = pad(parts, 0).len();
    Twist { aim: "size", text: pad(parts, bytes - empty), keep: false }
}

/// Puts JSON into an event that canonical JSON cannot express, or another way to say the same.
fn spliced(world: &World, parts: &mut Parts) -> Twist {
    let choices = [
        "1.5",
        "1.0",
        "1e2",
        "-0",
        "9007199254740991",
        "9007199254740992",
        "-9007199254740991",
        "-9007199254740992",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\u0041\\/\"",
        "5",
        "[[[[]]]]",
    ];
    let place = "org.example.splice";
    if is_create(parts) {
        parts.fields.insert(place.to_owned(), USERS[0].into());
    } else if let Some(Value::Object(content)) = parts.fields.get_mut("content") {
        content.insert(place.to_owned(), USERS[0].into());
    }
    let object: CanonicalJsonObject = world.seal(parts);
    let before = format!("\"{place}\":\"{}\"", USERS[0]);
    let value = *world.dice.one(&choices);
    let after = format!("\"{place}\":{value}");
    Twist { aim: value, text: text_of(&object).replacen(&before, &after, 1), keep: false }
}
