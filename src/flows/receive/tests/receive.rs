//! Does each event of a transaction get its own answer, and does the next sync show what was accepted?

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::ask;

use crate::{
    flows::tests::{Guest, PEER, room_id},
    objects::room_object,
};

#[test]
fn what_was_answered_is_in_the_next_sync() {
    let guest = Guest::new();
    let pdus = guest.messages(&["first", "second"]);
    let answer = guest.transaction(&pdus, &[]);
    assert_eq!(answer, json!({ guest.id(&pdus[0]): {}, guest.id(&pdus[1]): {} }));
    assert_eq!(guest.heard(), ["first", "second"]);
}

#[test]
fn an_event_that_does_not_hold_keeps_no_other_from_the_room() {
    let guest = Guest::new();
    let good = guest.messages(&["good"]).remove(0);
    let mut forged = guest.messages(&["forged"]).remove(0);
    forged["sender"] = json!(guest.alice.id);
    let mut elsewhere = guest.messages(&["elsewhere"]).remove(0);
    elsewhere["room_id"] = json!("!nowhere:peer.test:8448");
    let answer = guest.transaction(&[forged.clone(), elsewhere.clone(), good.clone()], &[]);
    assert_eq!(answer[guest.id(&good)], json!({}));
    assert!(answer[guest.id(&forged)]["error"].is_string(), "{answer}");
    assert!(answer.get(guest.id(&elsewhere)).is_none(), "{answer}");
    assert_eq!(guest.heard(), ["good"]);
}

#[test]
fn a_transaction_comes_again_while_a_room_cannot_be_reached_but_not_for_ever() {
    let guest = Guest::new();
    let good = guest.messages(&["good"]).remove(0);
    let lost_of = |room: &str| {
        let mut lost = guest.messages(&["lost"]).remove(0);
        lost["room_id"] = json!(room);
        lost
    };
    let [(lost, room), (another, _)] = [0, 1].map(|_| {
        let room = guest.scene.room(&guest.alice, &json!({}));
        let sql = guest.scene.server.sql(&room_object(&room_id(&room))).unwrap();
        sql.run("ALTER TABLE room RENAME TO hidden", values![]).unwrap();
        (lost_of(&room), sql)
    });
    let Guest { scene, peer, .. } = &guest;
    scene.server.evict();
    let send = |lost: &Value| {
        let place = ("PUT", "/_matrix/federation/v1/send/one");
        let body = json!({ "origin": PEER, "origin_server_ts": 1, "pdus": [lost, good] });
        let request = peer.request(scene.server.name(), place, Some(&body));
        scene.simulation.run(ask(&scene.server, request)).unwrap()
    };
    assert_eq!(send(&lost).status, 503);
    // The other room has its event.
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1", guest.room);
    let last = scene.get(&guest.alice, &path).ok()["chunk"][0].clone();
    assert_eq!(last["content"]["body"], "good");
    scene.pass(300_000);
    assert_eq!(send(&lost).status, 503);
    scene.pass(300_000);
    send(&lost).ok();
    // Once a transaction succeeds, that is forgotten.
    room.run("ALTER TABLE hidden RENAME TO room", values![]).unwrap();
    send(&lost).ok();
    assert_eq!(send(&another).status, 503);
}
