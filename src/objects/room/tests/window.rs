//! What does the next sync show of a room that was seen before?

use serde_json::json;

use super::lone_room::*;
use crate::objects::room::messages::*;

#[test]
fn who_names_the_room_is_told_when_that_may_have_changed() {
    let room = LoneRoom::new("11");
    room.join("bertha");
    let seen = room.send_at("alice", "m.room.message", None, &json!({ "body": "hi" }));
    assert_eq!(
        room.window(0, 10).heroes,
        [user("bertha", OURS)],
        "to who sees it for the first time"
    );
    room.evict();
    room.send_at("alice", "m.room.message", None, &json!({ "body": "again" }));
    assert!(room.window(seen, 10).heroes.is_empty(), "nothing happened but a message");
    room.join("carl");
    assert_eq!(room.window(seen, 10).heroes.len(), 2, "somebody came");
}

#[test]
fn a_state_that_was_replaced_meanwhile_is_shown_as_it_was() {
    let room = LoneRoom::new("11");
    let name = |name: &str| json!({ "name": name });
    room.send_at("alice", "m.room.name", Some(""), &name("old"));
    let between = room.send_at("alice", "m.room.message", None, &json!({ "body": "hi" }));
    let later = room.send_at("alice", "m.room.name", Some(""), &name("new"));
    for evicted in [false, true] {
        if evicted {
            room.evict();
        }
        let window = room.window_to(0, between, 1);
        let shown = serde_json::to_string(&window.state).unwrap();
        assert!(shown.contains("old") && !shown.contains("new"), "{shown}");
        let window = room.window_to(0, later, 1);
        assert_eq!(window.timeline.len(), 1);
        assert!(window.timeline[0].get().contains("\"prev_content\":{\"name\":\"old\"}"));
    }
}

#[test]
fn a_ban_that_came_with_the_state_is_shown_to_whom_it_keeps_out() {
    let (room, given) = LoneRoom::of_bob();
    let join = room.begin_join(&given);
    let state = room.give(&join, &given);
    room.ask(FinishJoin { event: join, state }).unwrap();
    let carl = user("carl", OURS);
    let to = room.ask(Undelivered {}).unwrap().to;
    let shown = |from| {
        let window = room.ask(asked(carl.clone(), (from, to))).unwrap();
        assert!(window.timeline.is_empty(), "it did not happen here");
        ids(&window.state)
    };
    assert_eq!(shown(0), [given[4].event_id.as_str()]);
    assert!(shown(to).is_empty(), "it was shown");
}

#[test]
fn who_is_out_learns_of_their_ban_and_of_its_end_alone() {
    let room = LoneRoom::new("11");
    let bertha = "@bertha:ours.test";
    let all = || (EventFilter::default(), EventFilter::default());
    room.join("bertha");
    let joined = room.ask(Undelivered {}).unwrap().to;
    let turn = |who: &str, membership: &str| {
        let id = room
            .send(who, "m.room.member", Some(bertha), &json!({ "membership": membership }))
            .unwrap();
        (id.to_string(), room.ask(Undelivered {}).unwrap().to)
    };
    let (left, mut seen) = turn("bertha", "leave");
    room.send_at("alice", "m.room.topic", Some(""), &json!({ "topic": "she" }));
    for membership in ["ban", "leave"] {
        let (event, now) = turn("alice", membership);
        let window = ask(&room, bertha, seen, all());
        assert_eq!((ids(&window.timeline), ids(&window.state)), (vec![event.clone()], vec![]));
        assert_eq!(ids(&ask(&room, bertha, joined, all()).timeline), [left.clone(), event]);
        seen = now;
    }
}

/// The client may have seen nothing of the stay: it saw the room before it, and then the invite.
#[test]
fn the_end_of_an_invite_shows_the_stay_that_it_hid() {
    let room = LoneRoom::new("11");
    let topic = room.send_at("alice", "m.room.topic", Some(""), &json!({ "topic": "hers" }));
    room.join("bertha");
    let turn = |who: &str, membership: &str| {
        let content = json!({ "membership": membership });
        let event = room.send(who, "m.room.member", Some("@bertha:ours.test"), &content).unwrap();
        (event.to_string(), room.ask(Undelivered {}).unwrap().to)
    };
    turn("bertha", "leave");
    room.send_at("alice", "m.room.topic", Some(""), &json!({ "topic": "after her" }));
    let (_, invited) = turn("alice", "invite");
    let (left, _) = turn("bertha", "leave");
    let all = || (EventFilter::default(), EventFilter::default());
    let window = ask(&room, "@bertha:ours.test", invited, all());
    assert_eq!(ids(&window.timeline), [left]);
    let state = serde_json::to_string(&window.state).unwrap();
    assert!(state.contains("m.room.create") && state.contains("hers"), "{state}");
    assert!(!state.contains("after her"), "{state}");
    assert!(window.limited && window.prev_batch > topic, "{window:?}");
}

/// What a client asks for, up to now.
fn ask(
    room: &LoneRoom,
    user: &str,
    from: Position,
    (timeline, state): (EventFilter, EventFilter),
) -> WindowReply {
    let to = room.ask(Undelivered {}).unwrap().to;
    let asked = asked(user.try_into().unwrap(), (from, to));
    room.ask(Window { timeline, state, ..asked }).unwrap()
}

#[test]
fn what_the_viewer_may_not_see_is_in_the_state() {
    for visibility in ["invited", "joined"] {
        let room = LoneRoom::new("11");
        let bertha = "@bertha:ours.test";
        let hides = json!({ "history_visibility": visibility });
        room.send("alice", "m.room.history_visibility", Some(""), &hides).unwrap();
        let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
        let encryption = room.send("alice", "m.room.encryption", Some(""), &algorithm).unwrap();
        room.send("alice", "m.room.member", Some(bertha), &json!({ "membership": "invite" }))
            .unwrap();
        room.join("bertha");
        for limit in [1, 2, 20] {
            let timeline = EventFilter { limit: Some(limit), ..EventFilter::default() };
            let window = ask(&room, bertha, 0, (timeline, EventFilter::default()));
            assert!(ids(&window.state).contains(&encryption.to_string()), "{visibility} {limit}");
        }
    }
}

#[test]
fn what_a_filter_hides_is_in_the_state() {
    let room = LoneRoom::new("11");
    let seen = room.send_at("alice", "m.room.message", None, &json!({ "body": "hi" }));
    let topic = room.send("alice", "m.room.topic", Some(""), &json!({ "topic": "t" })).unwrap();
    room.send("alice", "m.room.message", None, &json!({ "body": "ho" })).unwrap();
    for from in [0, seen] {
        let types = Some(vec!["m.room.message".to_owned()]);
        let timeline = EventFilter { types, ..EventFilter::default() };
        let window = ask(&room, "@alice:ours.test", from, (timeline, EventFilter::default()));
        assert!(ids(&window.state).contains(&topic.to_string()), "from {from}");
    }
}

#[test]
fn a_topic_on_another_branch_than_the_first_event_is_in_the_state() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let seen = room.ask(Undelivered {}).unwrap().to;
    let extremities = room.extremities();
    let topic = room.send("alice", "m.room.topic", Some(""), &json!({ "topic": "t" })).unwrap();
    let said = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &extremities);
    assert_eq!(room.outcome(&said), Outcome::Accepted);
    room.send("alice", "m.room.message", None, &json!({ "body": "I heard both" })).unwrap();
    for from in [0, seen] {
        let timeline = EventFilter { limit: Some(2), ..EventFilter::default() };
        let window = ask(&room, "@alice:ours.test", from, (timeline, EventFilter::default()));
        assert_eq!(window.timeline.len(), 2);
        assert!(ids(&window.state).contains(&topic.to_string()), "from {from}");
    }
}

#[test]
fn the_timeline_begins_after_an_event_that_lost() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let levels = json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 50 }, "state_default": 50 });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    let seen = room.ask(Undelivered {}).unwrap().to;
    // Bob's topic is older, so that it loses.
    let older =
        room.theirs("m.room.topic", Some(""), &json!({ "topic": "older" }), &room.extremities());
    let newer = room.send("alice", "m.room.topic", Some(""), &json!({ "topic": "newer" })).unwrap();
    assert_eq!(room.outcome(&older), Outcome::Accepted);
    assert_eq!(room.state_id("m.room.topic", ""), Some(newer.clone()));
    let window = ask(&room, "@alice:ours.test", seen, <_>::default());
    assert!(window.limited && window.timeline.is_empty());
    assert_eq!(ids(&window.state), [newer.as_str()]);
}

#[test]
fn heroes_are_members_and_come_with_their_events() {
    let room = LoneRoom::new("11");
    for user in ["bertha", "carl", "dora"] {
        room.join(user);
    }
    let kick = json!({ "membership": "leave" });
    let carl = user("carl", OURS);
    room.send("alice", "m.room.member", Some(carl.as_str()), &kick).unwrap();
    room.send("alice", "m.room.name", Some(""), &json!({ "name": "" })).unwrap();
    let timeline = EventFilter { limit: Some(1), ..EventFilter::default() };
    let state = EventFilter { lazy_load_members: true, ..EventFilter::default() };
    let window = ask(&room, "@alice:ours.test", 0, (timeline, state));
    assert_eq!(window.heroes, [user("bertha", OURS), user("dora", OURS)]);
    let state = serde_json::to_string(&window.state).unwrap();
    assert!(
        state.contains("@bertha") && state.contains("@dora") && !state.contains("@carl"),
        "{state}"
    );
}

#[test]
fn a_member_whom_the_client_knows_otherwise_is_in_the_lazy_state() {
    let room = LoneRoom::new("11");
    let (bertha, carl) = ("@bertha:ours.test", "@carl:ours.test");
    let member = |user: &str, membership: &str| {
        let content = json!({ "membership": membership });
        room.send("alice", "m.room.member", Some(user), &content).unwrap();
    };
    room.join("bertha");
    room.join("carl");
    member(bertha, "leave");
    member(carl, "leave");
    let seen = room.ask(Undelivered {}).unwrap().to;
    member(bertha, "invite");
    member(carl, "invite");
    room.join("bertha");
    for _ in 0..5 {
        room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    }
    room.join("carl");
    let timeline = EventFilter { limit: Some(3), ..EventFilter::default() };
    let state = EventFilter { lazy_load_members: true, ..EventFilter::default() };
    let window = ask(&room, carl, seen, (timeline, state));
    let joined = room.state_id("m.room.member", bertha).unwrap();
    assert!(ids(&window.state).contains(&joined.to_string()));
}

#[test]
fn a_ban_by_a_resolution_is_shown_after_the_leave_it_undoes() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let carl = user("carl", OURS);
    let levels = json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 } });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    room.join("carl");
    let from = room.ask(Undelivered {}).unwrap().to;
    // Bob's server, which has not heard yet that Carl leaves, has him banned, and then says something.
    let bob = user("bob", THEIRS);
    let cited =
        [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", bob.as_str())];
    let cited = cited.map(|(kind, key)| room.state_id(kind, key).unwrap());
    let ban = json!({ "membership": "ban" });
    let ban = room.elsewhere(&bob, ("m.room.member", Some(carl.as_str())), &ban, &cited);
    let unknown = format!("${}", "u".repeat(43)).try_into().unwrap();
    let beside = room.theirs("m.room.message", None, &json!({ "body": "ho" }), &[unknown]);
    let leave = json!({ "membership": "leave" });
    room.send("carl", "m.room.member", Some(carl.as_str()), &leave).unwrap();
    let origin = || THEIRS.try_into().unwrap();
    let (events, purpose) = (vec![checked(&ban)], Purpose::Outlier);
    room.ask(Receive { origin: origin(), events, purpose, again: Vec::new() }).unwrap();
    assert_eq!(room.outcome(&beside), Outcome::Parked);
    let keys = [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.join_rules", "")];
    let members = ["@alice:ours.test", "@bob:theirs.test"].map(|user| ("m.room.member", user));
    let held = keys.into_iter().chain(members).filter_map(|(kind, key)| room.state_id(kind, key));
    let state = held.chain([ban.event_id.clone()]).collect();
    let event_id = beside.event_id.clone();
    room.ask(Connect { origin: origin(), event_id, state, missing: Vec::new() }).unwrap();
    assert_eq!(room.state_id("m.room.member", carl.as_str()), Some(ban.event_id.clone()));
    let to = room.ask(Undelivered {}).unwrap().to;
    let shown = ids(&room.ask(asked(carl, (from, to))).unwrap().timeline);
    assert_eq!(shown.last(), Some(&ban.event_id.to_string()), "{shown:?}");
}
