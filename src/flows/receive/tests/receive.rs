//! Does each event of a transaction get its own answer, and does the next sync show what was accepted?

use serde_json::json;

use crate::flows::tests::Guest;

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
