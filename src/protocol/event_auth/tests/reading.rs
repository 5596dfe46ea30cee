//! Where the rules can be read in two ways, which reading is ours?

use std::rc::Rc;

use serde_json::{Value, json};

use super::{changed, judges, member};
use crate::{
    event::Pdu,
    event_auth::{check_auth_events, check_state},
    scene::Room,
    state_resolution::StateMap,
};

#[test]
fn a_room_without_join_rules_is_joined_by_invitation() {
    let (mut room, mut state) = Room::new("11");
    judges(&mut room, &state, "bob", member("bob", json!({ "membership": "join" })), false);
    room.member(&mut state, "alice", "bob", "invite");
    judges(&mut room, &state, "bob", member("bob", json!({ "membership": "join" })), true);
    judges(&mut room, &state, "carol", member("carol", json!({ "membership": "knock" })), false);
}

#[test]
fn join_rules_without_a_rule_are_those_of_a_room_without_join_rules() {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "allow": [] }));
    judges(&mut room, &state, "bob", member("bob", json!({ "membership": "join" })), false);
    room.member(&mut state, "alice", "bob", "invite");
    judges(&mut room, &state, "bob", member("bob", json!({ "membership": "join" })), true);
    for junk in [json!(null), json!(5), json!(["public"])] {
        let mut branch = state.clone();
        let rules = json!({ "join_rule": junk });
        room.send(&mut branch, "alice", ("m.room.join_rules", ""), rules);
        judges(&mut room, &branch, "bob", member("bob", json!({ "membership": "join" })), false);
    }
}

/// A room of Alice's with this `m.federate`, to which an event has this verdict.
fn federates(federate: &Value, sender: &str, target: &str) -> bool {
    let (mut room, mut state) = Room::new("11");
    let create = room.at(&state, "m.room.create", "").unwrap();
    let content = json!({ "room_version": "11", "m.federate": federate });
    let content = serde_json::value::to_raw_value(&content).unwrap();
    let create = Rc::new(changed(&create, |pdu| pdu.content = content.clone()));
    room.events.insert(create.event_id.clone(), create);
    room.join(&mut state, "alice");
    let content = json!({ "membership": if sender == target { "join" } else { "invite" } });
    let mut pdu = room.draft(&state, "alice", ("m.room.member", Some(target)), content);
    Rc::make_mut(&mut pdu).sender = sender.try_into().unwrap();
    if sender == target {
        let rules = json!({ "join_rule": "public" });
        room.send(&mut state, "alice", ("m.room.join_rules", ""), rules);
    }
    check_state(room.version, &pdu, |kind, key| room.at(&state, kind, key)).is_ok()
}

#[test]
fn a_room_federates_where_m_federate_is_true_or_missing_and_what_is_done_to_strangers_counts() {
    let (alice, near, far) = ("@alice:example.org", "@bob:example.org", "@bob:elsewhere.org");
    for (federate, expected) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), false),
        (json!(null), false),
        (json!(0), false),
    ] {
        assert!(federates(&federate, near, near), "{federate}");
        assert!(federates(&federate, alice, near), "{federate}");
        assert_eq!(federates(&federate, far, far), expected, "{federate}");
        assert_eq!(federates(&federate, alice, far), expected, "{federate}");
    }
}

#[test]
fn null_is_there() {
    let (mut room, mut state) = Room::new("11");
    let invite = json!({ "membership": "invite", "third_party_invite": null });
    judges(&mut room, &state, "alice", member("bob", invite), false);
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    let join = json!({ "membership": "join", "join_authorised_via_users_server": null });
    judges(&mut room, &state, "bob", member("bob", join.clone()), false);
    let (mut old, mut old_state) = Room::new("7");
    old.send(&mut old_state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    judges(&mut old, &old_state, "bob", member("bob", join), true);
    for (content, expected) in [
        (json!({ "room_version": "10", "creator": null }), true),
        (json!({ "room_version": "10" }), false),
    ] {
        let (mut room, _) = Room::new("10");
        let create = room.draft(&StateMap::new(), "alice", ("m.room.create", Some("")), content);
        let verdict = check_auth_events::<Rc<Pdu>>(room.version, &create, &[]);
        assert_eq!(verdict.is_ok(), expected, "{}", create.json);
    }
}
