//! Does the room resolve forks as other servers do? Every resolution is also compared with the one from whole states
//! (see [`crate::objects::room`]'s `resolution`).

use serde_json::{Value, json};

use super::lone_room::*;
use crate::objects::room::messages::*;

#[test]
fn an_unconflicted_member_is_no_part_of_the_conflict() {
    // In version 12 Bob yields to the creator however the conflict is drawn.
    for version in ["10", "11"] {
        let room = LoneRoom::new(version);
        room.join_bob();
        room.send("alice", "m.room.power_levels", Some(""), &levels_with_bob()).unwrap();
        let rule = |rule: &str| json!({ "join_rule": rule });
        let public =
            room.theirs("m.room.join_rules", Some(""), &rule("public"), &room.extremities());
        assert_eq!(room.outcome(&public), Outcome::Accepted);
        let invite = room.send("alice", "m.room.join_rules", Some(""), &rule("invite")).unwrap();
        // Bob had not heard of Alice's join rule.
        let said =
            room.theirs("m.room.message", None, &json!({ "body": "hi" }), &[public.event_id]);
        assert_eq!(room.outcome(&said), Outcome::Accepted);
        assert_eq!(room.state_id("m.room.join_rules", ""), Some(invite), "version {version}");
    }
}

fn levels_with_bob() -> Value {
    json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 }, "state_default": 50 })
}
