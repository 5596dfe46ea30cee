//! How might one field of an event be wrong?

use serde_json::{Value, json};

use crate::world::{Parts, World};

/// Fields, each with a list of values that may stand in it instead.
type Fields = Vec<(&'static str, Value)>;

/// Puts another value into a field, or takes the field away; answers which field.
pub fn twist(world: &World, parts: &mut Parts) -> &'static str {
    let dice = &world.dice;
    let fields = [numbers(), names(), contents(), references(), extras()].concat();
    let (name, values) = dice.one(&fields);
    if dice.percent(15) {
        parts.fields.remove(*name);
    } else {
        let value = dice.one(values.as_array().unwrap());
        parts.fields.insert((*name).to_owned(), value.clone());
    }
    name
}

fn numbers() -> Fields {
    vec![
        ("depth", json!([-1, 0, "5", null, true, [], 9_007_199_254_740_991_i64])),
        ("origin_server_ts", json!(["5", null, -5, 0, true, []])),
    ]
}

fn names() -> Fields {
    let long = |bytes: usize| "x".repeat(bytes);
    let accents = |count: usize| "é".repeat(count);
    let user = |bytes: usize| format!("@{}:a.example", "x".repeat(bytes - 11));
    vec![
        (
            "type",
            json!([5, null, long(255), long(256), accents(127), accents(128), accents(255), ""]),
        ),
        ("state_key", json!([5, null, long(255), long(256), accents(128), accents(256)])),
        (
            "sender",
            json!([
                5,
                null,
                "evil",
                "@evil",
                "@:a.example",
                "@a:a.example:99999",
                "@a:a b",
                user(255),
                user(256),
            ]),
        ),
    ]
}

fn contents() -> Fields {
    let hash = "A".repeat(43);
    let rooms =
        json!([5, null, "evil", "!room", "!room:a.example", format!("!{hash}"), "!A+/A", ""]);
    vec![("content", json!([null, [], "x", 5, {}])), ("room_id", rooms)]
}

fn references() -> Fields {
    let ids = |count: usize| Value::from_iter((0..count).map(|n| format!("${n:0>43}")));
    let hash = "A".repeat(43);
    let pair = json!([format!("${hash}"), { "sha256": "x" }]);
    vec![
        ("prev_events", json!([5, null, "x", {}, [5], [pair], [null], ["evil"], ids(20), ids(21)])),
        ("auth_events", json!([5, null, "x", {}, [5], [pair], ["evil"], ids(11)])),
        ("event_id", json!([format!("${hash}"), 5, "$x:a.example"])),
    ]
}

/// What an event need not have.
fn extras() -> Fields {
    let unsigned =
        json!({ "age": 5, "redacted_because": {}, "prev_content": {}, "m.relations": {} });
    vec![
        ("unsigned", json!(["x", null, [], unsigned, { "age": "x" }])),
        ("redacts", json!(["$x", 5, null])),
        ("origin", json!(["a.example", 5])),
        ("membership", json!(["join", 5])),
        ("prev_state", json!([[], 5])),
        ("org.example.extra", json!(["x", { "a": [1, "\u{10000}", "\u{e000}"] }])),
    ]
}
