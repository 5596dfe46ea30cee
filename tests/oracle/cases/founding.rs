//! How does a room begin?

use serde_json::{Value, json};

use crate::{
    deeds::{Deed, state},
    world::{Branch, USERS, World},
};

/// The create event of a room.
pub fn create(world: &World) -> Deed {
    let dice = &world.dice;
    let rules = &world.version.rules.authorization;
    let mut content = json!({ "room_version": world.version.id });
    if !rules.use_room_create_sender {
        content["creator"] = dice.weighted(&[(19, USERS[0]), (1, USERS[1])]).into();
    }
    if dice.percent(12) {
        let federate =
            [json!(false), json!(false), json!(true), json!("false"), Value::Null, json!(0)];
        content["m.federate"] = dice.one(&federate).clone();
    }
    if dice.percent(40) {
        let others = [json!([USERS[1]]), json!([USERS[2], USERS[3]]), json!([]), json!([USERS[0]])];
        content["additional_creators"] = dice.one(&others).clone();
    }
    if dice.percent(20) {
        content["predecessor"] = json!({ "room_id": world.text() });
    }
    state("create", USERS[0], ("m.room.create", ""), content)
}

/// A branch before anything has happened.
pub fn nothing() -> Branch {
    Branch { state: Default::default(), extremities: Vec::new(), depth: 1 }
}

/// The name of a room, where the create event does not give it.
pub fn name(world: &World, localpart: &str) -> Option<ruma::OwnedRoomId> {
    let name = format!("!{localpart}:a.example");
    (!world.version.room_id_is_create_hash()).then(|| name.try_into().unwrap())
}

/// Another create event, mostly wrong in some way.
pub fn another(world: &World) -> Deed {
    let dice = &world.dice;
    let mut deed = create(world);
    deed.aim = "another create";
    deed.sender = world.user().to_owned();
    let content = &mut deed.content;
    let versions = [
        json!("org.example.unknown"),
        json!(5),
        Value::Null,
        json!("1"),
        json!("99"),
        json!(["6"]),
    ];
    match dice.below(6) {
        0 => content["room_version"] = dice.one(&versions).clone(),
        1 => content["creator"] = dice.one(&[json!(5), Value::Null, json!("evil")]).clone(),
        2 => content["additional_creators"] = dice.one(&creators()).clone(),
        3 => {
            content.as_object_mut().unwrap().remove("creator");
        }
        _ => {}
    }
    deed.keep = false;
    deed
}

fn creators() -> Vec<Value> {
    let long = format!("@{}:a.example", "é".repeat(130));
    let longest = format!("@{}:a.example", "x".repeat(244));
    vec![
        json!(5),
        json!("x"),
        json!({}),
        Value::Null,
        json!([5]),
        json!([Value::Null]),
        json!([["@a:a.example"]]),
        json!(["evil"]),
        json!(["@evil"]),
        json!(["@a:"]),
        json!(["@:a.example"]),
        json!(["@a:a b"]),
        json!(["@a:a.example:99999"]),
        json!(["@a:a.example:port"]),
        json!(["@a:[::1]"]),
        json!([long]),
        json!([longest]),
        json!([USERS[6], USERS[6]]),
    ]
}
