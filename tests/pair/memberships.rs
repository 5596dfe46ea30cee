//! Do invites, joins and leaves between two servers end as both say?

use futures_util::future::join;
use tombolo::objects::room::RoomClass;
use tombolo_platform::{Address, values};
use tombolo_protocol::json::parse_value;
use tombolo_support::{User, encode};

use crate::scene::{ONE, Scene, TWO};

/// Status and text of the answer to an invite.
fn invite(scene: &Scene, alice: &User, room: &str, user: &str) -> (u16, String) {
    let body = format!(r#"{{"user_id":"{user}"}}"#);
    scene.asked(alice, &format!("POST /rooms/{room}/invite"), &body)
}

/// The text of a user's member event now, as the server holds it.
fn member(server: &tombolo_platform::simulated::Server, room: &str, user: &str) -> Option<String> {
    let room = percent_encoding::percent_decode_str(room).decode_utf8().unwrap();
    let sql = server.sql(&Address::<RoomClass>::new(&*room)).unwrap();
    let query = "SELECT e.json FROM now n JOIN events e ON e.sn = n.sn WHERE n.type = 'm.room.member' AND n.key = ?";
    sql.row(query, values![user], |row| row.text(0)).unwrap()
}

#[test]
fn an_invite_stands_once_both_servers_signed_it() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "private_chat");
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 200);
        let event = parse_value(member(&scene.one, &room, &bob.id).unwrap().as_bytes()).unwrap();
        let signers: Vec<&str> =
            event["signatures"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(signers, [ONE, TWO]);
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 200, "it stands");
        scene.sees(bob, "/sync", "invite_state");
    });
}

#[test]
fn an_invite_that_the_other_server_refuses_or_does_not_hear_is_none() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "private_chat");
        let nobody = format!("@nobody:{TWO}");
        let (status, text) = invite(scene, alice, &room, &nobody);
        assert!(status == 403 && text.contains("M_FORBIDDEN"), "{status} {text}");
        assert_eq!(member(&scene.one, &room, &nobody), None);
        scene.simulation.partition(ONE, TWO, scene.simulation.now() + 600_000);
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 502);
        assert_eq!(member(&scene.one, &room, &bob.id), None);
    });
}

#[test]
fn two_users_join_a_room_elsewhere_at_once() {
    Scene::play(|scene, alice, bob| {
        let carl = scene.register(&scene.two, "carl");
        let room = scene.room(alice, "public_chat");
        let path = format!("/_matrix/client/v3/join/{room}?server_name={}", encode(ONE));
        let request = |user: &User| scene.two.request(user.request(("POST", &path), "{}"));
        let (one, other) = scene.simulation.run(join(request(bob), request(&carl)));
        for answer in [one, other] {
            assert_eq!(answer.unwrap().status(), 200);
        }
        scene.simulation.settle(60_000);
        for user in [&bob.id, &carl.id] {
            assert!(member(&scene.one, &room, user).unwrap().contains("\"join\""), "{user}");
        }
    });
}

#[test]
fn a_declined_invite_reaches_the_inviter_after_an_outage() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "private_chat");
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 200);
        scene.simulation.partition(ONE, TWO, scene.simulation.now() + 60_000);
        scene.call(bob, &format!("POST /rooms/{room}/leave"), "{}");
        assert!(member(&scene.one, &room, &bob.id).unwrap().contains("\"invite\""));
        scene.simulation.settle(600_000);
        assert!(member(&scene.one, &room, &bob.id).unwrap().contains("\"leave\""));
    });
}

#[test]
fn a_join_that_only_the_other_server_can_authorise_goes_through_it() {
    Scene::play(|scene, alice, bob| {
        let carl = scene.register(&scene.two, "carl");
        let (space, room) = (scene.room(alice, "public_chat"), scene.room(alice, "public_chat"));
        let via = encode(ONE);
        for user in [bob, &carl] {
            scene.call(user, &format!("POST /join/{space}?server_name={via}"), "{}");
        }
        scene.call(bob, &format!("POST /join/{room}?server_name={via}"), "{}");
        let levels = format!(r#"{{"invite":50,"users":{{"{}":100}}}}"#, alice.id);
        scene.put(alice, &format!("{room}/state/m.room.power_levels"), &levels);
        let allowed = percent_encoding::percent_decode_str(&space).decode_utf8().unwrap();
        let rule = format!(
            r#"{{"join_rule":"restricted","allow":[{{"type":"m.room_membership","room_id":"{allowed}"}}]}}"#
        );
        scene.put(alice, &format!("{room}/state/m.room.join_rules"), &rule);
        scene.simulation.settle(60_000);
        scene.call(&carl, &format!("POST /join/{room}?server_name={via}"), "{}");
        for server in [&scene.one, &scene.two] {
            assert!(member(server, &room, &carl.id).unwrap().contains("\"join\""));
        }
    });
}

#[test]
fn a_join_that_was_answered_is_seen_by_the_next_sync() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "public_chat");
        let first = scene.call(alice, "GET /sync", "");
        let first = parse_value(first.as_bytes()).unwrap();
        let since = first["next_batch"].as_str().unwrap();
        let path = format!("POST /join/{room}?server_name={}", encode(ONE));
        scene.call(bob, &path, "{}");
        let next = scene.call(alice, &format!("GET /sync?since={since}"), "");
        assert!(next.contains("\"state_key\":\"@bob:"), "{next}");
        let afresh = scene.call(alice, "GET /sync", "");
        assert!(afresh.contains("\"state_key\":\"@bob:"), "{afresh}");
    });
}

#[test]
fn what_was_said_between_two_stays_stands_between_them() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "public_chat");
        let join = format!("POST /join/{room}?server_name={}", encode(ONE));
        scene.call(bob, &join, "{}");
        scene.call(bob, &format!("POST /rooms/{room}/leave"), "{}");
        scene.simulation.settle(60_000);
        for word in ["first", "second", "third"] {
            scene.say(alice, &room, &format!(r#"{{"body":"{word}"}}"#));
        }
        scene.call(bob, &join, "{}");
        let page = scene.call(bob, &format!("GET /rooms/{room}/messages?dir=b&limit=50"), "");
        let page = parse_value(page.as_bytes()).unwrap();
        let line = |event: &serde_json::Value| {
            let content = &event["content"];
            let own = event["state_key"] == bob.id;
            let word = content["body"].as_str().or(content["membership"].as_str().filter(|_| own));
            word.map(str::to_owned)
        };
        let lines: Vec<_> = page["chunk"].as_array().unwrap().iter().filter_map(line).collect();
        assert_eq!(lines, ["join", "third", "second", "first", "leave", "join"]);
    });
}

#[test]
fn a_leave_that_comes_after_a_newer_invite_does_not_end_it() {
    Scene::play(|scene, alice, bob| {
        let room = scene.room(alice, "private_chat");
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 200);
        // The leave waits for the alarm; the invite after it does not.
        let body = format!(r#"{{"user_id":"{}"}}"#, bob.id);
        scene.call(alice, &format!("POST /rooms/{room}/kick"), &body);
        assert_eq!(invite(scene, alice, &room, &bob.id).0, 200);
        scene.simulation.settle(120_000);
        scene.sees(bob, "/sync", "invite_state");
        scene.call(bob, &format!("POST /join/{room}?server_name={}", encode(ONE)), "{}");
    });
}

#[test]
fn an_invite_does_not_hide_a_stay_that_ended() {
    Scene::play(|scene, alice, _| {
        let dora = scene.register(&scene.one, "dora");
        let room = scene.room(alice, "public_chat");
        scene.call(&dora, &format!("POST /join/{room}"), "{}");
        let since = |answer: &str| {
            parse_value(answer.as_bytes()).unwrap()["next_batch"].as_str().unwrap().to_owned()
        };
        let first = since(&scene.call(&dora, "GET /sync", ""));
        let body = format!(r#"{{"user_id":"{}"}}"#, dora.id);
        scene.call(alice, &format!("POST /rooms/{room}/kick"), &body);
        scene.call(alice, &format!("POST /rooms/{room}/invite"), &body);
        let sections = |since: &str| {
            let answer = scene.call(&dora, &format!("GET /sync?since={since}"), "");
            let rooms = parse_value(answer.as_bytes()).unwrap()["rooms"].clone();
            ["leave", "invite"].map(|section| rooms[section].is_object())
        };
        assert_eq!(sections(&first), [true, true]);
        let ignored = format!(r#"{{"ignored_users":{{"{}":{{}}}}}}"#, alice.id);
        let path = format!("PUT /user/{}/account_data/m.ignored_user_list", encode(&dora.id));
        scene.call(&dora, &path, &ignored);
        assert_eq!(sections(&first), [true, false]);
    });
}
