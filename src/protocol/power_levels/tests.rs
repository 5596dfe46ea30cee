//! Which levels hold, with the event and without it?

use serde_json::{Value, json};

use super::{Level, PowerLevels, check_content};
use crate::scene::{Room, object, user};

fn levels(version_id: &str, content: Option<Value>) -> PowerLevels {
    let (mut room, mut state) = Room::new(version_id);
    let create = room.at(&state, "m.room.create", "").unwrap();
    let levels =
        content.map(|content| room.send(&mut state, "alice", ("m.room.power_levels", ""), content));
    PowerLevels::of(room.version, &create, levels.as_deref())
}

#[test]
fn without_the_event_the_defaults_hold() {
    let levels = levels("11", None);
    assert_eq!(levels.user(&user("alice")), Level::Finite(100));
    assert_eq!(levels.user(&user("bob")), Level::Finite(0));
    assert_eq!((levels.send("x", false), levels.send("x", true)), (0, 50));
    assert_eq!((levels.invite(), levels.kick(), levels.ban(), levels.redact()), (0, 50, 50, 50));
}

#[test]
fn what_the_event_says_holds() {
    let levels = levels(
        "11",
        Some(json!({
            "users": { "@bob:example.org": 7 }, "users_default": 3, "events": { "x": 9 },
            "events_default": 1, "state_default": 2, "invite": 4, "kick": 5, "ban": 6, "redact": 8,
        })),
    );
    assert_eq!(levels.user(&user("alice")), Level::Finite(3));
    assert_eq!(levels.user(&user("bob")), Level::Finite(7));
    assert_eq!(
        (levels.send("x", true), levels.send("y", true), levels.send("y", false)),
        (9, 2, 1)
    );
    assert_eq!((levels.invite(), levels.kick(), levels.ban(), levels.redact()), (4, 5, 6, 8));
    assert!(levels.suffices(&user("bob"), 7) && !levels.suffices(&user("bob"), 8));
}

#[test]
fn an_empty_event_takes_the_creators_power() {
    assert_eq!(levels("11", Some(json!({}))).user(&user("alice")), Level::Finite(0));
}

#[test]
fn creators_of_version_12_have_infinite_power() {
    let levels = levels("12", Some(json!({ "users_default": 100 })));
    assert_eq!(levels.user(&user("alice")), Level::Infinite);
    assert!(levels.suffices(&user("alice"), i64::MAX));
    assert_eq!(levels.user(&user("bob")), Level::Finite(100));
    assert!(Level::Infinite > Level::Finite(i64::MAX));
}

#[test]
fn texts_and_booleans_are_levels_up_to_version_9() {
    let content = json!({ "users": { "@bob:example.org": " +7 " }, "ban": true, "kick": "x" });
    let old = levels("9", Some(content.clone()));
    assert_eq!((old.user(&user("bob")), old.ban(), old.kick()), (Level::Finite(7), 1, 50));
    let new = levels("10", Some(content));
    assert_eq!((new.user(&user("bob")), new.ban()), (Level::Finite(0), 50));
}

#[test]
fn what_is_no_level_counts_as_absent() {
    for version in ["6", "11"] {
        for room in [json!(5), json!(null), json!({ "room": null }), json!({ "room": [50] })] {
            let levels = levels(version, Some(json!({ "notifications": room, "events": 1 })));
            assert_eq!(levels.notification("room"), 50, "{room}");
        }
    }
}

#[test]
fn what_is_deep_beside_them_takes_no_levels_away() {
    let deep = format!("{{\"deep\":{}{},\"ban\":6}}", "[".repeat(400), "]".repeat(400));
    let content = crate::json::parse_value(deep.as_bytes()).unwrap();
    assert_eq!(levels("11", Some(content)).ban(), 6);
}

#[test]
fn what_users_send_as_levels_are_integers() {
    let checked = |content: Value| check_content(&object(content));
    checked(json!({ "ban": 50, "users": { "@bob:example.org": 0 }, "events": {}, "other": "x" }))
        .unwrap();
    for malformed in [
        json!({ "users": [] }),
        json!({ "users": null }),
        json!({ "users": { "bob": 1 } }),
        json!({ "users": { "@bob:example.org": "1" } }),
        json!({ "events": { "x": true } }),
        json!({ "notifications": { "room": "50" } }),
        json!({ "kick": "50" }),
        json!({ "users_default": null }),
    ] {
        assert!(checked(malformed.clone()).is_err(), "{malformed}");
    }
}

#[test]
fn a_level_of_a_creator_with_infinite_power_is_found() {
    let content = object(json!({ "users": { "@alice:example.org": 100, "@bob:example.org": 1 } }));
    assert_eq!(levels("11", None).creator_in(&content), None);
    assert_eq!(levels("12", None).creator_in(&content), Some("@alice:example.org"));
    let other = object(json!({ "users": { "@bob:example.org": 1 } }));
    assert_eq!(levels("12", None).creator_in(&other), None);
}
