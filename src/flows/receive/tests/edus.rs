//! Does a server speak for its own users, and for nobody else's?

use serde_json::{Value, json};
use tombolo_support::encode;

use crate::flows::{
    receive::edus::{Budget, take_effect, take_last},
    tests::{Guest, PEER},
};

fn typing(guest: &Guest, user: &str) -> Value {
    let content = json!({ "room_id": guest.room, "user_id": user, "typing": true });
    json!({ "edu_type": "m.typing", "content": content })
}

fn receipt(guest: &Guest, user: &str, event: &str) -> Value {
    let receipt = json!({ "event_ids": [event], "data": { "ts": 5 } });
    json!({ "edu_type": "m.receipt", "content": { &guest.room: { "m.read": { user: receipt } } } })
}

/// The ephemeral events that alice is told: who types, and who read what.
fn told(guest: &Guest) -> (Value, Value) {
    let sync = guest.scene.sync(&guest.alice, "");
    let events = &sync["rooms"]["join"][&guest.room]["ephemeral"]["events"];
    let of = |kind: &str| {
        let mut events = events.as_array().into_iter().flatten();
        events.find(|event| event["type"] == kind).map(|event| event["content"].clone())
    };
    (of("m.typing").unwrap_or_default(), of("m.receipt").unwrap_or_default())
}

#[test]
fn our_users_are_told_who_types_there_and_who_read_what() {
    let guest = Guest::new();
    let said = guest.scene.say(&guest.alice, &guest.room, "hello");
    let edus = [typing(&guest, &guest.user), receipt(&guest, &guest.user, &said)];
    guest.transaction(&[], &edus);
    guest.scene.pass(3_000);
    let (types, read) = told(&guest);
    assert_eq!(types["user_ids"], json!([guest.user]));
    assert_eq!(read[&said]["m.read"][&guest.user]["ts"], 5);
}

#[test]
fn a_malformed_receipt_fails_no_other() {
    let guest = Guest::new();
    let said = guest.scene.say(&guest.alice, &guest.room, "hello");
    let whole = json!({ "event_ids": [said], "data": { "ts": 5 } });
    let content = json!({
        "no room": { "m.read": { &guest.user: whole } },
        "!other:peer.test": {},
        &guest.room: { "m.read": {
            "no user": whole,
            format!("@a:{PEER}"): { "event_ids": [said] },
            format!("@b:{PEER}"): { "event_ids": "none", "data": {} },
            &guest.user: whole,
        } },
    });
    guest.transaction(&[], &[json!({ "edu_type": "m.receipt", "content": content })]);
    guest.scene.pass(3_000);
    let (_, read) = told(&guest);
    assert_eq!(read[&said]["m.read"][&guest.user]["ts"], 5, "{read}");
}

#[test]
fn what_a_server_says_of_users_that_are_not_its_own_has_no_effect() {
    let guest = Guest::new();
    let bob = guest.scene.register("bob");
    guest.scene.act(&bob, &guest.room, "join", &json!({})).ok();
    let said = guest.scene.say(&guest.alice, &guest.room, "hello");
    let nonsense = json!({ "edu_type": "m.typing", "content": 5 });
    let own = typing(&guest, &guest.user);
    let edus = [typing(&guest, &bob.id), receipt(&guest, &bob.id, &said), nonsense, own];
    guest.transaction(&[], &edus);
    guest.scene.pass(3_000);
    let (types, read) = told(&guest);
    assert_eq!(types["user_ids"], json!([guest.user]));
    assert!(read[&said]["m.read"][&bob.id].is_null(), "{read}");
}

#[test]
fn presence_has_its_effect_after_all_else() {
    let guest = Guest::with(&[("PRESENCE", "on")]);
    let (world, origin) = (guest.scene.server.world(), PEER.try_into().unwrap());
    let push = json!([{ "user_id": guest.user, "presence": "online" }]);
    let edu = json!({ "edu_type": "m.presence", "content": { "push": push } });
    let edu = serde_json::value::to_raw_value(&edu).unwrap();
    let path = format!("/_matrix/client/v3/presence/{}/status", encode(&guest.user));
    let state = || guest.scene.get(&guest.alice, &path).ok()["presence"].clone();
    let mut budget = Budget::default();
    guest.scene.simulation.run(take_effect(&world, &origin, &edu, &mut budget)).unwrap();
    assert_eq!(state(), "offline");
    guest.scene.simulation.run(take_last(&world, &origin, budget));
    assert_eq!(state(), "online");
}
