//! Can a user who joins later page through older history?

use serde_json::{Value, json};
use tombolo_support::{Pair, ok};

use crate::flows::tests::{Guest, PEER, two_servers};

/// The messages that bob reads by `/messages`, newest first.
fn read(two: &Pair, room: &str) -> Vec<String> {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
    let page = two.scene.get(&two.bob, &path).ok();
    let bodies = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event: &Value| Some(event["content"]["body"].as_str()?.to_owned()));
    bodies.collect()
}

/// A room with messages of alice from before bob joined.
fn with_history(two: &Pair) -> String {
    let room = two.scene.room(&two.alice, &json!({ "preset": "public_chat" }));
    for word in ["first", "second"] {
        two.scene.say(&two.alice, &room, word);
    }
    two.through(&two.bob, "join", &room).ok();
    two.scene.simulation.settle(60_000);
    room
}

#[test]
fn a_page_has_what_was_said_before_the_user_came() {
    let two = two_servers();
    let room = with_history(&two);
    assert_eq!(read(&two, &room), ["second", "first"]);
}

#[test]
fn where_one_server_is_silent_another_gives_the_history() {
    let two = two_servers();
    let carol = two.scene.register_on(&two.scene.another("third.test:8448", 9), "carol");
    let room = two.scene.room(&two.alice, &json!({ "preset": "public_chat" }));
    two.through(&carol, "join", &room).ok();
    for word in ["first", "second"] {
        two.scene.say(&two.alice, &room, word);
    }
    two.scene.simulation.settle(60_000);
    two.through(&two.bob, "join", &room).ok();
    two.scene.simulation.settle(60_000);
    two.cut(600_000);
    assert_eq!(read(&two, &room), ["second", "first"]);
}

#[test]
fn while_no_server_gives_the_history_the_page_ends_and_the_next_asks_again() {
    let two = two_servers();
    let room = with_history(&two);
    two.cut(600_000);
    assert!(read(&two, &room).is_empty());
    two.scene.simulation.heal();
    two.scene.pass(3_600_000);
    assert_eq!(read(&two, &room), ["second", "first"]);
}

/// A room in which two gaps follow on each other: what is below the first one nobody has, what is below the second one
/// the guest's server gives. Answers the last event as well.
fn with_two_gaps() -> (Guest, String) {
    let guest = Guest::new();
    let pdus = guest.messages(&["given", "one", "lost", "two"]);
    let state = guest.state.values().cloned().collect::<Vec<_>>();
    let answer = json!({ "pdu_ids": state, "auth_chain_ids": state });
    guest.peer.on("state_ids", move |_| ok(&answer));
    guest.peer.on("get_missing_events", |_| ok(&json!({ "events": [] })));
    for above in [&pdus[1], &pdus[3]] {
        assert_eq!(guest.transaction(std::slice::from_ref(above), &[])[guest.id(above)], json!({}));
    }
    let (given, id) = (pdus[0].clone(), guest.id(&pdus[0]));
    guest.peer.on("backfill", move |asked| {
        let pdus = if asked.query.contains(&id[1..]) { vec![&given] } else { Vec::new() };
        ok(&json!({ "origin": PEER, "origin_server_ts": 1, "pdus": pdus }))
    });
    let last = guest.id(&pdus[3]);
    (guest, last)
}

/// What the events of this list say.
fn said(events: &Value) -> Vec<String> {
    let events = events.as_array().into_iter().flatten();
    events.filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
}

/// What alice reads page by page, from a token on if there is one, newest first.
fn pages(guest: &Guest, from: Option<&str>) -> Vec<String> {
    let mut from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let mut read = Vec::new();
    for _ in 0..10 {
        let path =
            format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100{from}", guest.room);
        let page = guest.scene.get(&guest.alice, &path).ok();
        read.extend(said(&page["chunk"]));
        let Some(end) = page["end"].as_str() else { break };
        from = format!("&from={end}");
    }
    read
}

#[test]
fn a_gap_that_no_server_fills_hides_none_below_it() {
    let (guest, _) = with_two_gaps();
    assert_eq!(pages(&guest, None), ["two", "one", "given"]);
}

#[test]
fn nor_does_it_around_an_event() {
    let (guest, last) = with_two_gaps();
    let path = format!("/_matrix/client/v3/rooms/{}/context/{last}?limit=100", guest.room);
    let found = guest.scene.get(&guest.alice, &path).ok();
    assert_eq!(said(&found["events_before"]), ["one"]);
    assert_eq!(pages(&guest, found["start"].as_str()), ["given"]);
}
