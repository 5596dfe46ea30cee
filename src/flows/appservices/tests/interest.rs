//! Which events does a service get, and which not?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Bridge, Hosted, Manner, Pair, Peer, encode, text};

use super::{Bridged, registrations};
use crate::{app::Tombolo, flows::tests::PEER};

/// The bridge's events with what is said in them.
fn said(bridged: &Bridged) -> Vec<Value> {
    let events = bridged.bridge.events().into_iter();
    events.filter(|event| event["type"] == "m.room.message").collect()
}

#[test]
fn a_service_gets_all_from_the_join_of_its_user_to_their_leave() {
    let bridged = Bridged::new();
    let room = bridged.scene.room(&bridged.alice, &json!({ "preset": "public_chat" }));
    bridged.say(&room, "before");
    bridged.scene.pass(5_000);
    bridged.scene.act(&bridged.ghost, &room, "join", &json!({})).ok();
    bridged.say(&room, "hello");
    bridged.scene.act(&bridged.ghost, &room, "leave", &json!({})).ok();
    bridged.say(&room, "after");
    bridged.scene.pass(5_000);
    assert_eq!(bridged.kinds(), ["join", "m.room.message", "leave"]);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
}

#[test]
fn a_service_learns_that_its_user_was_kicked() {
    let bridged = Bridged::new();
    let room = bridged.room();
    let kick = json!({ "user_id": bridged.ghost.id, "reason": "noise" });
    bridged.scene.act(&bridged.alice, &room, "kick", &kick).ok();
    bridged.say(&room, "after");
    bridged.scene.pass(5_000);
    assert_eq!(bridged.kinds(), ["join", "leave"]);
    assert_eq!(bridged.bridge.events()[1]["content"]["reason"], "noise");
}

#[test]
fn an_invite_of_its_user_says_what_the_room_is() {
    let bridged = Bridged::new();
    let room = bridged.scene.room(&bridged.alice, &json!({ "name": "Lair" }));
    bridged.say(&room, "before");
    let invite = json!({ "user_id": bridged.ghost.id });
    bridged.scene.act(&bridged.alice, &room, "invite", &invite).ok();
    bridged.say(&room, "after");
    bridged.scene.pass(5_000);
    assert_eq!(bridged.kinds(), ["invite"]);
    let event = &bridged.bridge.events()[0];
    assert_eq!(event["state_key"], json!(bridged.ghost.id));
    let shown = event["unsigned"]["invite_room_state"].as_array().unwrap();
    assert!(shown.iter().any(|event| event["content"]["name"] == "Lair"));
}

#[test]
fn a_room_of_others_does_not_concern_a_service() {
    let bridged = Bridged::new();
    let room = bridged.scene.room(&bridged.alice, &json!({}));
    bridged.say(&room, "hello");
    bridged.scene.pass(10_000);
    assert!(bridged.bridge.pushed().is_empty());
}

#[test]
fn the_user_that_the_service_is_counts_as_its_user() {
    let bridged = Bridged::new();
    // An account of the service's own, as it is made without a password.
    let update = "UPDATE accounts SET password_hash = NULL WHERE localpart = 'alice'";
    bridged.scene.server.d1().run(update, values![]).unwrap();
    let sender = json!({ "sender_localpart": "alice" });
    bridged.register(&bridged.bridge.registration("slack", "slack_", &sender));
    let room = bridged.scene.room(&bridged.alice, &json!({}));
    bridged.say(&room, "hello");
    bridged.scene.pass(5_000);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
    assert_eq!(bridged.kinds()[..2], ["m.room.create", "join"]);
}

#[test]
fn a_room_in_its_namespace_concerns_a_service_whoever_is_in_it() {
    let rooms = json!([{ "regex": "!.*", "exclusive": false }]);
    let bridged = Bridged::with(&json!({ "namespaces": { "rooms": rooms } }));
    let room = bridged.scene.room(&bridged.alice, &json!({}));
    bridged.say(&room, "hello");
    bridged.scene.pass(5_000);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
    assert_eq!(bridged.kinds()[0], "m.room.create");
}

#[test]
fn a_room_with_an_alias_in_its_namespace_concerns_a_service() {
    let aliases = json!([{ "regex": "#slack_", "exclusive": false }]);
    let bridged = Bridged::with(&json!({ "namespaces": { "aliases": aliases } }));
    let (alice, scene) = (&bridged.alice, &bridged.scene);
    let room = scene.room(alice, &json!({}));
    bridged.say(&room, "before");
    scene.pass(5_000);
    let alias = encode("#slack_general:ours.test:8448");
    let path = format!("PUT /_matrix/client/v3/directory/room/{alias}");
    scene.call(Some(alice), &path, &json!({ "room_id": room })).ok();
    bridged.say(&room, "hello");
    scene.pass(5_000);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
}

#[test]
fn a_redaction_names_its_target_in_both_places() {
    let bridged = Bridged::new();
    for version in ["10", "11", "12"] {
        let content = json!({ "preset": "public_chat", "room_version": version });
        let room = bridged.scene.room(&bridged.alice, &content);
        bridged.scene.act(&bridged.ghost, &room, "join", &json!({})).ok();
        let said = bridged.say(&room, "oops");
        let path = format!("redact/{}/{version}", encode(&said));
        bridged.scene.put(&bridged.alice, &room, &path, &json!({})).ok();
        bridged.scene.pass(5_000);
        let event = bridged.bridge.events().pop().unwrap();
        assert_eq!(event["type"], "m.room.redaction");
        assert_eq!((&event["redacts"], &event["content"]["redacts"]), (&json!(said), &json!(said)));
    }
}

#[test]
fn typing_and_receipts_are_told_to_a_service_that_wants_them() {
    for wants in [false, true] {
        let bridged = Bridged::with(&json!({ "receive_ephemeral": wants }));
        let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
        let said = scene.say(&bridged.ghost, &room, "hello");
        for kind in ["m.read", "m.read.private"] {
            scene.act(alice, &room, &format!("receipt/{kind}/{said}"), &json!({})).ok();
        }
        let path = format!("typing/{}", encode(&alice.id));
        scene.put(alice, &room, &path, &json!({ "typing": true, "timeout": 30_000 })).ok();
        scene.pass(5_000);
        let mut edus = bridged.bridge.edus();
        edus.sort_by_key(|edu| text(&edu["type"]));
        if !wants {
            assert!(edus.is_empty());
            let transactions = bridged.bridge.transactions();
            assert!(transactions.iter().all(|one| one.get("ephemeral").is_none()));
            continue;
        }
        let [receipt, typing] = &*edus else { panic!("{edus:?}") };
        assert_eq!((&receipt["type"], &receipt["room_id"]), (&json!("m.receipt"), &json!(room)));
        assert!(receipt["content"][&said]["m.read"][&alice.id]["ts"].is_u64());
        assert_eq!((&typing["type"], &typing["room_id"]), (&json!("m.typing"), &json!(room)));
        assert_eq!(typing["content"]["user_ids"], json!([alice.id]));
        let last = bridged.bridge.transactions().pop().unwrap();
        assert_eq!(last["ephemeral"], last["de.sorunome.msc2409.ephemeral"]);
    }
}

#[test]
fn typing_that_is_long_over_is_not_told_but_receipts_are() {
    let bridged = Bridged::new();
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    bridged.bridge.is(Manner::Answers(502));
    let said = bridged.say(&room, "hello");
    scene.pass(5_000);
    let path = format!("typing/{}", encode(&alice.id));
    scene.put(alice, &room, &path, &json!({ "typing": true, "timeout": 20_000 })).ok();
    scene.act(alice, &room, &format!("receipt/m.read/{said}"), &json!({})).ok();
    scene.pass(300_000);
    bridged.bridge.is(Manner::Takes);
    scene.simulation.settle(3_600_000);
    let kinds: Vec<String> = bridged.bridge.edus().iter().map(|edu| text(&edu["type"])).collect();
    assert_eq!(kinds, ["m.receipt"]);
    assert_eq!(said.len(), said_once(&bridged));
}

fn said_once(bridged: &Bridged) -> usize {
    let [said] = &*said(bridged) else { panic!("not once") };
    text(&said["event_id"]).len()
}

#[test]
fn an_invite_to_a_room_elsewhere_reaches_the_service_of_the_invited() {
    let bridged = Bridged::new();
    let scene = &bridged.scene;
    let peer = Peer::new(&scene.simulation, PEER, 3);
    let version = RoomVersion::of("11").unwrap();
    let hosted = Hosted::new(scene, &peer, version);
    let of = ("m.room.member", Some(&*bridged.ghost.id));
    let invite = hosted.event(&peer, &hosted.creator, of, &json!({ "membership": "invite" }));
    let line = format!(
        "PUT /_matrix/federation/v2/invite/{}/{}",
        encode(&hosted.room),
        encode(&hosted.id(&invite))
    );
    let stripped = hosted.state().into_values().filter(|event| event["type"] == "m.room.create");
    let content = json!({
        "room_version": "11", "event": invite, "invite_room_state": stripped.collect::<Vec<_>>(),
    });
    scene.signed(&peer, &line, Some(&content)).ok();
    scene.pass(5_000);
    let [event] = &*bridged.bridge.events() else { panic!("{:?}", bridged.bridge.events()) };
    assert_eq!(event["event_id"], json!(hosted.id(&invite)));
    assert_eq!(
        (&event["room_id"], &event["state_key"]),
        (&json!(hosted.room), &json!(bridged.ghost.id))
    );
    assert_eq!(event["content"]["membership"], "invite");
    let shown = event["unsigned"]["invite_room_state"].as_array().unwrap();
    assert!(shown.iter().any(|event| event["type"] == "m.room.create"));
    scene.act(&bridged.ghost, &hosted.room, "leave", &json!({}));
    scene.pass(5_000);
    assert_eq!(bridged.kinds(), ["invite", "leave"]);
}

#[test]
fn a_service_learns_what_becomes_of_an_invite_of_its_sender_who_has_no_account() {
    let bridged = Bridged::new();
    let (alice, scene) = (&bridged.alice, &bridged.scene);
    let room = scene.room(alice, &json!({}));
    let bot = json!({ "user_id": format!("@slack-bot:{}", scene.server.name()) });
    for deed in ["invite", "kick", "ban", "unban"] {
        scene.act(alice, &room, deed, &bot).ok();
        scene.pass(5_000);
    }
    assert_eq!(bridged.kinds(), ["invite", "leave", "ban", "leave"]);
}

#[test]
fn what_a_state_event_replaces_is_told() {
    let bridged = Bridged::new();
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    let topic =
        |topic: &str| scene.set(alice, &room, ("m.room.topic", ""), &json!({ "topic": topic }));
    let (first, _) = (topic("a"), topic("b"));
    scene.pass(5_000);
    let unsigned = bridged.bridge.events().pop().unwrap()["unsigned"].clone();
    assert_eq!(unsigned["prev_content"], json!({ "topic": "a" }));
    assert_eq!(unsigned["replaces_state"], json!(first));
}

#[test]
fn a_service_is_told_when_nobody_types_any_more() {
    let bridged = Bridged::new();
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    let path = format!("typing/{}", encode(&alice.id));
    let types = |types: bool| {
        let body = json!({ "typing": types, "timeout": 20_000 });
        scene.put(alice, &room, &path, &body).ok();
        scene.pass(5_000);
        bridged.bridge.edus().pop().unwrap()["content"]["user_ids"].clone()
    };
    assert_eq!(types(true), json!([alice.id]));
    assert_eq!(types(false), json!([]));
    assert_eq!(types(true), json!([alice.id]));
    // By itself, too.
    scene.pass(60_000);
    assert_eq!(bridged.bridge.edus().pop().unwrap()["content"]["user_ids"], json!([]));
}

#[test]
fn a_service_that_comes_later_gets_nothing_of_before() {
    let bridged = Bridged::with(&json!({ "url": Value::Null }));
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    let registration =
        bridged.bridge.registration("slack", "slack_", &json!({ "receive_ephemeral": true }));
    for (before, after) in [("one", "two"), ("three", "four")] {
        let said = bridged.say(&room, before);
        scene.act(alice, &room, &format!("receipt/m.read/{said}"), &json!({})).ok();
        scene.pass(20_000);
        bridged.register(&registration);
        bridged.say(&room, after);
        scene.pass(20_000);
        let world = scene.server.world();
        scene.simulation.run(registrations::remove(&world, "slack")).unwrap();
    }
    assert_eq!(bridged.bridge.heard(), ["two", "four"]);
    assert!(bridged.bridge.edus().is_empty());
}

#[test]
fn history_that_comes_later_is_no_news_and_a_gap_is() {
    let two = Pair::new(Rc::new(Tombolo), ["ours.test:8448", "other.test:8448"]);
    let (scene, bob) = (&two.scene, &two.bob);
    let ghost = scene.register("slack_ghost");
    let bridge = Bridge::new(&scene.simulation, "bridge.test");
    let text = bridge.registration("slack", "slack_", &json!({})).to_string();
    let world = scene.server.world();
    scene.simulation.run(registrations::register(&world, &text)).unwrap();
    let room = scene.room(bob, &json!({ "preset": "public_chat" }));
    let say = |words: &[String]| words.iter().for_each(|word| drop(scene.say(bob, &room, word)));
    let words = |of: &str| (0..30).map(|number| format!("{of} {number}")).collect::<Vec<_>>();
    say(&words("old"));
    let join =
        format!("POST /_matrix/client/v3/join/{room}?server_name={}", encode(bob.server.name()));
    scene.call(Some(&ghost), &join, &json!({})).ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
    assert!(scene.get(&ghost, &path).ok().to_string().contains("old 3"));
    two.cut(60_000);
    let mut heard = words("new");
    say(&heard);
    scene.simulation.settle(3_600_000);
    heard.push("end".to_owned());
    say(&heard[30..]);
    scene.simulation.settle(600_000);
    assert_eq!(bridge.heard(), heard);
}
