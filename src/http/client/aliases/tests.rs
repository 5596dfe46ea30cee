//! Which power does it take to set an alias?

use ruma::user_id;
use serde_json::{Value, json};

use super::rights::may_set_alias;

fn create(version: &str) -> Value {
    json!({
        "sender": "@alice:example.org",
        "content": { "room_version": version, "additional_creators": ["@carol:example.org"] },
    })
}

#[test]
fn power_decides() {
    let levels = json!({ "users": { "@bob:example.org": 50 } });
    assert!(may_set_alias(user_id!("@bob:example.org"), &create("11"), &levels));
    assert!(!may_set_alias(user_id!("@dave:example.org"), &create("11"), &levels));
}

#[test]
fn the_level_of_the_event_comes_before_the_default() {
    let levels = json!({ "events": { "m.room.canonical_alias": 60 }, "users_default": 55, "state_default": 50 });
    assert!(!may_set_alias(user_id!("@bob:example.org"), &create("11"), &levels));
}

#[test]
fn without_levels_only_the_creator_may() {
    assert!(may_set_alias(user_id!("@alice:example.org"), &create("11"), &Value::Null));
    assert!(!may_set_alias(user_id!("@bob:example.org"), &create("11"), &Value::Null));
}

#[test]
fn creators_of_newer_rooms_always_may() {
    let levels = json!({ "users": {}, "state_default": 100 });
    assert!(may_set_alias(user_id!("@alice:example.org"), &create("12"), &levels));
    assert!(may_set_alias(user_id!("@carol:example.org"), &create("12"), &levels));
    assert!(!may_set_alias(user_id!("@carol:example.org"), &create("11"), &levels));
}
