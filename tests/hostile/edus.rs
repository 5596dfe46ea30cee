//! What becomes of what a server says in another's name, or of a user who is not there? (EDU)

use serde_json::{Value, json};

use crate::scene::{HostileScene, OURS};

fn typing(scene: &HostileScene, user: &str) -> Value {
    json!({ "edu_type": "m.typing", "content": { "room_id": scene.room, "user_id": user, "typing": true } })
}

fn receipt(scene: &HostileScene, user: &str, event: &Value) -> Value {
    json!({ "edu_type": "m.receipt", "content": { &scene.room: { "m.read": { user: { "event_ids": [event], "data": { "ts": 5 } } } } } })
}

/// Sends EDUs with a good event, which must come in.
fn send(scene: &HostileScene, what: &str, edus: &[Value]) {
    let pdu = scene.message();
    let answer = scene.transaction(&scene.evil, std::slice::from_ref(&pdu), edus);
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    assert!(scene.sees(&scene.id(&pdu)), "{what}: the event beside it is lost");
}

#[test]
fn a_server_speaks_for_its_own_users_who_are_there() {
    let scene = HostileScene::new("11");
    let event = json!(scene.extremities()[0]);
    let strangers =
        [format!("@alice:{OURS}"), scene.third.user("mallory"), scene.evil.user("absent")];
    for user in &strangers {
        let edus = [typing(&scene, user), receipt(&scene, user, &event)];
        send(&scene, &format!("EDU1 EDU2 {user}"), &edus);
        assert_eq!(scene.count("typing"), 0, "EDU1 EDU2 {user} types");
        assert_eq!(scene.count("receipts"), 0, "EDU1 EDU2 {user} has read");
    }
    let mallory = scene.evil.user("mallory");
    send(&scene, "a good EDU", &[typing(&scene, &mallory), receipt(&scene, &mallory, &event)]);
    assert_eq!((scene.count("typing"), scene.count("receipts")), (1, 1), "a good EDU is lost");
    let ephemeral =
        scene.sync(&scene.alice, "")["rooms"]["join"][&scene.room]["ephemeral"].to_string();
    assert!(ephemeral.contains(&mallory), "{ephemeral}");
    assert!(strangers.iter().all(|user| !ephemeral.contains(user.as_str())), "{ephemeral}");
    scene.wait(120);
    assert_eq!(scene.count("typing"), 0, "a remote user types for ever");
    scene.goes_on();
}

#[test]
fn clients_hear_of_odd_user_ids_in_events_alone() {
    let scene = HostileScene::new("11");
    let odd = scene.evil.user("m\u{e9}lanie");
    let joined =
        scene.event("m\u{e9}lanie", "m.room.member", Some(&odd), &json!({ "membership": "join" }));
    scene.transaction(&scene.evil, &[joined], &[]);
    assert!(scene.state_of(&scene.room).contains_key(&("m.room.member".to_owned(), odd.clone())));
    let event = json!(scene.extremities()[0]);
    send(&scene, "EDU4", &[typing(&scene, &odd), receipt(&scene, &odd, &event)]);
    assert_eq!((scene.count("typing"), scene.count("receipts")), (0, 0), "EDU4");
    let room = scene.sync(&scene.alice, "")["rooms"]["join"][&scene.room].clone();
    assert!(!room["summary"]["m.heroes"].to_string().contains(&odd), "{room}");
    assert!(room["summary"]["m.heroes"].to_string().contains("mallory"), "{room}");
}

#[test]
fn edus_without_form_have_no_effect() {
    let scene = HostileScene::new("11");
    let mallory = scene.evil.user("mallory");
    let room = &scene.room;
    let edu = |kind: &str, content: Value| json!({ "edu_type": kind, "content": content });
    let with = |data: Value| edu("m.receipt", json!({ room: { "m.read": { &mallory: data } } }));
    let junk = [
        with(json!({ "event_ids": 5 })),
        with(json!({ "event_ids": [5] })),
        with(json!({ "event_ids": ["x"] })),
        with(json!({ "event_ids": [] })),
        with(json!({ "event_ids": [scene.extremities()[0]], "data": { "ts": "now" } })),
        with(json!({ "event_ids": [scene.extremities()[0]], "data": { "ts": -1 } })),
        with(json!([])),
        edu("m.receipt", json!({ "!x": { "m.read": {} } })),
        edu("m.receipt", json!({ room: { "m.read": [] } })),
        edu("m.receipt", json!([])),
        edu("m.typing", json!({ "room_id": room, "user_id": mallory, "typing": "yes" })),
        edu("m.typing", json!({ "room_id": 5, "user_id": mallory, "typing": true })),
        edu(
            "m.typing",
            json!({ "room_id": "!nowhere:evil.test", "user_id": mallory, "typing": true }),
        ),
        edu("m.typing", json!({ "room_id": room, "typing": true })),
        edu("m.typing", json!([])),
        edu("m.presence", json!({ "push": 5 })),
        edu("m.device_list_update", json!({ "user_id": format!("@alice:{OURS}"), "device_id": 5 })),
        edu("m.signing_key_update", json!({ "user_id": format!("@alice:{OURS}") })),
        edu(
            "m.direct_to_device",
            json!({ "sender": format!("@alice:{OURS}"), "type": "x", "messages": [] }),
        ),
        edu("no.such.type", json!({})),
        json!({ "edu_type": "m.typing" }),
        json!({ "content": {} }),
        json!({}),
        json!(5),
    ];
    send(&scene, "EDU3", &junk);
    assert_eq!((scene.count("typing"), scene.count("receipts")), (0, 0), "EDU3");
    send(&scene, "EDU3 after it", &[typing(&scene, &mallory)]);
    assert_eq!(scene.count("typing"), 1, "EDU3 a good EDU is lost");
    scene.goes_on();
}

#[test]
fn a_receipt_has_a_time_that_canonical_json_can_hold() {
    let scene = HostileScene::new("11");
    let mallory = scene.evil.user("mallory");
    for ts in [9_007_199_254_740_991_u64, 9_007_199_254_740_992, u64::MAX] {
        let data = json!({ "event_ids": [scene.extremities()[0]], "data": { "ts": ts } });
        let content = json!({ &scene.room: { "m.read": { &mallory: data } } });
        send(
            &scene,
            &format!("EDU3 {ts}"),
            &[json!({ "edu_type": "m.receipt", "content": content })],
        );
        scene.sync(&scene.alice, "");
        assert_eq!(scene.count("receipts WHERE ts = 9007199254740991"), 1, "EDU3 {ts}");
    }
    scene.goes_on();
}

#[test]
fn a_server_that_the_room_keeps_out_does_not_type() {
    let scene = HostileScene::new("11");
    let mallory = scene.evil.user("mallory");
    scene.set(
        &scene.alice,
        &scene.room,
        ("m.room.server_acl", ""),
        &json!({ "allow": ["*"], "deny": ["EVIL.*"] }),
    );
    let pdu = scene.message();
    let edus =
        [typing(&scene, &mallory), receipt(&scene, &mallory, &json!(scene.extremities()[0]))];
    let answer = scene.transaction(&scene.evil, std::slice::from_ref(&pdu), &edus);
    assert_eq!(answer.status, 200, "ACL2 {answer:?}");
    assert!(answer.body["pdus"][scene.id(&pdu)]["error"].is_string(), "ACL2 {answer:?}");
    assert!(!scene.sees(&scene.id(&pdu)), "ACL2");
    assert_eq!((scene.count("typing"), scene.count("receipts")), (0, 0), "ACL2");
    scene.set(
        &scene.alice,
        &scene.room,
        ("m.room.server_acl", ""),
        &json!({ "allow": ["*"], "deny": ["*.evil.test"] }),
    );
    scene.goes_on();
}
