//! Do missing events come in before the event that builds on them?

use serde_json::{Value, json};
use tombolo_support::{ok, refusal};

use crate::flows::tests::Guest;

fn refuses(guest: &Guest) {
    for endpoint in ["get_missing_events", "state_ids", "event_auth", "event"] {
        guest.peer.on(endpoint, |_| refusal(403, "M_FORBIDDEN"));
    }
}

fn gives_missing(guest: &Guest, pdus: &[Value]) {
    let missing = json!({ "events": pdus });
    guest.peer.on("get_missing_events", move |_| ok(&missing));
}

#[test]
fn what_lies_between_is_asked_of_the_origin_and_stands_in_order() {
    let guest = Guest::new();
    let pdus = guest.messages(&["first", "second", "third"]);
    gives_missing(&guest, &pdus[..2]);
    let third = guest.id(&pdus[2]);
    assert_eq!(guest.transaction(&pdus[2..], &[])[&third], json!({}));
    assert_eq!(guest.heard(), ["first", "second", "third"]);
    let asked = guest.peer.asked("get_missing_events").remove(0).body;
    assert_eq!(asked["latest_events"], json!([third]));
    assert_eq!(asked["earliest_events"], json!([guest.joined]));
}

#[test]
fn of_two_events_that_wait_the_lower_one_comes_first() {
    let mut guest = Guest::new();
    let named = json!({ "displayname": "Guest", "membership": "join" });
    let who = ("m.room.member", Some(&*guest.user));
    let named = guest.event(who, &named, std::slice::from_ref(&guest.joined));
    let own = ("m.room.member".to_owned(), guest.user.clone());
    guest.state.insert(own, guest.id(&named));
    guest.gives(std::slice::from_ref(&named));
    // The upper one has the first name of both.
    let pdus = (0..).map(|n| guest.messages(&["lower", &format!("upper {n}")]));
    let pdus = pdus.into_iter().find(|pdus| guest.id(&pdus[1]) < guest.id(&pdus[0])).unwrap();
    guest.transaction(&pdus, &[]);
    assert_eq!(guest.heard().len(), 2);
    assert_eq!(guest.peer.times_asked("get_missing_events"), 0);
}

#[test]
fn while_the_origin_refuses_what_lies_between_the_event_waits_for_it() {
    let guest = Guest::new();
    let pdus = guest.messages(&["first", "second"]);
    refuses(&guest);
    assert_eq!(guest.transaction(&pdus[1..], &[])[guest.id(&pdus[1])], json!({}));
    guest.scene.pass(60_000);
    assert!(guest.heard().is_empty());
    gives_missing(&guest, &pdus[..1]);
    guest.scene.simulation.settle(3_600_000);
    assert_eq!(guest.heard(), ["first", "second"]);
}
