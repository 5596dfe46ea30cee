//! Does anything break that is nested as deep as an event may be? (JSON6 of `tests/hostile/README.md`)
//!
//! What is said deep must reach clients, the other server, and those who join. A trap in one answer would end every
//! call in flight. Our own users send nothing that deep, so here another server does.

use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Answer, Pair, Place, User, cited, draft, encode, id_of};

use crate::servers::{ONE, two_servers};

/// Deeper than `serde_json` reads, and as deep as an event may be.
const LEVELS: [usize; 2] = [150, 500];
/// As deep as our users may send an event.
const SENT: [usize; 1] = [120];

/// Lists in an event's content that nest the event so deep: it and its content are a level each.
fn lists(levels: usize) -> Value {
    (2..levels).fold(json!(1), |inner, _| json!([inner]))
}

fn play(all: &[usize], scenario: impl Fn(&Pair, &Value)) {
    for levels in all.iter().copied() {
        scenario(&two_servers(), &lists(levels));
    }
}

/// A request of bob's server.
fn asks(pair: &Pair, line: &str, body: Option<&Value>) -> Value {
    let line = line.replacen(' ', " /_matrix/federation/", 1);
    pair.scene.signed(&pair.signer(), &line, body).ok()
}

/// A request of a client.
fn call(pair: &Pair, user: &User, line: &str, body: &Value) -> Answer {
    pair.scene.call(Some(user), &line.replacen(' ', " /_matrix/client/v3", 1), body)
}

#[track_caller]
fn sees(pair: &Pair, user: &User, path: &str, what: &str) {
    let answer = call(pair, user, &format!("GET {path}"), &Value::Null).ok().to_string();
    assert!(answer.contains(what), "{path}: {answer}");
}

/// Bob's server sends the first one an event of his, after alice's newest one; answers its ID.
fn sends(pair: &Pair, room: &str, of: (&str, Option<&str>), content: &Value) -> String {
    let (version, bob, signer) = (RoomVersion::of("11").unwrap(), &pair.bob.id, pair.signer());
    let last = pair.scene.say(&pair.alice, room, "now");
    let state = asks(pair, &format!("GET v1/state/{room}?event_id={}", encode(&last)), None);
    let id = |(kind, key): &(String, String)| {
        let mut state = state["pdus"].as_array().unwrap().iter();
        let found = state.find(|pdu| pdu["type"] == **kind && pdu["state_key"] == **key);
        found.map(|pdu| id_of(version, pdu))
    };
    let place = Place {
        room_id: room,
        prev_events: &[last],
        auth_events: &cited(version, bob, of, content, id),
        depth: 1000,
        origin_server_ts: pair.scene.simulation.now(),
    };
    let pdu = signer.seal(version, &draft(&place, bob, of, content));
    let id = id_of(version, &pdu);
    let body = json!({ "pdus": [pdu], "edus": [] });
    let answer = asks(pair, &format!("PUT v1/send/{}", encode(&id)), Some(&body));
    assert_eq!(answer["pdus"][&id], json!({}), "{of:?}");
    id
}

/// A room of alice, in which bob may do all that she may.
fn shared(pair: &Pair) -> String {
    let room = pair.scene.room(&pair.alice, &json!({ "preset": "public_chat" }));
    let levels = json!({ "users": { &pair.alice.id: 100, &pair.bob.id: 100 } });
    pair.scene.set(&pair.alice, &room, ("m.room.power_levels", ""), &levels);
    pair.through(&pair.bob, "join", &room).ok();
    room
}

#[test]
fn a_client_reads_back_what_is_deep() {
    play(&LEVELS, |pair, deep| {
        let (room, alice) = (shared(pair), &pair.alice);
        let data = json!({ "deep": deep });
        let of_alice = format!("/user/{}", encode(&alice.id));
        let paths = [
            format!("{of_alice}/account_data/org.deep"),
            format!("{of_alice}/rooms/{room}/account_data/org.deep"),
        ];
        for path in &paths {
            call(pair, alice, &format!("PUT {path}"), &data).ok();
        }
        let said = sends(pair, &room, ("m.room.message", None), &data);
        // Twice, so that the second has the first as its `prev_content`.
        for which in ["a", "b"] {
            sends(pair, &room, ("org.deep", Some("")), &json!({ which: deep }));
        }
        let member = json!({ "membership": "join", "deep": deep });
        sends(pair, &room, ("m.room.member", Some(&pair.bob.id)), &member);
        let event = format!("/rooms/{room}/event/{}", encode(&said));
        for path in [
            "/sync",
            &format!("/rooms/{room}/messages?dir=b"),
            &format!("/rooms/{room}/state"),
            &format!("/rooms/{room}/members"),
            &event,
            &format!("/rooms/{room}/state/org.deep/"),
            &paths[0],
            &paths[1],
        ] {
            sees(pair, alice, path, &deep.to_string());
        }
        sees(pair, alice, &format!("/rooms/{room}/joined_members"), &alice.id);
        let redaction = json!({ "redacts": said, "deep": deep });
        sends(pair, &room, ("m.room.redaction", None), &redaction);
        let redacted = call(pair, alice, &format!("GET {event}"), &Value::Null).ok();
        assert_eq!(redacted["unsigned"]["redacted_because"]["content"]["deep"], *deep);
    });
}

#[test]
fn who_has_power_by_deep_levels_may_delete_an_alias() {
    play(&LEVELS, |pair, deep| {
        let (carol, room) = (pair.scene.register("carol"), shared(pair));
        pair.scene.act(&carol, &room, "join", &json!({})).ok();
        let users = json!({ &pair.alice.id: 100, &pair.bob.id: 100, &carol.id: 100 });
        let levels = json!({ "users": users, "deep": deep });
        sends(pair, &room, ("m.room.power_levels", Some("")), &levels);
        let alias = encode(&format!("#deep:{ONE}"));
        let body = json!({ "room_id": room });
        call(pair, &pair.alice, &format!("PUT /directory/room/{alias}"), &body).ok();
        call(pair, &carol, &format!("DELETE /directory/room/{alias}"), &Value::Null).ok();
    });
}

#[test]
fn another_server_is_sent_and_asked_for_what_is_deep() {
    play(&LEVELS, |pair, deep| {
        let (room, text) = (shared(pair), deep.to_string());
        sends(pair, &room, ("org.deep", Some("")), &json!({ "state": deep }));
        let said = sends(pair, &room, ("m.room.message", None), &json!({ "said": deep }));
        // The second server knows nothing of what was said in its name, and is given it to fill the gap.
        pair.scene.say(&pair.alice, &room, "after");
        pair.scene.simulation.settle(120_000);
        let state = format!("{{\"state\":{text}}}");
        sees(pair, &pair.bob, &format!("/rooms/{room}/state/org.deep/"), &state);
        let id = encode(&said);
        for path in ["v1/state", "v1/state_ids", "v1/backfill"] {
            let query = if path == "v1/backfill" { "limit=10&v" } else { "event_id" };
            let answer = asks(pair, &format!("GET {path}/{room}?{query}={id}"), None);
            assert!(path == "v1/state_ids" || answer.to_string().contains(&text), "{path}");
        }
        let answer = asks(pair, &format!("GET v1/event/{id}"), None);
        assert!(answer.to_string().contains(&text), "event");
        let member = json!({ "membership": "join", "deep": deep });
        sends(pair, &room, ("m.room.member", Some(&pair.bob.id)), &member);
        let last = sends(pair, &room, ("m.room.message", None), &json!({ "body": "last" }));
        let answer = asks(pair, &format!("GET v1/event_auth/{room}/{}", encode(&last)), None);
        assert!(answer.to_string().contains(&text), "event_auth");
        let last = pair.scene.say(&pair.alice, &room, "last");
        let between = json!({ "earliest_events": [], "latest_events": [last], "limit": 10 });
        let answer = asks(pair, &format!("POST v1/get_missing_events/{room}"), Some(&between));
        assert!(answer.to_string().contains(&text), "get_missing_events");
    });
}

#[test]
fn what_a_user_sends_as_deep_as_they_may_reaches_another_server() {
    play(&SENT, |pair, deep| {
        let room = shared(pair);
        let content = json!({ "said": deep });
        pair.scene.put(&pair.alice, &room, "send/m.room.message/deep", &content).ok();
        pair.scene.simulation.settle(120_000);
        sees(pair, &pair.bob, "/sync", &format!("\"said\":{deep}"));
    });
}

#[test]
fn an_invite_may_be_deep_and_ends_like_another() {
    play(&SENT, |pair, deep| {
        let Pair { scene, alice, bob } = pair;
        let room = scene.room(alice, &json!({ "preset": "private_chat" }));
        scene.set(alice, &room, ("m.room.name", ""), &json!({ "name": "deep", "deep": deep }));
        let member = |user: &User, membership: &str| {
            let content = json!({ "membership": membership, "deep": deep });
            scene.set(alice, &room, ("m.room.member", &user.id), &content);
            scene.simulation.settle(120_000);
        };
        member(alice, "join");
        member(bob, "invite");
        let shown = || scene.sync(bob, "")["rooms"]["invite"][&room]["invite_state"].clone();
        let invited = shown().to_string();
        for part in ["\"name\":\"deep\"", "\"membership\":\"invite\""] {
            assert!(invited.contains(part), "{part}");
        }
        let count = invited.matches(&deep.to_string()).count();
        assert_eq!(count, 3, "the name, alice and the invite are deep");
        member(bob, "leave");
        assert!(shown().is_null(), "not rescinded");
        member(bob, "invite");
        scene.act(bob, &room, "join", &json!({})).ok();
        let name = format!("/rooms/{room}/state/m.room.name/");
        sees(pair, bob, &name, &deep.to_string());
    });
}
