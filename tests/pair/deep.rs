//! Does anything break that is nested as deep as an event may be? (JSON6 of `tests/hostile/README.md`)
//!
//! What is said deep must reach clients, the other server, and those who join. A trap in one answer would end every
//! call in flight.

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::scene::{ONE, Scene, User, encode};

/// Deeper than `serde_json` reads, and as deep as an event may be.
const LEVELS: [usize; 2] = [150, 500];

/// Lists in an event's content that nest the event so deep: it and its content are a level each.
fn lists(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels - 2), "]".repeat(levels - 2))
}

fn play(scenario: impl Fn(&Scene, User<'_>, User<'_>, &str)) {
    for levels in LEVELS {
        Scene::play(|scene, alice, bob| scenario(scene, alice, bob, &lists(levels)));
    }
}

#[test]
fn a_client_reads_back_what_is_deep() {
    play(|scene, alice, _, deep| {
        let room = scene.room(alice, "public_chat");
        let data = format!("{{\"deep\":{deep}}}");
        let of_alice = format!("/user/{}", encode(alice.id));
        scene.call(alice, &format!("PUT {of_alice}/account_data/org.deep"), &data);
        scene.call(alice, &format!("PUT {of_alice}/rooms/{room}/account_data/org.deep"), &data);
        let said = scene.say(alice, &room, &data);
        // Twice, so that the second has the first as its `prev_content`.
        for which in ["a", "b"] {
            scene.put(
                alice,
                &format!("{room}/state/org.deep/"),
                &format!("{{\"{which}\":{deep}}}"),
            );
        }
        let member = format!("{room}/state/m.room.member/{}", encode(alice.id));
        scene.put(alice, &member, &format!("{{\"membership\":\"join\",\"deep\":{deep}}}"));
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
        scene.sees(alice, &format!("/rooms/{room}/joined_members"), alice.id);
        let redaction = format!("{{\"redacts\":\"{said}\",\"deep\":{deep}}}");
        scene.put(alice, &format!("{room}/send/m.room.redaction/redact"), &redaction);
        let event = format!("/rooms/{room}/event/{}", encode(&said));
        scene.sees(alice, &event, &format!("\"redacted_because\":{{\"content\":{{\"deep\":{deep}"));
    });
}

#[test]
fn who_has_power_by_deep_levels_may_delete_an_alias() {
    play(|scene, alice, _, deep| {
        let (token, id) = (scene.register(alice.server, "carol"), format!("@carol:{ONE}"));
        let carol = User { server: alice.server, id: &id, token: &token };
        let room = scene.room(alice, "public_chat");
        scene.call(carol, &format!("POST /join/{room}"), "{}");
        let users = format!("{{\"{}\":100,\"{id}\":100}}", alice.id);
        let levels = format!("{{\"users\":{users},\"deep\":{deep}}}");
        scene.put(alice, &format!("{room}/state/m.room.power_levels/"), &levels);
        let alias = encode(&format!("#deep:{ONE}"));
        let room = percent_decode_str(&room).decode_utf8().unwrap();
        let body = json!({ "room_id": room }).to_string();
        scene.call(alice, &format!("PUT /directory/room/{alias}"), &body);
        scene.call(carol, &format!("DELETE /directory/room/{alias}"), "");
    });
}

#[test]
fn another_server_is_sent_what_is_deep_and_joins_in_spite_of_it() {
    play(|scene, alice, bob, deep| {
        let room = scene.room(alice, "public_chat");
        let state = format!("{{\"state\":{deep}}}");
        scene.put(alice, &format!("{room}/state/org.deep/"), &state);
        let member = format!("{room}/state/m.room.member/{}", encode(alice.id));
        scene.put(alice, &member, &format!("{{\"membership\":\"join\",\"deep\":{deep}}}"));
        let join = format!("POST /join/{room}?server_name={}", encode(ONE));
        scene.call(bob, &join, "{}");
        scene.sees(bob, &format!("/rooms/{room}/state/org.deep/"), &state);
        let said = scene.say(alice, &room, &format!("{{\"said\":{deep}}}"));
        scene.simulation.settle(120_000);
        scene.sees(bob, "/sync", &format!("\"said\":{deep}"));
        let id = encode(&said);
        for path in ["v1/state", "v1/state_ids", "v1/backfill"] {
            let query = if path == "v1/backfill" { "limit=10&v" } else { "event_id" };
            let answer = scene.signed(&format!("GET {path}/{room}?{query}={id}"), None);
            assert!(path == "v1/state_ids" || answer.contains(deep), "{path}");
        }
        assert!(scene.signed(&format!("GET v1/event/{id}"), None).contains(deep));
        assert!(scene.signed(&format!("GET v1/event_auth/{room}/{id}"), None).contains(deep));
        let last = scene.say(alice, &room, "{\"body\":\"last\"}");
        let between = json!({ "earliest_events": [], "latest_events": [last], "limit": 10 });
        let answer = scene.signed(&format!("POST v1/get_missing_events/{room}"), Some(&between));
        assert!(answer.contains(deep), "get_missing_events");
    });
}

#[test]
fn an_invite_may_be_deep_and_ends_like_another() {
    play(|scene, alice, bob, deep| {
        let room = scene.room(alice, "private_chat");
        let name = format!("{{\"name\":\"deep\",\"deep\":{deep}}}");
        scene.put(alice, &format!("{room}/state/m.room.name/"), &name);
        let member = |user: User<'_>, membership: &str| {
            let path = format!("{room}/state/m.room.member/{}", encode(user.id));
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
