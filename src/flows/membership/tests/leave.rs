//! Is a user rid of a room or an invite at once, even if other servers hear of it later?

use serde_json::json;
use tombolo_support::{Pair, text};

use crate::flows::tests::{meet, membership, two_servers};

/// A room to which alice has invited bob.
fn inviting(two: &Pair) -> String {
    two.scene.room(&two.alice, &json!({ "invite": [two.bob.id] }))
}

fn is_invited(two: &Pair, room: &str) -> bool {
    two.scene.sync(&two.bob, "")["rooms"]["invite"][room].is_object()
}

fn leave(two: &Pair, room: &str) {
    two.scene.act(&two.bob, room, "leave", &json!({})).ok();
}

#[test]
fn an_invite_that_is_declined_is_gone_on_both_servers() {
    let two = two_servers();
    let room = inviting(&two);
    assert!(is_invited(&two, &room));
    leave(&two, &room);
    assert!(!is_invited(&two, &room));
    let bob = membership(&two.scene, &two.alice, &room, &two.bob.id);
    assert_eq!(bob.as_deref(), Some("leave"));
}

#[test]
fn who_declines_is_shown_their_own_leave() {
    let two = two_servers();
    let room = inviting(&two);
    let since = text(&two.scene.sync(&two.bob, "")["next_batch"]);
    two.scene.act(&two.bob, &room, "leave", &json!({ "reason": "no time" })).ok();
    let news = two.scene.sync(&two.bob, &format!("since={since}"));
    let timeline = &news["rooms"]["leave"][&room]["timeline"]["events"];
    let [leave] = timeline.as_array().unwrap().as_slice() else { panic!("{news}") };
    assert_eq!(leave["content"], json!({ "membership": "leave", "reason": "no time" }));
    assert_eq!([&leave["sender"], &leave["state_key"]], [&two.bob.id, &two.bob.id]);
    assert!(text(&leave["event_id"]).starts_with('$'));
}

#[test]
fn a_user_is_rid_of_an_invite_before_its_server_hears_of_it() {
    let two = two_servers();
    let room = inviting(&two);
    two.cut(600_000);
    leave(&two, &room);
    assert!(!is_invited(&two, &room));
    let bob = || membership(&two.scene, &two.alice, &room, &two.bob.id);
    assert_eq!(bob().as_deref(), Some("invite"));
    two.scene.simulation.settle(86_400_000);
    assert_eq!(bob().as_deref(), Some("leave"));
}

#[test]
fn who_leaves_a_room_that_is_here_leaves_it_everywhere() {
    let two = two_servers();
    let room = meet(&two);
    leave(&two, &room);
    two.scene.simulation.settle(60_000);
    let bob = membership(&two.scene, &two.alice, &room, &two.bob.id);
    assert_eq!(bob.as_deref(), Some("leave"));
    // Leaving twice is no error; leaving a room that the user was never in is one.
    leave(&two, &room);
    let private = two.scene.room(&two.alice, &json!({}));
    two.scene.act(&two.bob, &private, "leave", &json!({})).refused(403, "M_FORBIDDEN");
}

#[test]
fn who_is_invited_no_more_is_shown_by_whom_and_why() {
    let two = two_servers();
    let room = inviting(&two);
    assert!(is_invited(&two, &room));
    let since = two.scene.sync(&two.bob, "")["next_batch"].as_str().unwrap().to_owned();
    let kick = json!({ "user_id": two.bob.id, "reason": "a mistake" });
    two.scene.act(&two.alice, &room, "kick", &kick).ok();
    two.scene.simulation.settle(60_000);
    let left = json!({ "include_leave": true });
    let shown = |filter: &serde_json::Value, since: &str| {
        let sync = two.scene.filtered(&two.bob, &json!({ "room": filter }), since);
        sync["rooms"]["leave"][&room]["timeline"]["events"].clone()
    };
    for since in ["", &format!("since={since}")] {
        let events = shown(&left, since);
        let [event] = &events.as_array().unwrap()[..] else { panic!("{events}") };
        assert_eq!(
            (&event["sender"], &event["state_key"]),
            (&json!(two.alice.id), &json!(two.bob.id))
        );
        assert_eq!(event["content"], json!({ "membership": "leave", "reason": "a mistake" }));
        assert!(event["event_id"].is_string());
    }
    for timeline in
        [json!({ "types": [] }), json!({ "limit": 0 }), json!({ "not_senders": [two.alice.id] })]
    {
        let filter = json!({ "include_leave": true, "timeline": timeline });
        assert_eq!(shown(&filter, ""), json!([]));
    }
}
