//! Does a knock reach a room that is not live here?

use serde_json::json;
use tombolo_support::Pair;

use crate::flows::tests::{membership, two_servers};

/// A room of alice that accepts knocks.
fn closed_room(two: &Pair) -> String {
    let rule = json!({ "type": "m.room.join_rules", "content": { "join_rule": "knock" } });
    two.scene.room(&two.alice, &json!({ "name": "Closed", "initial_state": [rule] }))
}

#[test]
fn a_knock_stands_in_the_room_and_shows_what_the_room_is() {
    let two = two_servers();
    let room = closed_room(&two);
    two.through(&two.bob, "knock", &room).ok();
    let knocks = membership(&two.scene, &two.alice, &room, &two.bob.id);
    assert_eq!(knocks.as_deref(), Some("knock"));
    let shown = &two.scene.sync(&two.bob, "")["rooms"]["knock"][&room]["knock_state"]["events"];
    let mut shown = shown.as_array().unwrap().iter();
    assert!(shown.any(|event| event["content"]["name"] == "Closed"));
}

#[test]
fn a_knock_that_no_server_takes_leaves_nothing() {
    let two = two_servers();
    let room = closed_room(&two);
    let body = json!({ "join_rule": "invite" });
    two.scene.put(&two.alice, &room, "state/m.room.join_rules", &body).ok();
    two.through(&two.bob, "knock", &room).refused(403, "M_FORBIDDEN");
    two.cut(600_000);
    two.through(&two.bob, "knock", &room).refused(502, "M_UNKNOWN");
    assert!(two.scene.sync(&two.bob, "")["rooms"]["knock"][&room].is_null());
    assert_eq!(membership(&two.scene, &two.alice, &room, &two.bob.id), None);
}
