//! What becomes of too many things at once, and of long names?

use serde_json::{Value, json};
use tombolo_protocol::{json::parse_value, room_version::RoomVersion};
use tombolo_support::{Place, User, draft, encode, id_of, request};

use crate::scene::{ONE, Scene, TWO};

/// So many invites may await an answer.
const MOST_INVITES: usize = 500;

/// An invite of alice to a room of the second server, with this stripped state; what it is answered.
fn invite(scene: &Scene, alice: &User, number: usize, stripped: &[Value]) -> (u16, String) {
    let (version, room) = (RoomVersion::of("11").unwrap(), format!("!{number}:{TWO}"));
    let before = format!("${}", "a".repeat(43));
    let place = Place {
        room_id: &room,
        prev_events: std::slice::from_ref(&before),
        auth_events: std::slice::from_ref(&before),
        depth: 9,
        origin_server_ts: scene.simulation.now(),
    };
    let content = json!({ "membership": "invite" });
    let member = ("m.room.member", Some(&*alice.id));
    let event = draft(&place, &scene.signer.user("bob"), member, &content);
    let event = scene.signer.seal(version, &event);
    let path = format!("{}/{}", encode(&room), encode(&id_of(version, &event)));
    let body = json!({ "room_version": "11", "event": event, "invite_room_state": stripped });
    scene.answered(&format!("PUT v2/invite/{path}"), Some(&body))
}

fn named(kind: &str, key: &str, bytes: usize) -> Value {
    let sender = format!("@bob:{TWO}");
    json!({ "type": kind, "state_key": key, "sender": sender, "content": { "name": "x".repeat(bytes) } })
}

/// How many invites alice's first sync shows, and how many bytes it has.
fn synced(scene: &Scene, alice: &User) -> (usize, usize) {
    let text = scene.call(alice, "GET /sync", "");
    let sync = parse_value(text.as_bytes()).unwrap();
    (sync["rooms"]["invite"].as_object().map_or(0, serde_json::Map::len), text.len())
}

#[test]
fn a_user_has_no_more_invites_than_can_be_shown() {
    Scene::play(|scene, alice, _| {
        for number in 0..MOST_INVITES {
            assert_eq!(invite(scene, alice, number, &[]).0, 200, "{number}");
        }
        let (status, text) = invite(scene, alice, MOST_INVITES, &[]);
        assert!(status == 403 && text.contains("M_FORBIDDEN"), "{status} {text}");
        assert_eq!(invite(scene, alice, 0, &[]).0, 200, "the same invite again");
        assert_eq!(synced(scene, alice).0, MOST_INVITES);
        let declined = encode(&format!("!0:{TWO}"));
        scene.call(alice, &format!("POST /rooms/{declined}/leave"), "{}");
        assert_eq!(invite(scene, alice, MOST_INVITES, &[]).0, 200, "an invite was answered");
    });
}

#[test]
fn large_invites_are_all_shown_but_not_all_that_they_show() {
    Scene::play(|scene, alice, _| {
        let since = parse_value(scene.call(alice, "GET /sync", "").as_bytes()).unwrap();
        for number in 0..100 {
            let stripped = [named("m.room.name", "", 60_000)];
            assert_eq!(invite(scene, alice, number, &stripped).0, 200, "{number}");
        }
        let (invites, bytes) = synced(scene, alice);
        assert_eq!(invites, 100);
        assert!((3 << 20..5 << 20).contains(&bytes), "{bytes}");
        let since = since["next_batch"].as_str().unwrap();
        let later = scene.call(alice, &format!("GET /sync?since={since}"), "");
        assert!((3 << 20..5 << 20).contains(&later.len()), "{}", later.len());
    });
}

#[test]
fn of_an_invite_only_what_says_what_the_room_is_is_kept() {
    Scene::play(|scene, alice, _| {
        let (status, text) = invite(scene, alice, 0, &[named("m.room.name", "", 66_000)]);
        assert!(status == 400 && text.contains("M_TOO_LARGE"), "{status} {text}");
        let bob = format!("@bob:{TWO}");
        let stripped = [
            named("org.large", "", 200_000),
            named("m.room.name", "a key", 200_000),
            named("m.room.member", "@other:one.test", 200_000),
            json!({ "type": "m.room.topic", "state_key": "", "sender": 5, "content": {} }),
            json!({ "type": "m.room.topic", "state_key": "", "sender": &bob, "content": [] }),
            named("m.room.name", "", 10),
            named("m.room.member", &bob, 10),
        ];
        assert_eq!(invite(scene, alice, 1, &stripped).0, 200);
        let sync = parse_value(scene.call(alice, "GET /sync", "").as_bytes()).unwrap();
        let shown = &sync["rooms"]["invite"][format!("!1:{TWO}")]["invite_state"]["events"];
        let keys: Vec<&str> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap())
            .collect();
        assert_eq!(keys, ["", &bob, &alice.id]);
    });
}

#[test]
fn a_server_of_a_long_name_is_answered_as_visibility_says() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "public_chat");
        let visibility = "{\"history_visibility\":\"invited\"}";
        scene.put(alice, &format!("{room}/state/m.room.history_visibility/"), visibility);
        let said = scene.say(alice, &room, "{\"body\":\"before\"}");
        scene.call(bob, &format!("POST /join/{room}?server_name={}", encode(ONE)), "{}");
        scene.simulation.settle(60_000);
        let answer = scene.signed(&format!("GET v1/event/{}", encode(&said)), None);
        assert!(answer.contains("m.room.message") && !answer.contains("before"), "{answer}");
    });
}

#[test]
fn a_question_for_missing_events_names_twenty_at_the_most() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "public_chat");
        scene.call(bob, &format!("POST /join/{room}?server_name={}", encode(ONE)), "{}");
        scene.simulation.settle(60_000);
        let last = scene.say(alice, &room, "{\"body\":\"last\"}");
        for (before, found) in [(19, true), (20, false)] {
            let mut latest: Vec<String> =
                (0..before).map(|number| format!("$unknown{number}")).collect();
            latest.push(last.clone());
            let ask = json!({ "earliest_events": [], "latest_events": latest, "limit": 10 });
            let answer = scene.signed(&format!("POST v1/get_missing_events/{room}"), Some(&ask));
            assert_eq!(answer.contains("\"type\""), found, "{before}: {answer}");
        }
    });
}

#[test]
fn a_body_is_as_large_as_its_path_allows() {
    Scene::play(|scene, alice, _| {
        let (client, federation) = (1 << 20, 16 << 20);
        for (line, bytes, status) in [
            ("PUT /_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client + 1, 413),
            ("PUT /_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client, 401),
            ("POST /_matrix/key/v2/query", client + 1, 413),
            ("POST /nowhere", client + 1, 404),
            ("PUT /_matrix/federation/v1/send/1", federation + 1, 413),
            ("PUT /_matrix/federation/v1/send/1", federation, 401),
        ] {
            let request = request(None, line.split_once(' ').unwrap(), " ".repeat(bytes));
            let answer = scene.answer(&alice.server, request);
            assert_eq!(answer.0, status, "{line} {bytes}: {}", answer.1);
            assert!(status != 413 || answer.1.contains("M_TOO_LARGE"), "{}", answer.1);
        }
    });
}
