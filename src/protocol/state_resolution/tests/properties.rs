//! What holds in every room? Tried on many that grow at random.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{
    EventId, OwnedEventId,
    events::StateEventType,
    state_res::{self, utils::event_id_set::EventIdSet},
};
use serde_json::{Value, json};
use tombolo_support::Dice;

use super::super::{StateMap, conflicted_subgraph, resolve_known, split};
use crate::{
    event::{Pdu, create_event_id},
    event_auth::check_state,
    scene::{Room, user},
};

const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];

/// What someone might do next.
fn deed(room: &Room, dice: &Dice) -> (&'static str, (&'static str, String), Value) {
    let name = || *dice.one(&NAMES);
    let (sender, target) = (name(), user(name()).to_string());
    let level = || *dice.one(&[0, 25, 50, 75, 100]);
    match dice.below(10) {
        0 | 1 => {
            let mut users = BTreeMap::from([(user(name()), level()), (user("bob"), level())]);
            match room.version.room_id_is_create_hash() {
                true => users.remove(&user("alice")),
                false => users.insert(user("alice"), 100),
            };
            let content = json!({ "users": users, "state_default": level() });
            (sender, ("m.room.power_levels", String::new()), content)
        }
        2 => {
            let rule = *dice.one(&["public", "invite", "knock"]);
            (sender, ("m.room.join_rules", String::new()), json!({ "join_rule": rule }))
        }
        3..=5 => {
            let membership = *dice.one(&["leave", "ban", "invite"]);
            (sender, ("m.room.member", target), json!({ "membership": membership }))
        }
        6 | 7 => {
            let own = user(sender).to_string();
            (sender, ("m.room.member", own), json!({ "membership": "join" }))
        }
        _ => (sender, ("m.room.topic", String::new()), json!({ "topic": dice.below(1000) })),
    }
}

/// A room with branches that grew apart, in which everything was allowed where it was sent.
fn branches(version_id: &str, dice: &Dice) -> (Room, Vec<StateMap>) {
    let (mut room, mut state) = Room::new(version_id);
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    let mut branches = vec![state];
    for _ in 0..30 {
        if branches.len() < 4 && dice.below(6) == 0 {
            let branch = dice.one(&branches).clone();
            branches.push(branch);
        }
        let chosen = dice.below(branches.len());
        if branches.len() > 1 && dice.below(12) == 0 {
            branches[chosen] = resolve_known(room.version, &branches, &room.events).unwrap();
        }
        let (sender, (kind, key), content) = deed(&room, dice);
        room.clock -= i64::try_from(dice.below(4)).unwrap() * 500;
        let branch = &mut branches[chosen];
        let pdu = room.draft(branch, sender, (kind, Some(&key)), content);
        if check_state(room.version, &pdu, |kind, key| room.at(branch, kind, key)).is_ok() {
            branch.insert((kind.to_owned(), key), pdu.event_id.clone());
            room.events.insert(pdu.event_id.clone(), pdu);
        }
    }
    (room, branches)
}

fn each_room(check: impl Fn(&Room, &[StateMap], &StateMap)) {
    for version_id in ["6", "10", "11", "12"] {
        for seed in 1..=30 {
            let (room, branches) = branches(version_id, &Dice::new(seed, 0));
            let resolved = resolve_known(room.version, &branches, &room.events).unwrap();
            check(&room, &branches, &resolved);
        }
    }
}

#[test]
fn many_rooms_conflict() {
    let conflicts = std::cell::Cell::new(0);
    each_room(|_, branches, _| {
        conflicts.set(conflicts.get() + usize::from(!split(branches).conflicted.is_empty()));
    });
    assert!(conflicts.get() > 60, "{}", conflicts.get());
}

#[test]
fn order_and_repetition_of_states_do_not_matter() {
    each_room(|room, branches, resolved| {
        let reversed: Vec<StateMap> = branches.iter().rev().cloned().collect();
        let repeated: Vec<StateMap> = branches.iter().chain(&reversed).cloned().collect();
        for sets in [reversed, repeated] {
            assert_eq!(&resolve_known(room.version, &sets, &room.events).unwrap(), resolved);
        }
    });
}

#[test]
fn a_result_resolves_to_itself() {
    each_room(|room, _, resolved| {
        let again = [resolved.clone(), resolved.clone()];
        assert_eq!(&resolve_known(room.version, &again, &room.events).unwrap(), resolved);
    });
}

#[test]
fn what_all_agree_on_survives_and_nothing_is_made_up() {
    each_room(|room, branches, resolved| {
        for ((kind, key), id) in split(branches).unconflicted {
            let found = resolved.get(&(kind.to_owned(), key.to_owned()));
            assert_eq!(found.map(|id| &**id), Some(id));
        }
        for (key, id) in resolved {
            let event = &room.events[id];
            assert_eq!(event.key(), Some((key.0.as_str(), key.1.as_str())));
        }
    });
}

#[test]
fn every_event_of_a_result_of_version_12_is_allowed_by_what_it_cites() {
    each_room(|room, _, resolved| {
        for id in resolved.values().filter(|_| room.version.resolves_conflicted_subgraph()) {
            let event = &room.events[id];
            let create = create_event_id(&event.room_id);
            let ids = event.auth_events.iter().chain(&create);
            let cited: Vec<Rc<Pdu>> = ids.map(|id| room.events[id].clone()).collect();
            let verdict = crate::event_auth::check_auth_events(room.version, event, &cited);
            assert_eq!(verdict, Ok(()), "{}", event.json);
        }
    });
}

#[test]
fn an_unrelated_event_changes_only_its_own_key() {
    each_room(|room, branches, resolved| {
        let mut room = Room {
            version: room.version,
            events: room.events.clone(),
            id: room.id.clone(),
            clock: room.clock,
        };
        let mut branches = branches.to_vec();
        let event = room.send(&mut branches[0], "alice", ("org.example.unrelated", ""), json!({}));
        let mut with = resolve_known(room.version, &branches, &room.events).unwrap();
        let unrelated = with.remove(&("org.example.unrelated".to_owned(), String::new()));
        assert!(unrelated.is_none_or(|id| id == event.event_id));
        assert_eq!(&with, resolved);
    });
}

#[test]
fn another_implementation_comes_to_the_same_result() {
    each_room(|room, branches, resolved| assert_eq!(&by_ruma(room, branches), resolved));
}

/// The result of ruma's resolution, which shares the auth checks with ours but not the algorithm.
fn by_ruma(room: &Room, branches: &[StateMap]) -> StateMap {
    let maps: Vec<state_res::StateMap<OwnedEventId>> = branches
        .iter()
        .map(|set| {
            let entry = |((kind, key), id): (&(String, String), &OwnedEventId)| {
                ((StateEventType::from(kind.as_str()), key.clone()), id.clone())
            };
            set.iter().map(entry).collect()
        })
        .collect();
    let chains = branches.iter().map(|set| chain(room, set)).collect();
    let auth_of = |id: &EventId| room.events.get(id).map(|event| event.auth_events.as_slice());
    let subgraph = || {
        let conflicted = split(branches).conflicted;
        conflicted_subgraph(&conflicted, auth_of).unwrap().into_iter().collect()
    };
    let resolved = state_res::resolve(
        &room.version.rules.authorization,
        room.version.rules.state_res.v2_rules().unwrap(),
        &maps,
        chains,
        |id| room.events.get(id).map(|event| &**event),
        |_| Some(subgraph()),
    );
    let entry =
        |((kind, key), id): ((StateEventType, String), OwnedEventId)| ((kind.to_string(), key), id);
    resolved.unwrap().into_iter().map(entry).collect()
}

fn chain(room: &Room, set: &StateMap) -> EventIdSet<OwnedEventId> {
    let mut chain = EventIdSet::new();
    let mut open: Vec<&OwnedEventId> = set.values().collect();
    while let Some(id) = open.pop() {
        for cited in &room.events[id].auth_events {
            if chain.insert(cited.clone()) {
                open.push(cited);
            }
        }
    }
    chain
}
