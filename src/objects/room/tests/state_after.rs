//! Which state does a client get that asks for it as it is after the timeline?
//! ([`use_state_after`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))

use serde_json::json;

use super::lone_room::*;
use crate::objects::room::messages::*;

/// What a client gets that asks so.
fn ask(
    room: &LoneRoom,
    user: &str,
    range: (Position, Position),
    (timeline, state): (EventFilter, EventFilter),
) -> WindowReply {
    let asked = asked(user.try_into().unwrap(), range);
    room.ask(Window { state_after: true, timeline, state, ..asked }).unwrap()
}

fn end(room: &LoneRoom) -> Position {
    room.ask(Undelivered {}).unwrap().to
}

const ALICE: &str = "@alice:ours.test";

#[test]
fn what_the_timeline_sets_is_in_the_state_as_it_is_at_the_end() {
    let room = LoneRoom::new("11");
    let name = |name: &str| {
        room.send("alice", "m.room.name", Some(""), &json!({ "name": name })).unwrap().to_string()
    };
    let old = name("old");
    let seen = end(&room);
    let [between, new] = [name("between"), name("new")];
    let to = end(&room);
    name("later");
    let window = ask(&room, ALICE, (seen, to), <_>::default());
    assert_eq!(ids(&window.timeline), [between.clone(), new.clone()]);
    assert_eq!(ids(&window.state), std::slice::from_ref(&new));
    let limit = EventFilter { limit: Some(1), ..EventFilter::default() };
    for from in [0, seen] {
        let window = ask(&room, ALICE, (from, to), (limit.clone(), EventFilter::default()));
        let state = ids(&window.state);
        assert!(window.limited && state.contains(&new), "{state:?}");
        assert!([&old, &between].iter().all(|event| !state.contains(event)), "{state:?}");
        assert_eq!(from == 0, state.len() > 1, "all of it, where the room is new to the client");
    }
}

#[test]
fn an_event_that_lost_is_in_the_timeline_alone() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let levels = json!({ "users": { ALICE: 100, "@bob:theirs.test": 50 }, "state_default": 50 });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    let seen = end(&room);
    // Bob's topic is older, so that it loses.
    let older =
        room.theirs("m.room.topic", Some(""), &json!({ "topic": "older" }), &room.extremities());
    let newer = room.send("alice", "m.room.topic", Some(""), &json!({ "topic": "newer" })).unwrap();
    assert_eq!(room.outcome(&older), Outcome::Accepted);
    let window = ask(&room, ALICE, (seen, end(&room)), <_>::default());
    assert!(!window.limited);
    assert_eq!(ids(&window.timeline), [newer.to_string(), older.event_id.to_string()]);
    assert_eq!(ids(&window.state), [newer.to_string()]);
}

#[test]
fn who_said_something_is_in_the_lazy_state_though_they_came_in_the_timeline() {
    let room = LoneRoom::new("11");
    room.join("bertha");
    room.join("carl");
    let seen = end(&room);
    room.send("bertha", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    let lazy = EventFilter { lazy_load_members: true, ..EventFilter::default() };
    let member = |name: &str| {
        let user = user(name, OURS);
        room.state_id("m.room.member", user.as_str()).unwrap().to_string()
    };
    let limit = |limit| EventFilter { limit: Some(limit), ..EventFilter::default() };
    let window = ask(&room, ALICE, (0, end(&room)), (limit(20), lazy.clone()));
    let state = ids(&window.state);
    for name in ["alice", "bertha", "carl"] {
        assert!(state.contains(&member(name)), "{name}");
    }
    let window = ask(&room, ALICE, (seen, end(&room)), (limit(20), lazy));
    assert_eq!(ids(&window.state), [member("bertha")]);
}

#[test]
fn who_left_has_their_leave_in_both_and_no_older_membership() {
    let room = LoneRoom::new("11");
    room.join("bertha");
    let bertha = "@bertha:ours.test";
    let seen = end(&room);
    let gone = json!({ "membership": "leave" });
    let left = room.send("bertha", "m.room.member", Some(bertha), &gone).unwrap().to_string();
    let window = ask(&room, bertha, (seen, end(&room)), <_>::default());
    assert_eq!(
        (ids(&window.timeline), ids(&window.state)),
        (vec![left.clone()], vec![left.clone()])
    );
    let ban = json!({ "membership": "ban" });
    let banned = room.send("alice", "m.room.member", Some(bertha), &ban).unwrap().to_string();
    for from in [0, seen] {
        let window = ask(&room, bertha, (from, end(&room)), <_>::default());
        assert_eq!(ids(&window.timeline).last(), Some(&banned));
        let state = ids(&window.state);
        assert!(state.contains(&banned) && !state.contains(&left), "{state:?}");
        let own = serde_json::to_string(&window.state).unwrap();
        assert_eq!(own.matches("\"state_key\":\"@bertha:ours.test\"").count(), 1, "{own}");
    }
}
