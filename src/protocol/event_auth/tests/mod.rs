//! Which events do the rules allow, version by version?

mod levels;
mod owned;
mod reading;

use std::rc::Rc;

use ruma::RoomId;
use serde_json::{Value, json};

use super::{Rejection, auth_types, check_auth_events, check_state};
use crate::{
    event::{Pdu, create_event_id},
    room_version::SUPPORTED,
    scene::{Room, user, version},
    state_resolution::StateMap,
};

/// Whether the state allows an event; it is not sent.
fn allowed(room: &mut Room, state: &StateMap, sender: &str, event: Event<'_>) -> bool {
    let pdu = room.draft(state, sender, event.0, event.1);
    check_state(room.version, &pdu, |kind, key| room.at(state, kind, key)).is_ok()
}

struct Event<'a>((&'a str, Option<&'a str>), Value);

fn message() -> Event<'static> {
    Event(("m.room.message", None), json!({}))
}

fn member(target: &str, content: Value) -> (String, Value) {
    (user(target).to_string(), content)
}

#[track_caller]
fn judges(
    room: &mut Room,
    state: &StateMap,
    sender: &str,
    member: (String, Value),
    expected: bool,
) {
    let event = Event(("m.room.member", Some(&member.0)), member.1.clone());
    assert_eq!(allowed(room, state, sender, event), expected, "{member:?}");
}

/// The events that an event cites, and in newer rooms the create event.
fn cited(room: &Room, pdu: &Pdu) -> Vec<Rc<Pdu>> {
    let create = create_event_id(&pdu.room_id).filter(|_| room.version.room_id_is_create_hash());
    let ids = pdu.auth_events.iter().chain(&create);
    ids.filter_map(|id| room.events.get(id).cloned()).collect()
}

fn changed(pdu: &Pdu, change: impl Fn(&mut Pdu)) -> Pdu {
    let mut pdu = pdu.clone();
    change(&mut pdu);
    pdu
}

#[track_caller]
fn breaks_a_rule(room: &Room, pdu: &Pdu, auth_events: &[Rc<Pdu>]) {
    let verdict = check_auth_events(room.version, pdu, auth_events);
    assert!(matches!(verdict, Err(Rejection::Rule(_))), "{verdict:?}");
}

#[test]
fn a_room_is_set_up_in_every_version() {
    for version_id in SUPPORTED {
        let (mut room, mut state) = Room::new(version_id);
        let levels = match room.version.room_id_is_create_hash() {
            true => json!({}),
            false => json!({ "users": { "@alice:example.org": 100 } }),
        };
        room.send(&mut state, "alice", ("m.room.power_levels", ""), levels);
        room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
        room.join(&mut state, "bob");
        for pdu in room.events.values() {
            let auth_events = cited(&room, pdu);
            assert_eq!(check_auth_events(room.version, pdu, &auth_events), Ok(()), "{}", pdu.json);
        }
    }
}

#[test]
fn membership_changes_follow_the_table() {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.send(
        &mut state,
        "alice",
        ("m.room.power_levels", ""),
        json!({ "users": { "@alice:example.org": 100, "@mod:example.org": 50 } }),
    );
    for name in ["bob", "mod"] {
        room.join(&mut state, name);
    }
    room.member(&mut state, "alice", "banned", "ban");
    for (sender, target, content, expected) in [
        ("carol", "carol", json!({ "membership": "join" }), true),
        ("carol", "dave", json!({ "membership": "join" }), false),
        ("banned", "banned", json!({ "membership": "join" }), false),
        ("banned", "banned", json!({ "membership": "leave" }), false),
        ("bob", "banned", json!({ "membership": "leave" }), false),
        ("mod", "banned", json!({ "membership": "leave" }), true),
        ("bob", "banned", json!({ "membership": "invite" }), false),
        ("bob", "mod", json!({ "membership": "invite" }), false),
        ("bob", "carol", json!({ "membership": "invite" }), true),
        ("carol", "dave", json!({ "membership": "invite" }), false),
        ("mod", "bob", json!({ "membership": "ban" }), true),
        ("mod", "alice", json!({ "membership": "ban" }), false),
        ("mod", "mod", json!({ "membership": "ban" }), false),
        ("mod", "alice", json!({ "membership": "leave" }), false),
        ("bob", "bob", json!({ "membership": "leave" }), true),
        ("carol", "carol", json!({ "membership": "leave" }), false),
        ("carol", "carol", json!({ "membership": "knock" }), false),
        ("bob", "bob", json!({ "membership": "admin" }), false),
    ] {
        judges(&mut room, &state, sender, member(target, content), expected);
    }
}

#[test]
fn a_membership_without_form_is_an_error_of_the_selection() {
    for content in [json!({}), json!({ "membership": 5 }), json!({ "membership": ["join"] })] {
        let raw = serde_json::value::to_raw_value(&content).unwrap();
        let selected =
            auth_types(version("11"), "m.room.member", &user("a"), Some("@a:example.org"), &raw);
        assert!(selected.is_err(), "{content}");
    }
    let raw = serde_json::value::to_raw_value(&json!({ "membership": "join" })).unwrap();
    assert!(auth_types(version("11"), "m.room.member", &user("a"), None, &raw).is_err());
}

#[test]
fn a_restricted_join_needs_a_joined_authoriser_with_power() {
    let (mut room, mut state) = Room::new("11");
    let rule = json!({ "join_rule": "restricted", "allow": [] });
    room.send(&mut state, "alice", ("m.room.join_rules", ""), rule);
    let join = |authoriser: Option<&str>| match authoriser {
        None => json!({ "membership": "join" }),
        Some(name) => json!({
            "membership": "join", "join_authorised_via_users_server": user(name),
        }),
    };
    judges(&mut room, &state, "bob", member("bob", join(None)), false);
    judges(&mut room, &state, "bob", member("bob", join(Some("carol"))), false);
    judges(&mut room, &state, "bob", member("bob", join(Some("alice"))), true);
    room.member(&mut state, "alice", "bob", "invite");
    judges(&mut room, &state, "bob", member("bob", join(None)), true);
}

#[test]
fn knocking_begins_with_version_7() {
    for (version_id, expected) in [("6", false), ("7", true)] {
        let (mut room, mut state) = Room::new(version_id);
        room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "knock" }));
        let knock = member("bob", json!({ "membership": "knock" }));
        judges(&mut room, &state, "bob", knock, expected);
    }
}

#[test]
fn a_state_key_that_names_another_user_is_refused() {
    let (mut room, state) = Room::new("11");
    let event = |key| Event(("x", Some(key)), json!({}));
    assert!(!allowed(&mut room, &state, "alice", event("@bob:example.org")));
    assert!(allowed(&mut room, &state, "alice", event("@alice:example.org")));
}

#[test]
fn a_create_event_of_another_version_is_refused() {
    for (content, expected) in [
        (json!({ "room_version": "11" }), true),
        (json!({ "room_version": "10" }), false),
        (json!({ "room_version": "unknown" }), false),
        (json!({ "room_version": 11 }), false),
        (json!({}), false),
    ] {
        let (mut room, _) = Room::new("11");
        let create =
            room.draft(&StateMap::new(), "alice", ("m.room.create", Some("")), content.clone());
        let verdict = check_auth_events::<Rc<Pdu>>(room.version, &create, &[]);
        assert_eq!(verdict.is_ok(), expected, "{content}");
    }
}

#[test]
fn a_second_create_event_is_refused() {
    let (mut room, state) = Room::new("11");
    let content = json!({ "room_version": "11" });
    let second = room.draft(&state, "alice", ("m.room.create", Some("")), content);
    assert!(!second.prev_events.is_empty());
    breaks_a_rule(&room, &second, &[]);
}

#[test]
fn additional_creators_are_a_list_of_user_ids() {
    for (creators, expected) in [
        (json!(["@b:example.org"]), true),
        (json!([]), true),
        (json!("@b:example.org"), false),
        (json!(["b"]), false),
        (json!([5]), false),
    ] {
        let (mut room, _) = Room::new("12");
        room.id = None;
        let content = json!({ "room_version": "12", "additional_creators": creators });
        let create = room.draft(&StateMap::new(), "alice", ("m.room.create", Some("")), content);
        let verdict = check_auth_events::<Rc<Pdu>>(room.version, &create, &[]);
        assert_eq!(verdict.is_ok(), expected, "{creators}");
    }
}

#[test]
fn an_event_needs_events_before_it() {
    let (mut room, state) = Room::new("11");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let auth_events = cited(&room, &pdu);
    assert_eq!(check_auth_events(room.version, &pdu, &auth_events), Ok(()));
    let rootless = changed(&pdu, |pdu| pdu.prev_events.clear());
    breaks_a_rule(&room, &rootless, &auth_events);
}

#[test]
fn an_unknown_auth_event_is_told_apart() {
    let (mut room, state) = Room::new("11");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let mut auth_events = cited(&room, &pdu);
    let unknown = auth_events.pop().unwrap().event_id.clone();
    assert_eq!(
        check_auth_events(room.version, &pdu, &auth_events),
        Err(Rejection::UnknownAuthEvent(unknown))
    );

    let (mut room, state) = Room::new("12");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let mut auth_events = cited(&room, &pdu);
    let create = auth_events.pop().unwrap().event_id.clone();
    assert_eq!(
        check_auth_events(room.version, &pdu, &auth_events),
        Err(Rejection::UnknownAuthEvent(create))
    );
}

#[test]
fn citations_that_the_selection_does_not_ask_for_are_refused() {
    let (mut room, mut state) = Room::new("11");
    let old_rules =
        room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    let bob = room.join(&mut state, "bob");
    let (alice_again, rules) = {
        let mut branch = state.clone();
        let again = room.join(&mut branch, "alice");
        (again, old_rules)
    };
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    for extra in [bob, rules, alice_again] {
        let citing = changed(&pdu, |pdu| pdu.auth_events.push(extra.event_id.clone()));
        let auth_events = cited(&room, &citing);
        breaks_a_rule(&room, &citing, &auth_events);
    }
}

#[test]
fn rejected_and_foreign_auth_events_are_refused() {
    let (mut room, state) = Room::new("11");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let good = cited(&room, &pdu);
    for index in 0..good.len() {
        let mut rejected = good.clone();
        rejected[index] = Rc::new(changed(&good[index], |pdu| pdu.rejected = true));
        breaks_a_rule(&room, &pdu, &rejected);
        let mut foreign = good.clone();
        foreign[index] = Rc::new(changed(&good[index], |pdu| {
            pdu.room_id = RoomId::parse("!other:example.org").unwrap();
        }));
        breaks_a_rule(&room, &pdu, &foreign);
    }
}

#[test]
fn a_rejected_create_event_takes_its_room_with_it() {
    let (mut room, state) = Room::new("12");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let mut auth_events = cited(&room, &pdu);
    let create = auth_events.pop().unwrap();
    auth_events.push(Rc::new(changed(&create, |pdu| pdu.rejected = true)));
    breaks_a_rule(&room, &pdu, &auth_events);
}

#[test]
fn without_the_create_event_nothing_is_allowed() {
    let (mut room, mut state) = Room::new("11");
    let pdu = room.draft(&state, "alice", ("m.room.message", None), json!({}));
    let create = state.remove(&("m.room.create".to_owned(), String::new())).unwrap();
    let uncited = changed(&pdu, |pdu| pdu.auth_events.retain(|id| *id != create));
    let auth_events = cited(&room, &uncited);
    breaks_a_rule(&room, &uncited, &auth_events);
    let verdict = check_state(room.version, &pdu, |kind, key| room.at(&state, kind, key));
    assert!(verdict.is_err());
}

#[test]
fn an_older_world_passes_by_its_own_citations_only() {
    let (mut room, mut state) = Room::new("11");
    room.send(&mut state, "alice", ("m.room.join_rules", ""), json!({ "join_rule": "public" }));
    room.join(&mut state, "bob");
    let pdu = room.draft(&state, "bob", ("m.room.message", None), json!({}));
    room.member(&mut state, "alice", "bob", "ban");
    let auth_events = cited(&room, &pdu);
    assert_eq!(check_auth_events(room.version, &pdu, &auth_events), Ok(()));
    let verdict = check_state(room.version, &pdu, |kind, key| room.at(&state, kind, key));
    assert!(verdict.is_err());
}
