//! Do invites, joins and leaves between two servers end as both say?

use futures_util::future::join;
use serde_json::{Value, json};
use tombolo::objects::room::RoomClass;
use tombolo_platform::{Address, simulated::Server, values};
use tombolo_protocol::json::parse_value;
use tombolo_support::{Answer, Pair, User, encode, text};

use crate::servers::{ONE, TWO, two_servers};

fn private_room(pair: &Pair) -> String {
    pair.scene.room(&pair.alice, &json!({ "preset": "private_chat" }))
}

/// Alice does something to a user.
fn does(pair: &Pair, room: &str, deed: &str, user: &str) -> Answer {
    pair.scene.act(&pair.alice, room, deed, &json!({ "user_id": user }))
}

/// A user's membership event now, as the server holds it.
fn member(server: &Server, room: &str, user: &str) -> Option<Value> {
    let sql = server.sql(&Address::<RoomClass>::new(room)).unwrap();
    let query = "SELECT e.json FROM now n JOIN events e ON e.sn = n.sn WHERE n.type = 'm.room.member' AND n.key = ?";
    let text = sql.row(query, values![user], |row| row.text(0)).unwrap()?;
    parse_value(text.as_bytes()).ok()
}

fn membership(server: &Server, room: &str, user: &str) -> Value {
    member(server, room, user)
        .map(|event| event["content"]["membership"].clone())
        .unwrap_or_default()
}

/// Whether bob's first sync shows an invite to the room.
fn is_invited(pair: &Pair, room: &str) -> bool {
    pair.scene.sync(&pair.bob, "")["rooms"]["invite"][room].is_object()
}

#[test]
fn an_invite_stands_once_both_servers_signed_it() {
    let pair = two_servers();
    let Pair { alice, bob, .. } = &pair;
    let room = private_room(&pair);
    does(&pair, &room, "invite", &bob.id).ok();
    let event = member(&alice.server, &room, &bob.id).unwrap();
    let signers: Vec<&String> = event["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, [ONE, TWO]);
    // It stands.
    does(&pair, &room, "invite", &bob.id).ok();
    assert!(is_invited(&pair, &room));
}

#[test]
fn an_invite_that_the_other_server_refuses_or_does_not_hear_is_none() {
    let pair = two_servers();
    let Pair { alice, bob, .. } = &pair;
    let room = private_room(&pair);
    let nobody = format!("@nobody:{TWO}");
    does(&pair, &room, "invite", &nobody).refused(403, "M_FORBIDDEN");
    assert_eq!(member(&alice.server, &room, &nobody), None);
    pair.cut(600_000);
    assert_eq!(does(&pair, &room, "invite", &bob.id).status, 502);
    assert_eq!(member(&alice.server, &room, &bob.id), None);
}

#[test]
fn two_users_join_a_room_elsewhere_at_once() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let carl = scene.register_on(&bob.server, "carl");
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    let path = format!("/_matrix/client/v3/join/{room}?server_name={}", encode(ONE));
    let request = |user: &User| bob.server.request(user.request(("POST", &path), "{}"));
    let (one, other) = scene.simulation.run(join(request(bob), request(&carl)));
    for answer in [one, other] {
        assert_eq!(answer.unwrap().status(), 200);
    }
    scene.simulation.settle(60_000);
    for user in [&bob.id, &carl.id] {
        assert_eq!(membership(&alice.server, &room, user), "join", "{user}");
    }
}

#[test]
fn a_declined_invite_reaches_the_inviter_after_an_outage() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let room = private_room(&pair);
    does(&pair, &room, "invite", &bob.id).ok();
    pair.cut(60_000);
    scene.act(bob, &room, "leave", &json!({})).ok();
    assert_eq!(membership(&alice.server, &room, &bob.id), "invite");
    scene.simulation.settle(600_000);
    assert_eq!(membership(&alice.server, &room, &bob.id), "leave");
}

#[test]
fn a_join_that_only_the_other_server_can_authorise_goes_through_it() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let carl = scene.register_on(&bob.server, "carl");
    let (space, room) = (pair.meet(json!({})), pair.meet(json!({})));
    pair.through(&carl, "join", &space).ok();
    let levels = json!({ "invite": 50, "users": { &alice.id: 100 } });
    scene.set(alice, &room, ("m.room.power_levels", ""), &levels);
    let allow = json!([{ "type": "m.room_membership", "room_id": space }]);
    let rule = json!({ "join_rule": "restricted", "allow": allow });
    scene.set(alice, &room, ("m.room.join_rules", ""), &rule);
    scene.simulation.settle(60_000);
    pair.through(&carl, "join", &room).ok();
    for server in [&alice.server, &bob.server] {
        assert_eq!(membership(server, &room, &carl.id), "join");
    }
}

#[test]
fn a_join_that_was_answered_is_seen_by_the_next_sync() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    let since = text(&scene.sync(alice, "")["next_batch"]);
    pair.through(bob, "join", &room).ok();
    for parameters in [&*format!("since={since}"), ""] {
        let sync = scene.sync(alice, parameters).to_string();
        assert!(sync.contains("\"state_key\":\"@bob:"), "{sync}");
    }
}

#[test]
fn what_was_said_between_two_stays_stands_between_them() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let room = pair.meet(json!({}));
    scene.act(bob, &room, "leave", &json!({})).ok();
    scene.simulation.settle(60_000);
    for word in ["first", "second", "third"] {
        scene.say(alice, &room, word);
    }
    pair.through(bob, "join", &room).ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
    let page = scene.get(bob, &path).ok();
    let line = |event: &Value| {
        let content = &event["content"];
        let own = event["state_key"] == bob.id;
        let word = content["body"].as_str().or(content["membership"].as_str().filter(|_| own));
        word.map(str::to_owned)
    };
    let lines: Vec<_> = page["chunk"].as_array().unwrap().iter().filter_map(line).collect();
    assert_eq!(lines, ["join", "third", "second", "first", "leave", "join"]);
}

#[test]
fn nobody_but_the_inviter_takes_an_invite_back() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let moderator = scene.register("moderator");
    let room = scene.room(alice, &json!({ "preset": "private_chat", "invite": [moderator.id] }));
    scene.act(&moderator, &room, "join", &json!({})).ok();
    let levels = json!({ "users": { &alice.id: 100, &moderator.id: 100 } });
    scene.set(alice, &room, ("m.room.power_levels", ""), &levels);
    for (user, is_invited_then) in [(&moderator, true), (alice, false)] {
        scene.act(alice, &room, "invite", &json!({ "user_id": bob.id })).ok();
        assert!(is_invited(&pair, &room));
        scene.act(user, &room, "kick", &json!({ "user_id": bob.id })).ok();
        scene.simulation.settle(120_000);
        assert_eq!(is_invited(&pair, &room), is_invited_then, "{}", user.id);
    }
}

#[test]
fn an_invite_that_follows_a_ban_can_be_declined() {
    let pair = two_servers();
    let room = private_room(&pair);
    does(&pair, &room, "invite", &pair.bob.id).ok();
    pair.through(&pair.bob, "join", &room).ok();
    does(&pair, &room, "ban", &pair.bob.id).ok();
    pair.scene.simulation.settle(120_000);
    for deed in ["unban", "invite"] {
        does(&pair, &room, deed, &pair.bob.id).ok();
    }
    assert!(is_invited(&pair, &room));
    pair.scene.act(&pair.bob, &room, "leave", &json!({})).ok();
    assert!(!is_invited(&pair, &room));
}

#[test]
fn a_leave_that_comes_after_a_newer_invite_does_not_end_it() {
    let pair = two_servers();
    let room = private_room(&pair);
    // The leave waits for the alarm; the invite after it does not.
    for deed in ["invite", "kick", "invite"] {
        does(&pair, &room, deed, &pair.bob.id).ok();
    }
    pair.scene.simulation.settle(120_000);
    assert!(is_invited(&pair, &room));
    pair.through(&pair.bob, "join", &room).ok();
}

#[test]
fn an_invite_does_not_hide_a_stay_that_ended() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    let dora = scene.register("dora");
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    scene.act(&dora, &room, "join", &json!({})).ok();
    let first = text(&scene.sync(&dora, "")["next_batch"]);
    for deed in ["kick", "invite"] {
        does(&pair, &room, deed, &dora.id).ok();
    }
    let sections = || {
        let sync = scene.sync(&dora, &format!("since={first}"));
        ["leave", "invite"].map(|section| sync["rooms"][section].is_object())
    };
    assert_eq!(sections(), [true, true]);
    let ignored = json!({ "ignored_users": { &alice.id: {} } });
    let user = format!("/_matrix/client/v3/user/{}", encode(&dora.id));
    let line = format!("PUT {user}/account_data/m.ignored_user_list");
    scene.call(Some(&dora), &line, &ignored).ok();
    assert_eq!(sections(), [true, false]);
}
