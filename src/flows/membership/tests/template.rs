//! What does a server take from another server's template?

use serde_json::{Value, json};
use tombolo_support::{Peer, Scene, User, encode, ok};

use crate::flows::tests::{PEER, ours};

const ROOM: &str = "!room:peer.test:8448";

/// Our server with alice, and a peer that answers `make_knock` with a template altered by `change`, and takes every
/// knock.
fn knocked(change: impl FnOnce(&mut Value)) -> (Scene, Peer, User) {
    let scene = ours();
    let (alice, peer) = (scene.register("alice"), Peer::new(&scene.simulation, PEER, 3));
    let mut event = json!({
        "type": "m.room.member", "room_id": ROOM, "sender": alice.id, "state_key": alice.id,
        "content": { "membership": "knock" }, "depth": 7,
        "prev_events": [format!("${}", "p".repeat(43))], "auth_events": [format!("${}", "a".repeat(43))],
    });
    change(&mut event);
    let template = json!({ "room_version": "11", "event": event });
    peer.on("make_knock", move |_| ok(&template));
    peer.on("send_knock", |_| ok(&json!({ "knock_room_state": [] })));
    (scene, peer, alice)
}

fn knock(scene: &Scene, alice: &User) -> tombolo_support::Answer {
    knock_with(scene, alice, &json!({}))
}

fn knock_with(scene: &Scene, alice: &User, body: &Value) -> tombolo_support::Answer {
    let line = format!("POST /_matrix/client/v3/knock/{ROOM}?server_name={}", encode(PEER));
    scene.call(Some(alice), &line, body)
}

#[test]
fn a_reason_that_makes_the_event_too_large_is_its_users_fault() {
    let (scene, peer, alice) = knocked(|_| ());
    let body = json!({ "reason": "x".repeat(70_000) });
    knock_with(&scene, &alice, &body).refused(413, "M_TOO_LARGE");
    assert_eq!(peer.times_asked("send_knock"), 0);
}

#[test]
fn of_a_template_only_the_links_are_taken() {
    let (scene, peer, alice) = knocked(|event| {
        event["content"]["displayname"] = json!("Mallory");
        event["content"]["join_authorised_via_users_server"] = json!("@mallory:peer.test:8448");
        event["redacts"] = json!("$other");
        event["origin_server_ts"] = json!(5);
    });
    let path = format!("PUT /_matrix/client/v3/profile/{}/displayname", alice.id);
    scene.call(Some(&alice), &path, &json!({ "displayname": "Alice" })).ok();
    knock(&scene, &alice).ok();
    let sent = peer.asked("send_knock").remove(0).body;
    assert_eq!(sent["content"], json!({ "membership": "knock", "displayname": "Alice" }));
    assert_eq!(sent["depth"], 7);
    assert_eq!(sent["prev_events"], json!([format!("${}", "p".repeat(43))]));
    assert_eq!(sent["auth_events"], json!([format!("${}", "a".repeat(43))]));
    assert!(sent.get("redacts").is_none() && sent["origin_server_ts"] != 5, "{sent}");
}

#[test]
fn a_template_of_another_event_is_none() {
    let changes: [fn(&mut Value); 6] = [
        |event| event["type"] = json!("m.room.power_levels"),
        |event| event["room_id"] = json!("!other:peer.test:8448"),
        |event| event["sender"] = json!("@bob:ours.test:8448"),
        |event| event["state_key"] = json!("@bob:ours.test:8448"),
        |event| event["content"]["membership"] = json!("leave"),
        |event| event["prev_events"] = json!(["no ID", 5]),
    ];
    for change in changes {
        let (scene, peer, alice) = knocked(change);
        knock(&scene, &alice).refused(502, "M_UNKNOWN");
        assert_eq!(peer.times_asked("send_knock"), 0);
    }
}
