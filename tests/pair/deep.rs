//! Does anything break that is nested as deep as an event may be? (JSON6 of `tests/hostile/README.md`)
//!
//! What is said deep must reach clients, the other server, and those who join. A trap in one answer would end every
//! call in flight. Our own users send nothing that deep, so here another server does.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tombolo_protocol::{json::parse_value, room_version::RoomVersion};
use tombolo_support::{Place, User, draft, encode, id_of};

use crate::scene::{ONE, Scene};

/// Deeper than `serde_json` reads, and as deep as an event may be.
const LEVELS: [usize; 2] = [150, 500];
/// As deep as our users may send an event.
const SENT: [usize; 1] = [120];

/// Lists in an event's content that nest the event so deep: it and its content are a level each.
fn lists(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels - 2), "]".repeat(levels - 2))
}

fn play(all: &[usize], scenario: impl Fn(&Scene, &User, &User, &str)) {
    for levels in all.iter().copied() {
        Scene::play(|scene, alice, bob| scenario(scene, alice, bob, &lists(levels)));
    }
}

fn get(scene: &Scene, line: &str) -> Value {
    parse_value(scene.signed(line, None).as_bytes()).unwrap()
}

/// Bob's server sends the first one an event of his, after alice's newest one; answers its ID.
fn sends(
    scene: &Scene,
    alice: &User,
    (room, bob): (&str, &str),
    (kind, key, content): (&str, Option<&str>, &str),
) -> String {
    let version = RoomVersion::of("11").unwrap();
    let last = scene.say(alice, room, "{\"body\":\"now\"}");
    let state = get(scene, &format!("GET v1/state/{room}?event_id={}", encode(&last)));
    let cited = [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", bob)];
    let is_cited = |pdu: &&Value| {
        cited.iter().any(|(kind, key)| pdu["type"] == *kind && pdu["state_key"] == *key)
    };
    let id = |pdu: &Value| id_of(version, pdu);
    let auth: Vec<String> =
        state["pdus"].as_array().unwrap().iter().filter(is_cited).map(id).collect();
    let place = Place {
        room_id: &percent_decode_str(room).decode_utf8().unwrap(),
        prev_events: &[last],
        auth_events: &auth,
        depth: 1000,
        origin_server_ts: scene.simulation.now(),
    };
    let content = parse_value(content.as_bytes()).unwrap();
    let pdu = scene.signer.seal(version, &draft(&place, bob, (kind, key), &content));
    let id = id_of(version, &pdu);
    let body = json!({ "pdus": [pdu], "edus": [] });
    let answer = scene.signed(&format!("PUT v1/send/{}", encode(&id)), Some(&body));
    assert!(answer.contains(&format!("\"{id}\":{{}}")), "{kind}: {answer}");
    id
}

/// A room of alice, in which bob may do all that she may.
fn shared(scene: &Scene, alice: &User, bob: &User) -> String {
    let room = scene.room(alice, "public_chat");
    let users = format!("{{\"{}\":100,\"{}\":100}}", alice.id, bob.id);
    let levels = format!("{{\"users\":{users}}}");
    scene.put(alice, &format!("{room}/state/m.room.power_levels/"), &levels);
    scene.call(bob, &format!("POST /join/{room}?server_name={}", encode(ONE)), "{}");
    room
}

#[test]
fn a_client_reads_back_what_is_deep() {
    play(&LEVELS, |scene, alice, bob, deep| {
        let room = shared(scene, alice, bob);
        let data = format!("{{\"deep\":{deep}}}");
        let of_alice = format!("/user/{}", encode(&alice.id));
        scene.call(alice, &format!("PUT {of_alice}/account_data/org.deep"), &data);
        scene.call(alice, &format!("PUT {of_alice}/rooms/{room}/account_data/org.deep"), &data);
        let place = (&*room, &*bob.id);
        let said = sends(scene, alice, place, ("m.room.message", None, &data));
        // Twice, so that the second has the first as its `prev_content`.
        for which in ["a", "b"] {
            let content = format!("{{\"{which}\":{deep}}}");
            sends(scene, alice, place, ("org.deep", Some(""), &content));
        }
        let member = format!("{{\"membership\":\"join\",\"deep\":{deep}}}");
        sends(scene, alice, place, ("m.room.member", Some(&bob.id), &member));
        for path in [
            "/sync",
            &format!("/rooms/{room}/messages?dir=b"),
            &format!("/rooms/{room}/state"),
            &format!("/rooms/{room}/members"),
            &format!("/rooms/{room}/event/{}", encode(&said)),
            &format!("/rooms/{room}/state/org.deep/"),
            &format!("{of_alice}/account_data/org.deep"),
            &format!("{of_alice}/rooms/{room}/account_data/org.deep"),
        ] {
            scene.sees(alice, path, deep);
        }
        scene.sees(alice, &format!("/rooms/{room}/joined_members"), &alice.id);
        let redaction = format!("{{\"redacts\":\"{said}\",\"deep\":{deep}}}");
        sends(scene, alice, place, ("m.room.redaction", None, &redaction));
        let event = format!("/rooms/{room}/event/{}", encode(&said));
        scene.sees(alice, &event, &format!("\"redacted_because\":{{\"content\":{{\"deep\":{deep}"));
    });
}

#[test]
fn who_has_power_by_deep_levels_may_delete_an_alias() {
    play(&LEVELS, |scene, alice, bob, deep| {
        let carol = scene.register(&alice.server, "carol");
        let room = shared(scene, alice, bob);
        scene.call(&carol, &format!("POST /join/{room}"), "{}");
        let users = [alice, bob, &carol].map(|user| format!("\"{}\":100", user.id)).join(",");
        let levels = format!("{{\"users\":{{{users}}},\"deep\":{deep}}}");
        sends(scene, alice, (&room, &bob.id), ("m.room.power_levels", Some(""), &levels));
        let alias = encode(&format!("#deep:{ONE}"));
        let room = percent_decode_str(&room).decode_utf8().unwrap();
        let body = json!({ "room_id": room }).to_string();
        scene.call(alice, &format!("PUT /directory/room/{alias}"), &body);
        scene.call(&carol, &format!("DELETE /directory/room/{alias}"), "");
    });
}

#[test]
fn another_server_is_sent_and_asked_for_what_is_deep() {
    play(&LEVELS, |scene, alice, bob, deep| {
        let room = shared(scene, alice, bob);
        let place = (&*room, &*bob.id);
        let state = format!("{{\"state\":{deep}}}");
        sends(scene, alice, place, ("org.deep", Some(""), &state));
        let said =
            sends(scene, alice, place, ("m.room.message", None, &format!("{{\"said\":{deep}}}")));
        // The second server knows nothing of what was said in its name, and is given it to fill the gap.
        scene.say(alice, &room, "{\"body\":\"after\"}");
        scene.simulation.settle(120_000);
        scene.sees(bob, &format!("/rooms/{room}/state/org.deep/"), &state);
        let id = encode(&said);
        for path in ["v1/state", "v1/state_ids", "v1/backfill"] {
            let query = if path == "v1/backfill" { "limit=10&v" } else { "event_id" };
            let answer = scene.signed(&format!("GET {path}/{room}?{query}={id}"), None);
            assert!(path == "v1/state_ids" || answer.contains(deep), "{path}");
        }
        assert!(scene.signed(&format!("GET v1/event/{id}"), None).contains(deep));
        let member = format!("{{\"membership\":\"join\",\"deep\":{deep}}}");
        sends(scene, alice, place, ("m.room.member", Some(&bob.id), &member));
        let last = sends(scene, alice, place, ("m.room.message", None, "{\"body\":\"last\"}"));
        assert!(
            scene
                .signed(&format!("GET v1/event_auth/{room}/{}", encode(&last)), None)
                .contains(deep)
        );
        let last = scene.say(alice, &room, "{\"body\":\"last\"}");
        let between = json!({ "earliest_events": [], "latest_events": [last], "limit": 10 });
        let answer = scene.signed(&format!("POST v1/get_missing_events/{room}"), Some(&between));
        assert!(answer.contains(deep), "get_missing_events");
    });
}

#[test]
fn what_a_user_sends_as_deep_as_they_may_reaches_another_server() {
    play(&SENT, |scene, alice, bob, deep| {
        let room = shared(scene, alice, bob);
        scene.say(alice, &room, &format!("{{\"said\":{deep}}}"));
        scene.simulation.settle(120_000);
        scene.sees(bob, "/sync", &format!("\"said\":{deep}"));
    });
}

#[test]
fn an_invite_may_be_deep_and_ends_like_another() {
    play(&SENT, |scene, alice, bob, deep| {
        let room = scene.room(alice, "private_chat");
        let name = format!("{{\"name\":\"deep\",\"deep\":{deep}}}");
        scene.put(alice, &format!("{room}/state/m.room.name/"), &name);
        let member = |user: &User, membership: &str| {
            let path = format!("{room}/state/m.room.member/{}", encode(&user.id));
            let content = format!("{{\"membership\":\"{membership}\",\"deep\":{deep}}}");
            scene.put(alice, &path, &content);
            scene.simulation.settle(120_000);
        };
        member(alice, "join");
        member(bob, "invite");
        let invited = scene.call(bob, "GET /sync", "");
        for part in ["invite_state", "\"name\":\"deep\"", "\"membership\":\"invite\""] {
            assert!(invited.contains(part), "{part}");
        }
        assert_eq!(invited.matches(deep).count(), 3, "the name, alice and the invite are deep");
        member(bob, "leave");
        assert!(!scene.call(bob, "GET /sync", "").contains("invite_state"), "not rescinded");
        member(bob, "invite");
        scene.call(bob, &format!("POST /join/{room}"), "{}");
        scene.sees(bob, &format!("/rooms/{room}/state/m.room.name/"), deep);
    });
}
