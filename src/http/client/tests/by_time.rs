//! Which event was sent at a time?
//! ([`/timestamp_to_event`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, encode, text};

use super::one_server;

fn at(scene: &Scene, user: &User, room: &str, (ts, dir): (u64, &str)) -> Answer {
    let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event", encode(room));
    scene.get(user, &format!("{path}?ts={ts}&dir={dir}"))
}

/// Says things, each a second after the other; answers when, and which events.
fn said(scene: &Scene, user: &User, room: &str, count: u64) -> Vec<(u64, String)> {
    let one = |number: u64| {
        scene.pass(1000);
        let event = scene.say(user, room, &number.to_string());
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
        (scene.get(user, &path).ok()["origin_server_ts"].as_u64().unwrap(), event)
    };
    (0..count).map(one).collect()
}

#[test]
fn it_is_the_closest_one_in_the_direction() {
    let scene = one_server();
    let (alice, carl) = (scene.register("alice"), scene.register("carl"));
    let before = scene.server.world().now();
    scene.pass(10);
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let said = said(&scene, &alice, &room, 3);
    let find = |ts: u64, dir: &str| at(&scene, &alice, &room, (ts, dir));
    let id = |ts: u64, dir: &str| text(&find(ts, dir).ok()["event_id"]);
    for (ts, event) in &said {
        assert_eq!((&id(*ts, "f"), &id(*ts, "b")), (event, event));
    }
    let (first, last) = (&said[0], &said[2]);
    assert_eq!(id(said[1].0 + 1, "f"), last.1);
    assert_eq!(id(last.0 - 1, "b"), said[1].1);
    assert_eq!(id(first.0 - 1, "f"), first.1);
    assert_eq!(find(first.0, "f").ok()["origin_server_ts"], first.0);
    find(last.0 + 1, "f").refused(404, "M_NOT_FOUND");
    find(before, "b").refused(404, "M_NOT_FOUND");
    assert!(find(before, "f").ok()["event_id"].is_string());
    // What comes later is found too.
    scene.pass(1000);
    let later = scene.say(&alice, &room, "later");
    assert_eq!(id(last.0 + 1, "f"), later);
    at(&scene, &carl, &room, (first.0, "f")).refused(403, "M_FORBIDDEN");
    let private = scene.room(&alice, &json!({ "preset": "private_chat" }));
    at(&scene, &carl, &private, (first.0, "f")).refused(403, "M_FORBIDDEN");
    at(&scene, &carl, "!unknown:example.org", (first.0, "f")).refused(403, "M_FORBIDDEN");
    let path = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event");
    for bad in ["ts=x&dir=f", "ts=-1&dir=f", "ts=1&dir=x", "ts=9007199254740993&dir=f"] {
        scene.get(&alice, &format!("{path}?{bad}")).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn what_the_user_may_not_see_is_passed_over() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let hidden = json!({ "history_visibility": "joined" });
    scene.set(&alice, &room, ("m.room.history_visibility", ""), &hidden);
    let secret = said(&scene, &alice, &room, 2);
    scene.pass(1000);
    scene.act(&bob, &room, "join", &json!({})).ok();
    let open = said(&scene, &alice, &room, 1);
    let found = at(&scene, &bob, &room, (secret[0].0, "f")).ok();
    let event = format!("/_matrix/client/v3/rooms/{room}/event/{}", text(&found["event_id"]));
    assert_eq!(scene.get(&bob, &event).ok()["state_key"], bob.id, "the join is the first they see");
    scene.pass(10);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let later = said(&scene, &alice, &room, 1);
    let found = at(&scene, &bob, &room, (open[0].0, "b")).ok();
    assert_eq!(found["event_id"], open[0].1);
    at(&scene, &bob, &room, (later[0].0, "f")).refused(404, "M_NOT_FOUND");
}

#[test]
fn however_much_the_user_may_not_see_is_passed_over() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let hidden = json!({ "history_visibility": "joined" });
    scene.set(&alice, &room, ("m.room.history_visibility", ""), &hidden);
    let say_much = || {
        scene.pass(1000);
        for number in 0..1_050 {
            scene.say(&alice, &room, &number.to_string());
        }
        scene.pass(1000);
    };
    let start = scene.server.world().now() + 500;
    say_much();
    scene.act(&bob, &room, "join", &json!({})).ok();
    let found = |ts: u64, dir: &str| {
        let event = text(&at(&scene, &bob, &room, (ts, dir)).ok()["event_id"]);
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
        let event = scene.get(&bob, &path).ok();
        (event["state_key"].clone(), event["content"]["membership"].clone())
    };
    assert_eq!(found(start, "f"), (json!(bob.id), json!("join")));
    scene.act(&bob, &room, "leave", &json!({})).ok();
    say_much();
    let end = scene.server.world().now();
    assert_eq!(found(end, "b"), (json!(bob.id), json!("leave")));
}

#[test]
fn what_was_said_before_our_stay_is_found_with_the_other_server() {
    for dir in ["f", "b"] {
        let scene = one_server();
        let other = scene.another("other.test", 9);
        let (alice, bob) = (scene.register("alice"), scene.register_on(&other, "bob"));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        let said = said(&scene, &alice, &room, 2);
        let line =
            format!("POST /_matrix/client/v3/join/{}?server_name=example.org", encode(&room));
        scene.call(Some(&bob), &line, &json!({})).ok();
        let (ts, event) = if dir == "f" { &said[0] } else { &said[1] };
        let found = at(&scene, &bob, &room, (*ts, dir)).ok();
        assert_eq!((&found["event_id"], &found["origin_server_ts"]), (&json!(event), &json!(ts)));
        let path = format!("/_matrix/client/v3/rooms/{room}/context/{event}?limit=0");
        let start = text(&scene.get(&bob, &path).ok()["start"]);
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&from={start}&limit=100");
        let chunk: Value = scene.get(&bob, &path).ok()["chunk"].clone();
        let earlier = chunk.as_array().unwrap().iter().any(|event| event["event_id"] == said[0].1);
        assert_eq!(earlier, dir == "b");
    }
}
