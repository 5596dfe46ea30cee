//! What must resolution do in rooms of a few events?

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};
use serde_json::json;

use super::super::{
    Fault, Inputs, StateMap, auth_difference, conflicted_subgraph, resolve, resolve_known, split,
};
use crate::{event::Pdu, scene::Room};

/// A public room of Alice, Bob and Mod, who has power 50.
fn room(version_id: &str) -> (Room, StateMap) {
    let (mut room, mut state) = Room::new(version_id);
    let mut users = json!({ "@mod:example.org": 50 });
    if !room.version.room_id_is_create_hash() {
        users["@alice:example.org"] = 100.into();
    }
    room.send(&mut state, "alice", ("m.room.power_levels", ""), json!({ "users": users }));
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    for name in ["bob", "mod"] {
        room.join(&mut state, name);
    }
    (room, state)
}

fn resolved(room: &Room, sets: &[StateMap]) -> StateMap {
    resolve_known(room.version, sets, &room.events).unwrap()
}

fn key(kind: &str, key: &str) -> (String, String) {
    (kind.to_owned(), key.to_owned())
}

#[test]
fn one_state_resolves_to_itself() {
    for version_id in ["6", "11", "12"] {
        let (room, state) = room(version_id);
        assert_eq!(resolved(&room, std::slice::from_ref(&state)), state);
        assert_eq!(resolved(&room, &[state.clone(), state.clone(), state.clone()]), state);
    }
}

#[test]
fn no_states_resolve_to_none() {
    let (room, _) = room("11");
    assert_eq!(resolved(&room, &[]), StateMap::new());
}

#[test]
fn linear_history_resolves_to_its_tip() {
    for version_id in ["11", "12"] {
        let (mut room, older) = room(version_id);
        let mut newer = older.clone();
        room.send(&mut newer, "mod", ("m.room.topic", ""), json!({ "topic": "x" }));
        room.member(&mut newer, "mod", "bob", "ban");
        assert_eq!(resolved(&room, &[older.clone(), newer.clone()]), newer);
    }
}

#[test]
fn what_a_banned_user_does_meanwhile_is_undone() {
    for version_id in ["11", "12"] {
        let (mut room, state) = room(version_id);
        let (mut left, mut right) = (state.clone(), state.clone());
        room.member(&mut left, "alice", "mod", "ban");
        room.send(&mut right, "mod", ("m.room.topic", ""), json!({ "topic": "x" }));
        room.member(&mut right, "mod", "bob", "ban");
        let merged = resolved(&room, &[left.clone(), right.clone()]);
        assert_eq!(merged, left);
        assert_eq!(resolved(&room, &[right, left]), merged);
    }
}

#[test]
fn independent_changes_both_hold() {
    let (mut room, state) = room("11");
    let (mut left, mut right) = (state.clone(), state.clone());
    let topic = room.send(&mut left, "alice", ("m.room.topic", ""), json!({ "topic": "x" }));
    let name = room.send(&mut right, "mod", ("m.room.name", ""), json!({ "name": "x" }));
    let merged = resolved(&room, &[left, right]);
    assert_eq!(merged.get(&key("m.room.topic", "")), Some(&topic.event_id));
    assert_eq!(merged.get(&key("m.room.name", "")), Some(&name.event_id));
    assert_eq!(merged.len(), state.len() + 2);
}

#[test]
fn equal_times_are_decided_by_event_id() {
    let (mut room, state) = room("11");
    let (mut left, mut right) = (state.clone(), state);
    let first = room.send(&mut left, "alice", ("m.room.topic", ""), json!({ "topic": "a" }));
    room.clock -= 1_000;
    let second = room.send(&mut right, "alice", ("m.room.topic", ""), json!({ "topic": "b" }));
    assert_eq!(first.origin_server_ts, second.origin_server_ts);
    let later = first.event_id.clone().max(second.event_id.clone());
    let merged = resolved(&room, &[left, right]);
    assert_eq!(merged.get(&key("m.room.topic", "")), Some(&later));
}

#[test]
fn negative_clocks_are_ordered_too() {
    let (mut room, state) = room("11");
    let (mut left, mut right) = (state.clone(), state);
    room.clock = -5_000;
    room.send(&mut left, "alice", ("m.room.topic", ""), json!({ "topic": "a" }));
    let later = room.send(&mut right, "alice", ("m.room.topic", ""), json!({ "topic": "b" }));
    assert_eq!(later.origin_server_ts, -3_000);
    let merged = resolved(&room, &[left, right]);
    assert_eq!(merged.get(&key("m.room.topic", "")), Some(&later.event_id));
}

#[test]
fn creators_of_version_12_come_before_any_number() {
    let (mut room, mut state) = room("12");
    let levels = |level: i64| json!({ "users": { "@mod:example.org": level } });
    let highest = levels(9_007_199_254_740_991);
    room.send(&mut state, "alice", ("m.room.power_levels", ""), highest);
    let (mut left, mut right) = (state.clone(), state);
    // By the clock Mod acts first.
    room.send(&mut right, "mod", ("m.room.join_rules", ""), json!({ "join_rule": "invite" }));
    room.send(&mut left, "alice", ("m.room.power_levels", ""), levels(0));
    assert_eq!(resolved(&room, &[left.clone(), right]), left);
}

#[test]
fn rejected_events_are_kept_out() {
    let (mut room, state) = room("11");
    let (mut left, mut right) = (state.clone(), state);
    let good = room.send(&mut left, "alice", ("m.room.topic", ""), json!({ "topic": "a" }));
    let bad = room.send(&mut right, "alice", ("m.room.topic", ""), json!({ "topic": "b" }));
    let mut rejected = (*bad).clone();
    rejected.rejected = true;
    room.events.insert(bad.event_id.clone(), Rc::new(rejected));
    let merged = resolved(&room, &[left, right]);
    assert_eq!(merged.get(&key("m.room.topic", "")), Some(&good.event_id));
}

#[test]
fn a_missing_event_is_an_error() {
    let (mut room, state) = room("11");
    let (mut left, mut right) = (state.clone(), state.clone());
    let topic = room.send(&mut left, "alice", ("m.room.topic", ""), json!({ "topic": "a" }));
    room.send(&mut right, "alice", ("m.room.topic", ""), json!({ "topic": "b" }));
    let sets = [left, right];
    let levels = state[&key("m.room.power_levels", "")].clone();
    for id in [topic.event_id.clone(), levels] {
        let mut events = room.events.clone();
        events.remove(&id);
        let none = BTreeSet::new();
        let inputs = Inputs {
            version: room.version,
            sets: &sets,
            events: &events,
            auth_difference: &none,
            conflicted_subgraph: &none,
        };
        assert_eq!(resolve(&inputs), Err(Fault::Missing(id)));
    }
}

#[test]
fn equal_parts_that_nothing_asks_for_can_be_left_out() {
    for version_id in ["11", "12"] {
        let (mut room, mut state) = room(version_id);
        for number in 0..20 {
            room.join(&mut state, &format!("member{number}"));
        }
        let (mut left, mut right) = (state.clone(), state);
        room.member(&mut left, "alice", "mod", "ban");
        room.send(&mut right, "mod", ("m.room.topic", ""), json!({ "topic": "x" }));
        let whole = resolved(&room, &[left.clone(), right.clone()]);
        let partial = [left, right].map(|mut set| {
            set.retain(|(_, key), _| !key.starts_with("@member"));
            set
        });
        let merged = resolved(&room, &partial);
        assert!(merged.iter().all(|(key, id)| whole.get(key) == Some(id)));
        assert_eq!(merged.len() + 20, whole.len());
    }
}

#[test]
fn the_split_tells_agreement_from_conflict() {
    let id = |name: &str| EventId::parse(format!("${name}")).unwrap();
    let set = |entries: &[(&str, &str)]| -> StateMap {
        entries.iter().map(|(kind, name)| (key(kind, ""), id(name))).collect()
    };
    let sets = [set(&[("a", "1"), ("b", "2"), ("c", "3")]), set(&[("a", "1"), ("b", "4")])];
    let split = split(&sets);
    assert_eq!(split.unconflicted, BTreeMap::from([(("a", ""), &*id("1"))]));
    assert_eq!(split.conflicted, BTreeSet::from([&id("2"), &id("3"), &id("4")]));
}

/// ```text
/// root ← left ← middle ← tip
///      ← right
/// ```
fn graph() -> BTreeMap<OwnedEventId, Vec<OwnedEventId>> {
    let id = |name: &str| EventId::parse(format!("${name}")).unwrap();
    [
        (id("root"), vec![]),
        (id("left"), vec![id("root")]),
        (id("middle"), vec![id("left"), id("root")]),
        (id("tip"), vec![id("middle")]),
        (id("right"), vec![id("root")]),
    ]
    .into()
}

#[test]
fn the_auth_difference_is_what_not_all_chains_have() {
    let graph = graph();
    let id = |name: &str| EventId::parse(format!("${name}")).unwrap();
    let sets = [("a", "tip"), ("a", "right")]
        .map(|(kind, name)| StateMap::from([(key(kind, ""), id(name))]));
    let difference = auth_difference(&sets, |id| graph.get(id).map(Vec::as_slice)).unwrap();
    assert_eq!(difference, ["left", "middle", "tip", "right"].map(id).into());
    let unknown = auth_difference(&sets, |_| None);
    assert!(matches!(unknown, Err(Fault::Missing(_))));
}

#[test]
fn the_conflicted_subgraph_is_what_lies_between() {
    let graph = graph();
    let id = |name: &str| EventId::parse(format!("${name}")).unwrap();
    let (tip, left, right) = (id("tip"), id("left"), id("right"));
    let between = |conflicted: &[&OwnedEventId]| {
        let conflicted = graph.keys().filter(|id| conflicted.contains(id)).collect();
        conflicted_subgraph(&conflicted, |id| graph.get(id).map(Vec::as_slice)).unwrap()
    };
    assert_eq!(between(&[&tip, &left]), ["left", "middle", "tip"].map(id).into());
    assert_eq!(between(&[&tip, &right]), ["right", "tip"].map(id).into());
    assert_eq!(between(&[]), BTreeSet::new());
}

#[test]
fn a_chain_of_ten_thousand_power_levels_resolves() {
    let (mut room, mut state) = room("11");
    let base = state.clone();
    let levels = room.at(&state, "m.room.power_levels", "").unwrap();
    let mut last = levels.clone();
    for number in 0..10_000 {
        let id = EventId::parse(format!("$levels{number:05}")).unwrap();
        let mut next: Pdu = (*last).clone();
        next.origin_server_ts += 1;
        next.auth_events.clone_from(&levels.auth_events);
        next.auth_events.push(last.event_id.clone());
        next.event_id = id.clone();
        last = Rc::new(next);
        room.events.insert(id, last.clone());
    }
    state.insert(key("m.room.power_levels", ""), last.event_id.clone());
    let merged = resolved(&room, &[base, state.clone()]);
    assert_eq!(merged, state);
}
