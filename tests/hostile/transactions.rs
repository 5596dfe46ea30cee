//! What becomes of a transaction as a whole? (TXN and ROOM1)

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo::objects::room::RoomClass;
use tombolo_platform::Address;
use tombolo_support::encode;

use crate::scene::{HostileScene, OURS};

fn messages(scene: &HostileScene, count: usize) -> Vec<Value> {
    (0..count).map(|_| scene.message()).collect()
}

fn edus(count: usize) -> Vec<Value> {
    (0..count).map(|_| json!({ "edu_type": "org.example.nothing", "content": {} })).collect()
}

#[test]
fn a_transaction_has_its_limits() {
    let scene = HostileScene::new("11");
    let events = scene.count("events");
    let many = messages(&scene, 51);
    assert_eq!(scene.transaction(&scene.evil, &many, &[]).status, 400, "TXN1 51 PDUs");
    let one = messages(&scene, 1);
    assert_eq!(scene.transaction(&scene.evil, &one, &edus(101)).status, 400, "TXN1 101 EDUs");
    assert_eq!(scene.count("events"), events, "TXN1 something came in");
    let answer = scene.transaction(&scene.evil, &many[..50], &edus(100));
    assert_eq!(answer.status, 200, "TXN1 50 and 100: {answer:?}");
    for pdu in &many[..50] {
        assert!(scene.sees(&scene.id(pdu)), "TXN1 one of 50 is lost");
    }
    let padding = Bytes::from(format!("{{\"pdus\":[],\"x\":\"{}\"}}", "x".repeat(60 << 20)));
    let line = "PUT /_matrix/federation/v1/send/large";
    let answer = scene.raw(
        "X-Matrix origin=\"evil.test:8448\",key=\"ed25519:k\",sig=\"AAAA\"",
        line,
        padding,
    );
    assert_eq!(answer.status, 413, "TXN4 {answer:?}");
    scene.goes_on();
}

#[test]
fn an_event_has_one_effect_however_often_it_comes() {
    let scene = HostileScene::new("11");
    let pdu = scene.message();
    let body = json!({ "pdus": [pdu, pdu], "edus": [] });
    let line = "PUT /_matrix/federation/v1/send/same";
    for round in 0..3 {
        let answer = scene.signed(&scene.evil, line, Some(&body));
        assert_eq!(answer.body["pdus"][scene.id(&pdu)], json!({}), "TXN2 {answer:?}");
        if round == 1 {
            scene.server.crash();
        }
    }
    let another = json!({ "pdus": [scene.message()], "edus": [] });
    assert_eq!(scene.signed(&scene.evil, line, Some(&another)).status, 200);
    assert!(
        scene.sees(&scene.id(&another["pdus"][0])),
        "TXN2 another body under the same ID is lost"
    );
    let shown = scene.timeline(&scene.room);
    let copies = shown.iter().filter(|event| event["event_id"] == json!(scene.id(&pdu))).count();
    assert_eq!(copies, 1, "TXN2");
    scene.goes_on();
}

#[test]
fn the_signature_says_who_sends() {
    let scene = HostileScene::new("11");
    for origin in [json!(OURS), json!("third.test:8448"), json!(5), json!(null)] {
        let pdu = scene.message();
        let body = json!({ "origin": origin, "pdus": [pdu], "edus": [] });
        assert_eq!(scene.send_body(&scene.evil, &body).status, 200, "TXN3 {origin}");
        assert!(scene.sees(&scene.id(&pdu)), "TXN3 {origin}");
    }
    scene.goes_on();
}

#[test]
fn an_unknown_room_stays_unknown() {
    let scene = HostileScene::new("11");
    let objects = scene.server.objects().len();
    for room in ["!nowhere:evil.test", &format!("!nowhere:{OURS}"), "!nowhere"] {
        let mut pdu = scene.message();
        pdu["room_id"] = json!(room);
        let pdu = scene.evil.seal(scene.version, &pdu);
        scene.dropped(&format!("ROOM1 {room}"), &pdu);
        assert!(scene.server.sql(&Address::<RoomClass>::new(room)).is_none(), "ROOM1 {room}");
    }
    scene.settle();
    let rooms = scene.server.objects().iter().filter(|address| address.class == "room").count();
    assert_eq!(rooms, 1, "ROOM1 of {objects} objects");
    scene.goes_on();
}

#[test]
fn a_room_that_the_sender_is_not_in_is_left_alone() {
    for version in ["11", "12"] {
        let mut scene = HostileScene::new(version);
        let public = scene.room.clone();
        let private = scene.create_room("private_chat");
        let secret = scene.say(&scene.alice, &private, "a secret");
        let (here, there) = (scene.state(), scene.state_of(&private));
        scene.room = private.clone();
        let mut crafted = vec![
            scene.message(),
            scene.event("mallory", "m.room.name", Some(""), &json!({ "name": "mine" })),
        ];
        let mallory = scene.evil.user("mallory");
        crafted.push(scene.event(
            "mallory",
            "m.room.member",
            Some(&mallory),
            &json!({ "membership": "join" }),
        ));
        scene.room = public.clone();
        let answer = scene.transaction(&scene.evil, &crafted, &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        for pdu in &crafted {
            assert!(answer.body["pdus"][scene.id(pdu)]["error"].is_string(), "{answer:?}");
        }
        assert_eq!(scene.state_of(&private), there);
        let shown = scene.timeline(&private);
        assert!(!shown.iter().any(|event| event["sender"] == json!(mallory)), "a stranger speaks");
        let mut moved = scene.message();
        moved["prev_events"] = json!([secret]);
        scene.transaction(&scene.evil, &[scene.evil.seal(scene.version, &moved)], &[]);
        scene.simulation.settle(86_400_000);
        assert!(scene.held(&secret).is_none(), "DAG2 an event crossed rooms");
        assert_eq!(scene.state(), here);
        assert!(!answer.body.to_string().contains("a secret"));
        scene.goes_on();
    }
}

#[test]
fn nobody_is_brought_back_into_a_room_that_was_left() {
    let scene = HostileScene::new("11");
    let alice = format!("@alice:{OURS}");
    let join =
        scene.held(&scene.state()[&("m.room.member".to_owned(), alice.clone())]).unwrap().pdu;
    let after = scene.message();
    let line = format!("POST /_matrix/client/v3/rooms/{}/leave", encode(&scene.room));
    assert_eq!(scene.call(Some(&scene.alice), &line, &json!({})).status, 200);
    let events = scene.count("events");
    let answer = scene.transaction(&scene.evil, &[after.clone(), join, scene.message()], &[]);
    assert_eq!(answer.status, 200, "ROOM1 {answer:?}");
    assert!(answer.body["pdus"][scene.id(&after)]["error"].is_string(), "ROOM1 {answer:?}");
    scene.settle();
    assert_eq!(scene.count("events"), events, "ROOM1 something came in");
    assert_eq!(scene.membership(&scene.room, &alice), "leave", "ROOM1");
    assert!(scene.sync(&scene.alice, "")["rooms"]["join"].get(&scene.room).is_none(), "ROOM1");
}
