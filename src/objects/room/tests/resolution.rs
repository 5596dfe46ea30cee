//! Does the room resolve forks as other servers do? Every resolution is also compared with the one from whole states
//! (see [`crate::objects::room`]'s `resolution`).

use serde_json::{Value, json};

use super::scene::*;
use crate::objects::room::messages::*;

#[test]
fn an_unconflicted_member_is_no_part_of_the_conflict() {
    // In version 12 Bob yields to the creator however the conflict is drawn.
    for version in ["10", "11"] {
        let scene = Scene::new(version);
        scene.join_bob();
        scene.send("alice", "m.room.power_levels", Some(""), &levels_with_bob()).unwrap();
        let rule = |rule: &str| json!({ "join_rule": rule });
        let public =
            scene.theirs("m.room.join_rules", Some(""), &rule("public"), &scene.extremities());
        assert_eq!(scene.outcome(&public), Outcome::Accepted);
        let invite = scene.send("alice", "m.room.join_rules", Some(""), &rule("invite")).unwrap();
        // Bob had not heard of Alice's join rule.
        let said =
            scene.theirs("m.room.message", None, &json!({ "body": "hi" }), &[public.event_id]);
        assert_eq!(scene.outcome(&said), Outcome::Accepted);
        assert_eq!(scene.state_id("m.room.join_rules", ""), Some(invite), "version {version}");
    }
}

fn levels_with_bob() -> Value {
    json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 }, "state_default": 50 })
}
