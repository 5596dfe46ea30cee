//! What becomes of too many things at once, and of long names?

use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Answer, Pair, Place, draft, encode, id_of, text};

use crate::servers::{TWO, two_servers};

/// So many invites may await an answer.
const MOST_INVITES: usize = 500;

/// An invite of alice to a room of the second server, with this stripped state; what it is answered.
fn invite(pair: &Pair, number: usize, stripped: &[Value]) -> Answer {
    let signer = pair.signer();
    let (version, room) = (RoomVersion::of("11").unwrap(), format!("!{number}:{TWO}"));
    let before = format!("${}", "a".repeat(43));
    let place = Place {
        room_id: &room,
        prev_events: std::slice::from_ref(&before),
        auth_events: std::slice::from_ref(&before),
        depth: 9,
        origin_server_ts: pair.scene.simulation.now(),
    };
    let content = json!({ "membership": "invite" });
    let member = ("m.room.member", Some(&*pair.alice.id));
    let event = draft(&place, &signer.user("bob"), member, &content);
    let event = signer.seal(version, &event);
    let path = format!("{}/{}", encode(&room), encode(&id_of(version, &event)));
    let body = json!({ "room_version": "11", "event": event, "invite_room_state": stripped });
    pair.scene.signed(&signer, &format!("PUT /_matrix/federation/v2/invite/{path}"), Some(&body))
}

fn named(kind: &str, key: &str, bytes: usize) -> Value {
    let sender = format!("@bob:{TWO}");
    json!({ "type": kind, "state_key": key, "sender": sender, "content": { "name": "x".repeat(bytes) } })
}

/// How many invites alice's first sync shows, and how many bytes it has.
fn synced(pair: &Pair) -> (usize, usize) {
    let sync = pair.scene.sync(&pair.alice, "");
    let invites = sync["rooms"]["invite"].as_object().map_or(0, serde_json::Map::len);
    (invites, sync.to_string().len())
}

#[test]
fn a_user_has_no_more_invites_than_can_be_shown() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    for number in 0..MOST_INVITES {
        invite(&pair, number, &[]).ok();
    }
    invite(&pair, MOST_INVITES, &[]).refused(403, "M_FORBIDDEN");
    // The same invite again.
    invite(&pair, 0, &[]).ok();
    assert_eq!(synced(&pair).0, MOST_INVITES);
    scene.act(alice, &format!("!0:{TWO}"), "leave", &json!({})).ok();
    // An invite was answered.
    invite(&pair, MOST_INVITES, &[]).ok();
}

#[test]
fn large_invites_are_all_shown_but_not_all_that_they_show() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    let since = text(&scene.sync(alice, "")["next_batch"]);
    for number in 0..100 {
        invite(&pair, number, &[named("m.room.name", "", 60_000)]).ok();
    }
    let (invites, bytes) = synced(&pair);
    assert_eq!(invites, 100);
    assert!((3 << 20..5 << 20).contains(&bytes), "{bytes}");
    let later = scene.sync(alice, &format!("since={since}")).to_string();
    assert!((3 << 20..5 << 20).contains(&later.len()), "{}", later.len());
}

#[test]
fn of_an_invite_only_what_says_what_the_room_is_is_kept() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    invite(&pair, 0, &[named("m.room.name", "", 66_000)]).refused(400, "M_TOO_LARGE");
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
    invite(&pair, 1, &stripped).ok();
    let sync = scene.sync(alice, "");
    let shown = &sync["rooms"]["invite"][format!("!1:{TWO}")]["invite_state"]["events"];
    let keys: Vec<&str> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["state_key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["", &bob, &alice.id]);
}

#[test]
fn a_server_of_a_long_name_is_answered_as_visibility_says() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    let visibility = json!({ "history_visibility": "invited" });
    scene.set(alice, &room, ("m.room.history_visibility", ""), &visibility);
    let said = scene.say(alice, &room, "before");
    pair.through(bob, "join", &room).ok();
    scene.simulation.settle(60_000);
    let line = format!("GET /_matrix/federation/v1/event/{}", encode(&said));
    let answer = scene.signed(&pair.signer(), &line, None).ok().to_string();
    assert!(answer.contains("m.room.message") && !answer.contains("before"), "{answer}");
}

#[test]
fn a_question_for_missing_events_names_twenty_at_the_most() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    let room = pair.meet(json!({}));
    scene.simulation.settle(60_000);
    let last = scene.say(alice, &room, "last");
    let line = format!("POST /_matrix/federation/v1/get_missing_events/{room}");
    for (before, found) in [(19, true), (20, false)] {
        let mut latest: Vec<String> =
            (0..before).map(|number| format!("$unknown{number}")).collect();
        latest.push(last.clone());
        let ask = json!({ "earliest_events": [], "latest_events": latest, "limit": 10 });
        let answer = scene.signed(&pair.signer(), &line, Some(&ask)).ok().to_string();
        assert_eq!(answer.contains("\"type\""), found, "{before}: {answer}");
    }
}

#[test]
fn a_body_is_as_large_as_its_path_allows() {
    let pair = two_servers();
    let (client, federation) = (1 << 20, 16 << 20);
    for (line, bytes, status) in [
        ("PUT /_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client + 1, 413),
        ("PUT /_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client, 401),
        ("POST /_matrix/key/v2/query", client + 1, 413),
        ("POST /nowhere", client + 1, 404),
        ("PUT /_matrix/federation/v1/send/1", federation + 1, 413),
        ("PUT /_matrix/federation/v1/send/1", federation, 401),
    ] {
        let answer = pair.scene.send(None, line, " ".repeat(bytes));
        assert_eq!(answer.status, status, "{line} {bytes}: {answer:?}");
        let code = answer.text("errcode");
        assert!(status != 413 || code.as_deref() == Some("M_TOO_LARGE"), "{code:?}");
    }
}
