//! Is the state before an event fetched where the events below it cannot be had?

use serde_json::{Value, json};
use tombolo_support::{Reply, ok, refusal};

use crate::flows::tests::{Guest, membership};

/// Two events of the peer: a change of its user's display name, and a message on top of it. We know nothing of the
/// change. The peer gives the state before the message, but not the events between.
fn told(guest: &Guest) -> (Value, Value) {
    let topic = json!({ "displayname": "Guest", "membership": "join" });
    let member = ("m.room.member", Some(&*guest.user));
    let changed = guest.event(member, &topic, std::slice::from_ref(&guest.joined));
    let content = json!({ "msgtype": "m.text", "body": "after" });
    let between = vec![format!("${}", "b".repeat(43))];
    let message = guest.event(("m.room.message", None), &content, &between);
    let mut state = guest.state.clone();
    state.insert(("m.room.member".to_owned(), guest.user.clone()), guest.id(&changed));
    let ids: Vec<&String> = state.values().collect();
    let known: Vec<&String> = guest.state.values().collect();
    let answer = json!({ "pdu_ids": ids, "auth_chain_ids": known });
    guest.peer.on("get_missing_events", |_| ok(&json!({ "events": [] })));
    guest.peer.on("state_ids", move |_| ok(&answer));
    (changed, message)
}

fn name(guest: &Guest) -> Option<String> {
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", guest.room);
    let joined = guest.scene.get(&guest.alice, &path).ok()["joined"][&guest.user].clone();
    joined["display_name"].as_str().map(str::to_owned)
}

#[test]
fn an_event_enters_with_the_state_before_it_of_which_only_the_unknown_is_fetched() {
    let guest = Guest::new();
    let (changed, message) = told(&guest);
    guest.gives(std::slice::from_ref(&changed));
    guest.transaction(std::slice::from_ref(&message), &[]);
    assert_eq!(guest.heard(), ["after"]);
    assert_eq!(name(&guest).as_deref(), Some("Guest"));
    let asked: Vec<String> =
        guest.peer.asked("event").into_iter().flat_map(|asked| asked.arguments).collect();
    assert_eq!(asked, [guest.id(&changed)]);
}

#[test]
fn a_server_that_knows_no_such_endpoint_gives_what_it_gives_otherwise() {
    let guest = Guest::new();
    let (changed, message) = told(&guest);
    guest.gives(std::slice::from_ref(&changed));
    // Old servers, and proxies before them, say so in plain text.
    for (status, enters) in [(502, false), (404, true)] {
        let page = Reply { status, body: "<html>".into() };
        guest.peer.on("get_missing_events", move |_| page.clone());
        guest.transaction(std::slice::from_ref(&message), &[]);
        assert_eq!(!guest.heard().is_empty(), enters, "{status}");
    }
}

#[test]
fn without_that_state_the_event_does_not_enter() {
    let guest = Guest::new();
    let (_, message) = told(&guest);
    guest.gives(&[]);
    guest.peer.on("state", |_| refusal(404, "M_NOT_FOUND"));
    guest.transaction(std::slice::from_ref(&message), &[]);
    guest.scene.pass(60_000);
    assert!(guest.heard().is_empty());
    assert_eq!(name(&guest), None);
    let still = membership(&guest.scene, &guest.alice, &guest.room, &guest.user);
    assert_eq!(still.as_deref(), Some("join"));
}
