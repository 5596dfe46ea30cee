//! What does a user read around an event?
//! ([`/context`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, encode};

use super::one_server;

struct Around {
    scene: Scene,
    alice: User,
    room: String,
    /// Seven messages, which say their numbers.
    said: Vec<String>,
}

impl Around {
    fn new() -> Self {
        let scene = one_server();
        let alice = scene.register("alice");
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        let said = (0..7).map(|number| scene.say(&alice, &room, &number.to_string())).collect();
        Self { scene, alice, room, said }
    }

    fn ask(&self, user: &User, event: &str, query: &str) -> Answer {
        let (room, event) = (encode(&self.room), encode(event));
        self.scene.get(user, &format!("/_matrix/client/v3/rooms/{room}/context/{event}{query}"))
    }

    fn get(&self, number: usize, query: &str) -> Value {
        self.ask(&self.alice, &self.said[number], query).ok()
    }

    fn page(&self, from: &Value, direction: &str) -> Vec<String> {
        let from = from.as_str().unwrap();
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?from={from}&dir={direction}&limit=2",
            encode(&self.room)
        );
        bodies(&self.scene.get(&self.alice, &path).ok()["chunk"])
    }
}

fn bodies(events: &Value) -> Vec<String> {
    let events = events.as_array().into_iter().flatten();
    events.map(|event| event["content"]["body"].as_str().unwrap_or("-").to_owned()).collect()
}

fn filter(filter: &Value) -> String {
    format!("?filter={}", encode(&filter.to_string()))
}

#[test]
fn events_stand_around_it_and_pages_go_on_from_them() {
    let around = Around::new();
    let found = around.get(3, "?limit=3");
    assert_eq!(found["event"]["content"]["body"], "3");
    assert_eq!(found["event"]["room_id"], around.room);
    assert_eq!(bodies(&found["events_before"]), ["2"]);
    assert_eq!(bodies(&found["events_after"]), ["4", "5"]);
    assert_eq!(around.page(&found["start"], "b"), ["1", "0"]);
    assert_eq!(around.page(&found["end"], "f"), ["6"]);
    let alone = around.get(3, "?limit=0");
    assert_eq!((&alone["events_before"], &alone["events_after"]), (&json!([]), &json!([])));
    assert_eq!(around.page(&alone["start"], "b"), ["2", "1"]);
    assert_eq!(around.page(&alone["end"], "f"), ["4", "5"]);
    let whole = around.get(6, "?limit=100000");
    assert_eq!(bodies(&whole["events_before"])[..6], ["5", "4", "3", "2", "1", "0"]);
    assert_eq!(whole["events_before"].as_array().unwrap().last().unwrap()["type"], "m.room.create");
    assert!(around.page(&whole["start"], "b").is_empty());
    assert!(around.page(&whole["end"], "f").is_empty());
    around.ask(&around.alice, &around.said[3], "?limit=x").refused(400, "M_INVALID_PARAM");
    around.ask(&around.alice, &around.said[3], "?filter=x").refused(400, "M_INVALID_PARAM");
}

#[test]
fn the_state_is_that_at_the_last_event() {
    let around = Around::new();
    let (scene, room) = (&around.scene, &around.room);
    let name = |found: &Value| {
        let mut state = found["state"].as_array().unwrap().iter();
        state.find(|event| event["type"] == "m.room.name").map(|event| event["content"].clone())
    };
    scene.set(&around.alice, room, ("m.room.name", ""), &json!({ "name": "new" }));
    assert_eq!(name(&around.get(3, "?limit=4")), None);
    assert_eq!(name(&around.get(6, "?limit=2")), Some(json!({ "name": "new" })));
    let bob = scene.register("bob");
    scene.act(&bob, room, "join", &json!({})).ok();
    scene.say(&bob, room, "7");
    let members = |found: &Value| {
        let state = found["state"].as_array().unwrap().iter();
        state.filter(|event| event["type"] == "m.room.member").count()
    };
    let lazy = filter(&json!({ "lazy_load_members": true }));
    assert_eq!(members(&around.get(6, &format!("{lazy}&limit=2"))), 1);
    assert_eq!(members(&around.get(6, &format!("{lazy}&limit=8"))), 2);
    assert_eq!(members(&around.get(6, "?limit=8")), 2);
}

#[test]
fn the_filter_is_for_what_is_around_the_event() {
    let around = Around::new();
    let types = filter(&json!({ "types": ["m.room.create"] }));
    let found = around.get(3, &types);
    assert_eq!(found["event"]["content"]["body"], "3");
    assert_eq!(found["events_before"][0]["type"], "m.room.create");
    assert_eq!(found["events_after"], json!([]));
    assert_eq!(found["state"].as_array().unwrap().len(), 1);
    let few = filter(&json!({ "limit": 1 }));
    assert_eq!(bodies(&around.get(3, &few)["events_after"]), ["4"]);
}

#[test]
fn who_may_not_see_the_event_is_told_nothing() {
    let around = Around::new();
    let (scene, room) = (&around.scene, &around.room);
    let (bob, carl) = (scene.register("bob"), scene.register("carl"));
    let hidden = json!({ "history_visibility": "joined" });
    scene.set(&around.alice, room, ("m.room.history_visibility", ""), &hidden);
    let secret = scene.say(&around.alice, room, "secret");
    scene.act(&bob, room, "join", &json!({})).ok();
    let open = scene.say(&around.alice, room, "open");
    around.ask(&bob, &secret, "").refused(404, "M_NOT_FOUND");
    around.ask(&bob, "$unknown", "").refused(404, "M_NOT_FOUND");
    for event in [&around.said[0], &secret] {
        around.ask(&carl, event, "").refused(404, "M_NOT_FOUND");
    }
    let found = around.ask(&bob, &open, "?limit=4").ok();
    assert!(!bodies(&found["events_before"]).contains(&"secret".to_owned()));
    scene.act(&bob, room, "leave", &json!({})).ok();
    scene.say(&around.alice, room, "later");
    let found = around.ask(&bob, &open, "?limit=10").ok();
    assert!(!bodies(&found["events_after"]).contains(&"later".to_owned()));
    let ignored = json!({ "ignored_users": { &around.alice.id: {} } });
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", bob.id);
    scene.call(Some(&bob), &line, &ignored).ok();
    around.ask(&bob, &open, "").refused(404, "M_NOT_FOUND");
}

#[test]
fn who_left_is_not_shown_what_the_room_is_now() {
    let around = Around::new();
    let (scene, room) = (&around.scene, &around.room);
    let (bob, carl) = (scene.register("bob"), scene.register("carl"));
    scene.act(&bob, room, "join", &json!({})).ok();
    scene.act(&bob, room, "leave", &json!({})).ok();
    scene.set(&around.alice, room, ("m.room.name", ""), &json!({ "name": "new" }));
    scene.act(&carl, room, "join", &json!({})).ok();
    scene.set(&around.alice, room, ("m.room.join_rules", ""), &json!({ "join_rule": "knock" }));
    scene.call(Some(&bob), &format!("POST /_matrix/client/v3/knock/{room}"), &json!({})).ok();
    let knock = scene
        .get(&around.alice, &format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1"))
        .ok();
    let knock = knock["chunk"][0]["event_id"].as_str().unwrap().to_owned();
    let found = around.ask(&bob, &knock, "?limit=0").ok();
    let state: Vec<String> =
        found["state"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(state.iter().any(|event| event.contains(&around.alice.id)));
    assert!(
        !state
            .iter()
            .any(|event| event.contains(r#""type":"m.room.name""#) || event.contains(&carl.id))
    );
}
