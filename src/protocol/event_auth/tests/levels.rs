//! What do the rules say about power levels?

use serde_json::{Value, json};

use super::{Event, allowed, judges, member, message};
use crate::{
    scene::{Room, user},
    state_resolution::StateMap,
};

#[test]
fn booleans_are_levels_up_to_version_9() {
    for (version_id, expected) in [("6", true), ("9", true), ("10", false)] {
        let (mut room, state) = Room::new(version_id);
        let levels = json!({ "users": { "@alice:example.org": 100, "@b:c": true }, "ban": false });
        let event = Event(("m.room.power_levels", Some("")), levels);
        assert_eq!(allowed(&mut room, &state, "alice", event), expected, "{version_id}");
    }
}

#[test]
fn a_boolean_level_in_the_state_counts_as_one() {
    let (mut room, mut state) = Room::new("9");
    let levels = json!({ "users": { "@alice:example.org": true }, "events_default": 1 });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), levels);
    assert!(allowed(&mut room, &state, "alice", message()));
    assert!(!allowed(&mut room, &state, "alice", Event(("x", Some("")), json!({}))));
}

#[test]
fn string_levels_end_with_version_9() {
    for (version_id, expected) in [("9", true), ("10", false)] {
        let (mut room, state) = Room::new(version_id);
        let levels = json!({ "users": { "@alice:example.org": "100" } });
        let event = Event(("m.room.power_levels", Some("")), levels);
        assert_eq!(allowed(&mut room, &state, "alice", event), expected);
    }
}

#[test]
fn power_levels_may_hold_deep_things_that_are_no_levels() {
    let (mut room, mut state) = Room::new("11");
    let deep = (0..300).fold(json!(1), |inner, _| json!([inner]));
    let levels = json!({ "users": { "@alice:example.org": 100 }, "other": deep });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), levels.clone());
    assert!(allowed(&mut room, &state, "alice", message()));
    let event = Event(("m.room.power_levels", Some("")), levels);
    assert!(allowed(&mut room, &state, "alice", event));
    let deep = (0..300).fold(json!(1), |inner, _| json!([inner]));
    let bad = Event(("m.room.power_levels", Some("")), json!({ "users": { "@a:b": deep } }));
    assert!(!allowed(&mut room, &state, "alice", bad));
}

#[test]
fn large_power_levels_say_the_same_as_small_ones() {
    for many in [0, 500] {
        let (mut room, mut state) = Room::new("11");
        room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
        for name in ["bob", "mod"] {
            room.join(&mut state, name);
        }
        let mut users: serde_json::Map<_, _> =
            (0..many).map(|number| (format!("@u{number}:example.org"), json!(1))).collect();
        users.insert(user("alice").to_string(), json!(100));
        users.insert(user("mod").to_string(), json!(50));
        let levels = json!({ "users": users, "events": { "x": 60, "y": 10 }, "users_default": 5 });
        room.send(&mut state, "alice", ("m.room.power_levels", ""), levels);
        for (sender, kind, expected) in [
            ("alice", "x", true),
            ("mod", "x", false),
            ("mod", "y", true),
            ("bob", "y", false),
            ("mod", "other", true),
            ("bob", "other", true),
        ] {
            let event = Event((kind, None), json!({}));
            assert_eq!(allowed(&mut room, &state, sender, event), expected, "{sender} {kind}");
        }
        let leave = || json!({ "membership": "leave" });
        judges(&mut room, &state, "mod", member("bob", leave()), true);
        judges(&mut room, &state, "mod", member("alice", leave()), false);
        judges(&mut room, &state, "bob", member("mod", leave()), false);
        judges(&mut room, &state, "mod", member("mod", leave()), true);
    }
}

#[test]
fn malformed_power_levels_are_refused() {
    for content in [
        json!({ "users": [] }),
        json!({ "users": { "evil": 1 } }),
        json!({ "users": { "@a:b": null } }),
        json!({ "users": { "@a:b": [1] } }),
        json!({ "events": "x" }),
        json!({ "events": { "a": "x" } }),
        json!({ "notifications": { "room": [] } }),
        json!({ "ban": {} }),
        json!({ "ban": "50" }),
    ] {
        let (mut room, state) = Room::new("11");
        let event = Event(("m.room.power_levels", Some("")), content.clone());
        assert!(!allowed(&mut room, &state, "alice", event), "{content}");
    }
}

#[test]
fn nobody_raises_or_touches_power_above_their_own() {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.join(&mut state, "bob");
    let (alice, bob) = (user("alice").to_string(), user("bob").to_string());
    let levels = |alice_level: i64, bob_level: i64, more: (&str, i64)| json!({ "users": { &alice: alice_level, &bob: bob_level }, more.0: more.1 });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), levels(100, 50, ("ban", 50)));
    for (content, expected) in [
        (levels(100, 50, ("ban", 50)), true),
        (levels(100, 49, ("ban", 50)), true),
        (levels(100, 51, ("ban", 50)), false),
        (levels(99, 50, ("ban", 50)), false),
        (levels(100, 50, ("ban", 51)), false),
        (levels(100, 50, ("ban", 49)), true),
        (levels(100, 50, ("kick", 51)), false),
    ] {
        let event = Event(("m.room.power_levels", Some("")), content.clone());
        assert_eq!(allowed(&mut room, &state, "bob", event), expected, "{content}");
    }
}

#[test]
fn creators_of_version_12_stand_above_every_number_and_in_no_list() {
    let (mut room, mut state) = Room::new("12");
    let listed = json!({ "users": { "@alice:example.org": 100 } });
    let event = Event(("m.room.power_levels", Some("")), listed);
    assert!(!allowed(&mut room, &state, "alice", event));
    let highest = json!({ "events": { "x": 9_007_199_254_740_991_i64 } });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), highest);
    assert!(allowed(&mut room, &state, "alice", Event(("x", None), json!({}))));
}

#[test]
fn without_power_levels_the_creator_has_100_and_state_needs_nothing_of_others() {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.join(&mut state, "bob");
    assert!(allowed(&mut room, &state, "bob", message()));
    let kick = member("alice", json!({ "membership": "leave" }));
    judges(&mut room, &state, "bob", kick, false);
    let kick = member("bob", json!({ "membership": "leave" }));
    judges(&mut room, &state, "alice", kick, true);
}

fn levels_event(content: Value) -> Event<'static> {
    Event(("m.room.power_levels", Some("")), content)
}

/// A public room in which Alice has 100 and Bob has 50, by these levels and more.
fn room_of_two(more: Value) -> (Room, StateMap, Value) {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.join(&mut state, "bob");
    let mut levels = more;
    levels["users"] = json!({ user("alice"): 100, user("bob"): 50 });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), levels.clone());
    (room, state, levels)
}

#[test]
fn a_level_that_comes_or_goes_is_not_compared_with_its_default() {
    let (mut room, state, levels) = room_of_two(json!({ "kick": 10, "redact": 60 }));
    for (field, value, expected) in [
        ("kick", Value::Null, true),
        ("redact", Value::Null, false),
        ("ban", json!(50), true),
        ("ban", json!(51), false),
        ("users_default", json!(50), true),
        ("invite", json!(-5), true),
    ] {
        let mut content = levels.clone();
        match value.is_null() {
            true => drop(content.as_object_mut().unwrap().remove(field)),
            false => content[field] = value,
        }
        assert_eq!(allowed(&mut room, &state, "bob", levels_event(content)), expected, "{field}");
    }
    // With 10 of power, bringing in `ban` at 5 is fine although its default is 50.
    let low = json!({ "users": { user("alice"): 100, user("bob"): 10 }, "events": { "m.room.power_levels": 10 } });
    let mut branch = state.clone();
    room.send(&mut branch, "alice", ("m.room.power_levels", ""), low.clone());
    let mut content = low;
    content["ban"] = json!(5);
    assert!(allowed(&mut room, &branch, "bob", levels_event(content)));
}

#[test]
fn levels_under_another_state_key_change_nothing_and_need_only_their_form() {
    let (mut room, state, _) = room_of_two(json!({}));
    let high = json!({ "users": { user("bob"): 1000 }, "ban": 1000 });
    for (key, content, expected) in [
        (Some("x"), high.clone(), true),
        (Some("x"), json!({ "users": { "evil": 1 } }), false),
        (Some("x"), json!({ "ban": "50" }), false),
        (Some(""), high.clone(), false),
        (None, high, false),
    ] {
        let event = Event(("m.room.power_levels", key), content.clone());
        assert_eq!(allowed(&mut room, &state, "bob", event), expected, "{key:?} {content}");
    }
    let (mut room, mut state) = Room::new("12");
    room.send(&mut state, "alice", ("m.room.power_levels", ""), json!({}));
    let listed = json!({ "users": { user("alice"): 1 } });
    let event = Event(("m.room.power_levels", Some("x")), listed);
    assert!(!allowed(&mut room, &state, "alice", event));
}

#[test]
fn maps_of_levels_are_checked_entry_by_entry() {
    let given = json!({ "events": { "a": 50, "b": 60 }, "notifications": { "room": 60, "x": 10 } });
    let (mut room, state, levels) = room_of_two(given);
    for (map, entry, value, expected) in [
        ("events", "a", json!(50), true),
        ("events", "a", json!(51), false),
        ("events", "b", json!(50), false),
        ("events", "b", Value::Null, false),
        ("events", "c", json!(50), true),
        ("notifications", "room", Value::Null, false),
        ("notifications", "x", json!(51), false),
        ("notifications", "x", Value::Null, true),
        ("users", "@carol:example.org", json!(50), true),
        ("users", "@carol:example.org", json!(51), false),
        ("users", "@alice:example.org", Value::Null, false),
        ("users", "@bob:example.org", Value::Null, true),
    ] {
        let mut content = levels.clone();
        match value.is_null() {
            true => drop(content[map].as_object_mut().unwrap().remove(entry)),
            false => content[map][entry] = value.clone(),
        }
        let verdict = allowed(&mut room, &state, "bob", levels_event(content));
        assert_eq!(verdict, expected, "{map} {entry} {value}");
    }
}
