//! Do the rules of an invited user hold for the users of another server?
//! ([invite permission](https://spec.matrix.org/v1.19/client-server-api/#invite-permission))

use serde_json::{Value, json};
use tombolo_support::{Answer, Pair, encode};

use crate::servers::{ONE, two_servers};

const FILTERING: &str = "org.matrix.msc4155.invite_permission_config";

/// Bob says whose invites he wants.
fn set(pair: &Pair, kind: &str, content: &Value) {
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/{kind}", pair.bob.id);
    pair.scene.call(Some(&pair.bob), &line, content).ok();
}

/// Alice, of the other server, invites him to a new room.
fn invite(pair: &Pair) -> (String, Answer) {
    let room = pair.scene.room(&pair.alice, &json!({ "preset": "private_chat" }));
    let answer = pair.scene.act(&pair.alice, &room, "invite", &json!({ "user_id": pair.bob.id }));
    (room, answer)
}

fn is_shown(pair: &Pair, room: &str) -> bool {
    pair.scene.sync(&pair.bob, "")["rooms"]["invite"][room].is_object()
}

#[test]
fn a_blocked_invite_is_refused_and_is_none() {
    let pair = two_servers();
    for (kind, content) in [
        ("m.invite_permission_config", json!({ "default_action": "block" })),
        (FILTERING, json!({ "blocked_users": [pair.alice.id] })),
        (FILTERING, json!({ "blocked_servers": ["on?.*"] })),
    ] {
        set(&pair, kind, &content);
        let (room, answer) = invite(&pair);
        answer.refused(403, "M_INVITE_BLOCKED");
        let member = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", pair.bob.id);
        pair.scene.get(&pair.alice, &member).refused(404, "M_NOT_FOUND");
        assert!(!is_shown(&pair, &room), "{content}");
        set(&pair, kind, &json!({}));
    }
    let allowed = json!({ "blocked_servers": [ONE], "allowed_users": [pair.alice.id] });
    set(&pair, FILTERING, &allowed);
    let (room, answer) = invite(&pair);
    answer.ok();
    assert!(is_shown(&pair, &room));
}

#[test]
fn an_ignored_invite_seems_to_be_taken() {
    let pair = two_servers();
    set(&pair, FILTERING, &json!({ "ignored_servers": [ONE] }));
    let (room, answer) = invite(&pair);
    answer.ok();
    assert!(!is_shown(&pair, &room));
    let path = format!("/_matrix/client/v3/join/{room}?server_name={}", encode(ONE));
    pair.scene.call(Some(&pair.bob), &format!("POST {path}"), &json!({})).ok();
    assert!(pair.scene.sync(&pair.bob, "")["rooms"]["join"][&room].is_object());
}

/// The invite comes as an event of a room that the server is in, not by the endpoint for invites.
#[test]
fn an_invite_within_a_room_that_both_are_in_is_not_shown_while_all_are_blocked() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let carl = scene.register_on(&bob.server, "carl");
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    let join = format!("POST /_matrix/client/v3/join/{room}?server_name={}", encode(ONE));
    scene.call(Some(&carl), &join, &json!({})).ok();
    scene.act(alice, &room, "invite", &json!({ "user_id": bob.id })).ok();
    scene.simulation.settle(60_000);
    assert!(is_shown(&pair, &room));
    set(&pair, "m.invite_permission_config", &json!({ "default_action": "block" }));
    assert!(!is_shown(&pair, &room));
}
