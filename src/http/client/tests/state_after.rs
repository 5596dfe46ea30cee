//! Under which name does a sync give the state, and which state is it?
//! ([`use_state_after`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))

use serde_json::{Value, json};
use tombolo_support::{Scene, User, text};

use super::one_server;

const NAMES: [&str; 3] = ["state", "state_after", "org.matrix.msc4222.state_after"];
const UNSTABLE: &str = "org.matrix.msc4222.use_state_after=true";

/// What a room's entry has of state: the name, and the types of the events.
fn states(entry: &Value) -> Vec<(&'static str, Vec<String>)> {
    let types = |state: &Value| {
        let events = state["events"].as_array().unwrap();
        events.iter().map(|event| text(&event["type"])).collect()
    };
    NAMES.iter().filter_map(|name| Some((*name, types(entry.get(*name)?)))).collect()
}

fn entry(scene: &Scene, user: &User, (section, room): (&str, &str), parameters: &str) -> Value {
    scene.sync(user, parameters)["rooms"][section][room].clone()
}

#[test]
fn the_state_has_the_name_that_was_asked_for() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    scene.put(&alice, &room, "state/m.room.topic", &json!({ "topic": "t" })).ok();
    scene.pass(5000);
    let topic = || vec!["m.room.topic".to_owned()];
    for (parameters, name, types) in [
        ("", NAMES[0], vec![]),
        ("use_state_after=false", NAMES[0], vec![]),
        ("use_state_after=true", NAMES[1], topic()),
        (UNSTABLE, NAMES[2], topic()),
        ("use_state_after=true&org.matrix.msc4222.use_state_after=true", NAMES[1], topic()),
    ] {
        let news = entry(&scene, &alice, ("join", &room), &format!("since={since}&{parameters}"));
        assert_eq!(states(&news), [(name, types)], "{parameters}");
        assert_eq!(news["timeline"]["events"].as_array().unwrap().len(), 1, "{parameters}");
    }
    for parameters in
        ["use_state_after=", "use_state_after=1", "org.matrix.msc4222.use_state_after=no"]
    {
        scene
            .get(&alice, &format!("/_matrix/client/v3/sync?{parameters}"))
            .refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn it_is_there_though_nothing_changed_and_in_rooms_that_were_left() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5000);
    let since = text(&scene.sync(&bob, "")["next_batch"]);
    scene.say(&alice, &room, "hello");
    scene.pass(5000);
    let query = format!("since={since}&{UNSTABLE}");
    assert_eq!(states(&entry(&scene, &bob, ("join", &room), &query)), [(NAMES[2], vec![])]);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(5000);
    let member = vec!["m.room.member".to_owned()];
    assert_eq!(states(&entry(&scene, &bob, ("leave", &room), &query)), [(NAMES[2], member)]);
}
