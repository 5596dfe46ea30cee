//! Who may set whose state, in rooms whose users own state, and in all others?

use serde_json::json;

use super::{Event, allowed};
use crate::{
    event_auth::owned::owner,
    room_version::{SUPPORTED, UNSTABLE},
    scene::{Room, user},
    state_resolution::StateMap,
};

const KIND: &str = "com.example.test";

/// A room of Alice (100), a moderator (50), and Bob and Carol (0), in which anybody sets state of this kind.
fn room(version: &str) -> (Room, StateMap) {
    let (mut room, mut state) = Room::new(version);
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    let mut users = json!({ "@alice:example.org": 100, "@mod:example.org": 50 });
    if room.version.room_id_is_create_hash() {
        users.as_object_mut().unwrap().remove("@alice:example.org");
    }
    let levels = json!({ "users": users, "events": { KIND: 0, "com.example.high": 50 } });
    room.send(&mut state, "alice", ("m.room.power_levels", ""), levels);
    for name in ["mod", "bob", "carol"] {
        room.join(&mut state, name);
    }
    (room, state)
}

#[test]
fn whose_state_it_is_says_its_key() {
    for (key, of) in [
        ("@bob:example.org", Some("bob")),
        ("@bob:example.org_", Some("bob")),
        ("@bob:example.org_suffix:!@#$123", Some("bob")),
        ("@b_b:example.org_x", Some("b_b")),
        ("@oops", None),
        ("@bob:", None),
        ("@bob:_x", None),
        ("@bob:example.org!", None),
        ("@bob:example.org@suffix:!_@#$123", None),
        ("@bob:exa mple.org_x", None),
    ] {
        assert_eq!(owner(key), of.map(user), "{key}");
    }
    // A longer server's name is another one.
    assert_eq!(owner("@bob:example.org.evil.com").unwrap().server_name(), "example.org.evil.com");
    assert_eq!(owner("@bob:[::1]:8448_x").unwrap().as_str(), "@bob:[::1]:8448");
}

#[test]
fn users_own_state_and_so_do_those_with_more_power() {
    for version in UNSTABLE {
        let (mut room, state) = room(version);
        for (sender, key, expected) in [
            ("bob", "@bob:example.org", true),
            ("bob", "@bob:example.org_suffix", true),
            ("bob", "@bob:example.orgsuffix", false),
            ("bob", "@prefix_@bob:example.org_suffix", false),
            ("bob", "@carol:example.org", false),
            ("bob", "@carol:example.org_suffix", false),
            ("bob", "@alice:example.org_suffix", false),
            ("bob", "@nobody:other.test", false),
            ("bob", "@oops", false),
            ("mod", "@bob:example.org", true),
            ("mod", "@bob:example.org_suffix", true),
            ("mod", "@mod:example.org_suffix", true),
            ("mod", "@alice:example.org_suffix", false),
            ("alice", "@mod:example.org", true),
            ("alice", "@nobody:other.test_suffix", true),
            ("alice", "@oops", false),
            ("alice", "@alice:example.org@suffix", false),
            ("bob", "bob", true),
            ("stranger", "@stranger:example.org", false),
        ] {
            let event = Event((KIND, Some(key)), json!({}));
            assert_eq!(allowed(&mut room, &state, sender, event), expected, "{sender} {key}");
        }
        // An invite of a third party is decided before its key is looked at, as everywhere.
        let invite = Event(("m.room.third_party_invite", Some("@oops")), json!({}));
        assert!(allowed(&mut room, &state, "bob", invite));
        // Who owns state still needs the power to set state of its kind.
        let high = |sender: &str| {
            let key = format!("@{sender}:example.org_x");
            let event = Event(("com.example.high", Some(&key)), json!({}));
            allowed(&mut room, &state, sender, event)
        };
        assert_eq!(["bob", "mod"].map(high), [false, true]);
    }
}

#[test]
fn without_levels_the_creator_has_more_power_than_others() {
    let (mut room, mut state) = Room::new(UNSTABLE[0]);
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.join(&mut state, "bob");
    for (sender, key, expected) in
        [("alice", "@bob:example.org_x", true), ("bob", "@alice:example.org_x", false)]
    {
        let event = Event((KIND, Some(key)), json!({}));
        assert_eq!(allowed(&mut room, &state, sender, event), expected, "{sender} {key}");
    }
}

#[test]
fn in_other_rooms_nobody_sets_state_of_others() {
    for version in SUPPORTED {
        let (mut room, state) = room(version);
        for (sender, key, expected) in [
            ("bob", "@bob:example.org", true),
            ("bob", "@bob:example.org_suffix", false),
            ("alice", "@bob:example.org", false),
            ("alice", "@bob:example.org_suffix", false),
            ("alice", "@oops", false),
        ] {
            let event = Event((KIND, Some(key)), json!({}));
            assert_eq!(allowed(&mut room, &state, sender, event), expected, "{version} {key}");
        }
    }
}
