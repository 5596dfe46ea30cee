//! Does another server get its events in order, and again after a failure?

use serde_json::json;
use tombolo_support::{ok, refusal};

use crate::flows::tests::Guest;

/// The messages in the transactions that the peer was sent, in order.
fn sent(guest: &Guest) -> Vec<String> {
    let transactions = guest.peer.asked("send").into_iter();
    let pdus = transactions.flat_map(|asked| asked.body["pdus"].as_array().unwrap().clone());
    pdus.filter_map(|pdu| Some(pdu["content"]["body"].as_str()?.to_owned())).collect()
}

#[test]
fn a_server_in_the_room_gets_what_is_said_once_and_in_order() {
    let guest = Guest::new();
    for word in ["first", "second", "third"] {
        guest.scene.say(&guest.alice, &guest.room, word);
    }
    guest.scene.pass(10_000);
    assert_eq!(sent(&guest), ["first", "second", "third"]);
    let read = json!({});
    guest
        .scene
        .act(&guest.alice, &guest.room, &format!("receipt/m.read/{}", guest.joined), &read)
        .ok();
    guest.scene.pass(10_000);
    let last = guest.peer.asked("send").pop().unwrap().body;
    assert_eq!((&last["pdus"], &last["edus"][0]["edu_type"]), (&json!([]), &json!("m.receipt")));
}

#[test]
fn what_a_server_did_not_take_comes_again_with_what_came_since() {
    let guest = Guest::new();
    guest.peer.on("send", |_| refusal(500, "M_UNKNOWN"));
    guest.scene.say(&guest.alice, &guest.room, "first");
    guest.scene.pass(10_000);
    assert!(sent(&guest).contains(&"first".to_owned()));
    guest.scene.say(&guest.alice, &guest.room, "second");
    guest.peer.forget_asked();
    guest.peer.on("send", |_| ok(&json!({ "pdus": {} })));
    guest.scene.simulation.settle(86_400_000);
    assert_eq!(sent(&guest), ["first", "second"]);
}
