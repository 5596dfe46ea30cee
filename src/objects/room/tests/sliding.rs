//! What does a sliding sync show of a room whose past has changed?

use serde_json::json;

use super::lone_room::*;
use crate::objects::room::messages::*;

#[test]
fn who_was_never_there_by_a_resolution_and_is_banned_is_shown_the_ban() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let levels = json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 } });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    let before = room.extremities();
    let carol = "@carol:ours.test";
    room.join("carol");
    let seen = room.ask(Undelivered {}).unwrap().to;
    // Bob did not know of her when he closed the room.
    let rule = json!({ "join_rule": "invite" });
    let closed = room.theirs("m.room.join_rules", Some(""), &rule, &before);
    assert_eq!(room.outcome(&closed), Outcome::Accepted);
    let said = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &room.extremities());
    assert_eq!(room.outcome(&said), Outcome::Accepted);
    assert_eq!(room.state_id("m.room.member", carol), None);
    let ban = json!({ "membership": "ban" });
    let ban = room.send("alice", "m.room.member", Some(carol), &ban).unwrap().to_string();
    let everything = RequiredState { include: vec![StateElement::default()], ..<_>::default() };
    let asked = SlidingWindow {
        user: carol.try_into().unwrap(),
        device: "DEVICE".to_owned(),
        from: seen,
        to: room.ask(Undelivered {}).unwrap().to,
        live_from: Some(seen),
        limit: 10,
        expanded: false,
        required: vec![everything.clone()],
        required_before: vec![everything],
        receipts_from: None,
        ignored: <_>::default(),
    };
    let shown = room.ask(asked).unwrap();
    assert!(ids(&shown.state).contains(&ban), "{shown:?}");
    assert!(!shown.removed.iter().any(|(_, state_key)| state_key == carol), "{shown:?}");
}
