//! Who may have events wait, how many, and what becomes of them?

use std::slice;

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::Pdu;

use super::lone_room::*;
use crate::objects::room::messages::*;

const THIRD: &str = "third.test";

/// A message of Bob's that builds on something unknown.
fn dangling(room: &LoneRoom, number: usize, size: usize) -> (Pdu, OwnedEventId) {
    let parent: OwnedEventId = format!("${number:0>43}").try_into().unwrap();
    let content = json!({ "body": "x".repeat(size) });
    let pdu = room.theirs("m.room.message", None, &content, slice::from_ref(&parent));
    (pdu, parent)
}

/// How many of these come to be parked.
fn parked_of(room: &LoneRoom, origin: &str, numbers: std::ops::Range<usize>, size: usize) -> usize {
    let parks = |number: &usize| {
        let (pdu, _) = dangling(room, *number, size);
        let received = room.receive_from(origin, &[&pdu]);
        let parked = received.outcomes == [(pdu.event_id, Outcome::Parked)];
        assert_eq!(received.lacking.len(), usize::from(parked), "what is dropped lacks nothing");
        parked
    };
    numbers.filter(parks).count()
}

#[test]
fn an_event_without_parents_is_not_stored() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let events = room.count("events");
    let orphan = room.theirs("m.room.message", None, &json!({ "body": "whence?" }), &[]);
    assert!(matches!(room.outcome(&orphan), Outcome::Dropped(_)));
    assert_eq!(room.count("events"), events);
}

#[test]
fn what_is_rejected_is_stored_for_who_is_or_was_in_the_room() {
    let room = LoneRoom::new("11");
    let kick = || {
        let content = json!({ "membership": "leave" });
        room.theirs("m.room.member", Some("@alice:ours.test"), &content, &room.extremities())
    };
    let events = room.count("events");
    assert!(matches!(room.outcome(&kick()), Outcome::Dropped(_)), "of a stranger");
    assert_eq!(room.count("events"), events);
    room.join_bob();
    assert!(matches!(room.outcome(&kick()), Outcome::Rejected(_)));
    assert_eq!(room.count("events"), events + 2, "the join, and the kick");
    let ban = json!({ "membership": "ban" });
    room.send("alice", "m.room.member", Some("@bob:theirs.test"), &ban).unwrap();
    assert!(matches!(room.outcome(&kick()), Outcome::Rejected(_)), "he was in the room");
}

#[test]
fn strangers_share_a_little_room_for_a_while() {
    let room = LoneRoom::new("11");
    assert_eq!(parked_of(&room, "one.test", 0..15, 1), 15);
    assert_eq!(parked_of(&room, "other.test", 15..30, 1), 5, "all together");
    let (pdu, _) = dangling(&room, 30, 1);
    assert!(room.receive_from("one.test", &[&pdu]).stranger);
    room.pass(300_000);
    assert!(room.ask(Reconsider {}).unwrap().due.is_empty(), "nothing is fetched for them");
    assert_eq!(room.count("parked"), 20, "their joins may be under way");
    room.pass(600_000);
    room.ask(Reconsider {}).unwrap();
    assert_eq!((room.count("parked"), room.count("awaited")), (0, 0));
}

#[test]
fn a_newcomers_event_waits_for_his_join() {
    let room = LoneRoom::new("11");
    let join = room.theirs(
        "m.room.member",
        Some("@bob:theirs.test"),
        &json!({ "membership": "join" }),
        &room.extremities(),
    );
    let parent = slice::from_ref(&join.event_id);
    let early = room.theirs("m.room.message", None, &json!({ "body": "hi" }), parent);
    assert_eq!(room.outcome(&early), Outcome::Parked);
    let came = room.receive(&[&join]).outcomes;
    // The early event cites no membership, so it is rejected; that shows that it was judged.
    let outcome = came.iter().find(|(id, _)| *id == early.event_id);
    assert!(matches!(outcome, Some((_, Outcome::Rejected(_)))), "{came:?}");
    assert_eq!((room.count("parked"), room.count("awaited")), (0, 0));
}

#[test]
fn who_is_no_stranger_any_more_has_his_events_tried() {
    let room = LoneRoom::new("11");
    assert_eq!(parked_of(&room, THEIRS, 0..1, 1), 1);
    room.pass(500_000);
    room.join_bob();
    let due = room.ask(Reconsider {}).unwrap().due;
    assert!(due.len() == 1 && !due[0].1.stranger, "at once: {due:?}");
    assert_eq!(room.count("parked"), 1);
}

#[test]
fn a_server_leaves_room_for_others() {
    let room = LoneRoom::new("11");
    room.join_bob();
    assert_eq!(parked_of(&room, THEIRS, 0..110, 1), 100, "by number");
    assert_eq!(parked_of(&room, THIRD, 200..250, 50_000), 41, "by size");
}

#[test]
fn an_answer_names_what_its_own_events_lack() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let extremities = room.extremities();
    let first = room.theirs("m.room.message", None, &json!({ "body": "1" }), &extremities);
    let parent = slice::from_ref(&first.event_id);
    let second = room.theirs("m.room.message", None, &json!({ "body": "2" }), parent);
    let (other, _) = dangling(&room, 1, 1);
    let (third, _) = dangling(&room, 2, 1);
    room.receive(&[&second]);
    room.receive_from(THIRD, &[&other]);
    let received = room.receive(&[&third]);
    let lacking: Vec<_> = received.lacking.iter().map(|lack| lack.event_id.clone()).collect();
    assert_eq!(lacking, [third.event_id]);
    room.evict();
    let received = room.receive(&[&first]);
    let came: Vec<_> = received.outcomes.into_iter().map(|(id, _)| id).collect();
    assert_eq!(came, [first.event_id, second.event_id], "nothing else was looked at");
    assert_eq!((room.count("parked"), room.count("awaited")), (2, 2));
}

#[test]
fn servers_take_turns() {
    let room = LoneRoom::new("11");
    room.join_bob();
    assert_eq!(parked_of(&room, THEIRS, 0..12, 1), 12);
    assert_eq!(parked_of(&room, THIRD, 20..21, 1), 1);
    room.pass(30_000);
    let mut turns = Vec::new();
    for _ in 0..2 {
        let reconsidered = room.ask(Reconsider {}).unwrap();
        assert!(reconsidered.next.is_some(), "what was not tried comes again");
        let [(origin, received)] = reconsidered.due.as_slice() else { panic!("{reconsidered:?}") };
        turns.push((origin.to_string(), received.lacking.len()));
    }
    let turn = |origin: &str, lacking| (origin.to_owned(), lacking);
    assert_eq!(turns, [turn(THEIRS, 10), turn(THIRD, 1)]);
    assert!(room.ask(Reconsider {}).unwrap().due.is_empty(), "all had their turn");
    for _ in 0..200 {
        room.pass(600_000);
        room.ask(Reconsider {}).unwrap();
    }
    assert_eq!((room.count("parked"), room.count("awaited")), (0, 0), "tried often enough");
}

#[test]
fn what_was_fetched_for_an_event_is_tried_no_longer_than_that_event() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let (lower, _) = dangling(&room, 1, 1);
    let parent = slice::from_ref(&lower.event_id);
    let upper = room.theirs("m.room.message", None, &json!({ "body": "2" }), parent);
    assert_eq!(room.outcome(&upper), Outcome::Parked);
    let mut turns = 0;
    for _ in 0..100 {
        room.pass(600_000);
        for (origin, received) in room.ask(Reconsider {}).unwrap().due {
            turns += 1;
            assert_eq!(received.lacking.len(), 1, "the lowest brings in the rest");
            let (events, purpose) = (vec![checked(&lower)], Purpose::Gap);
            let again = vec![upper.event_id.clone()];
            room.ask(Receive { origin, events, purpose, again }).unwrap();
        }
    }
    assert_eq!(turns, 8);
    assert_eq!((room.count("parked"), room.count("awaited")), (0, 0));
}

#[test]
fn events_of_a_room_that_is_being_joined_wait_for_the_join() {
    let room = LoneRoom::empty();
    let event = checked(&room.invite_to_theirs("alice"));
    let begin = BeginJoin {
        version: "11".to_owned(),
        user: user("alice", OURS),
        event: event.clone(),
        via: THEIRS.try_into().unwrap(),
        until: 2_000_000,
    };
    room.ask(begin).unwrap();
    let message = |number: usize| room.theirs("m.room.message", None, &json!({ "n": number }), &[]);
    let parks = |number: &usize| room.outcome(&message(*number)) == Outcome::Parked;
    assert_eq!((0..110).filter(parks).count(), 100);
    room.ask(Reconsider {}).unwrap();
    assert_eq!(room.count("parked"), 100, "the join is under way");
    room.pass(1_000_000);
    assert!(matches!(room.outcome(&message(200)), Outcome::Dropped(_)), "its lease is over");
    room.ask(AbandonJoin { event_id: event.event_id, again: false }).unwrap();
    room.ask(Reconsider {}).unwrap();
    assert_eq!(room.count("parked"), 0);
}

#[test]
fn a_hole_is_known_before_and_after_it_is_read_again() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let seen = room.send_at("alice", "m.room.message", None, &json!({ "body": "below" }));
    let parent =
        room.theirs("m.room.message", None, &json!({ "body": "missing" }), &room.extremities());
    let parents = slice::from_ref(&parent.event_id);
    let child = room.theirs("m.room.message", None, &json!({ "body": "above" }), parents);
    assert_eq!(room.outcome(&child), Outcome::Parked);
    let keys = [("m.room.create", ""), ("m.room.member", "@alice:ours.test")];
    let rest = [("m.room.member", "@bob:theirs.test"), ("m.room.power_levels", "")];
    let state =
        keys.iter().chain(&rest).filter_map(|(kind, key)| room.state_id(kind, key)).collect();
    let (origin, event_id) = (THEIRS.try_into().unwrap(), child.event_id.clone());
    let received = room.ask(Connect { origin, event_id, state, missing: Vec::new() }).unwrap();
    let child = child.event_id;
    assert_eq!(received.outcomes, [(child.clone(), Outcome::Accepted)]);
    for evicted in [false, true] {
        if evicted {
            room.evict();
        }
        assert!(room.window(seen, 10).limited, "evicted: {evicted}");
    }
    assert_eq!(room.outcome(&parent), Outcome::Accepted);
    assert_eq!(room.extremities(), [child], "what came below is no extremity");
}

#[test]
fn a_server_that_was_never_here_gives_no_state() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let (pdu, _) = dangling(&room, 1, 1);
    room.receive(&[&pdu]);
    let state = room.state_id("m.room.create", "").into_iter().collect();
    let (origin, event_id) = (THIRD.try_into().unwrap(), pdu.event_id.clone());
    let received = room.ask(Connect { origin, event_id, state, missing: Vec::new() }).unwrap();
    assert!(received.stranger && received.outcomes.is_empty(), "{received:?}");
    assert_eq!(room.count("parked"), 1);
}

/// A room of Alice and Bob in which everybody may set state.
fn lenient() -> LoneRoom {
    let room = LoneRoom::new("11");
    room.join_bob();
    let levels = json!({ "users": { "@alice:ours.test": 100 }, "state_default": 0 });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    room
}

/// Lets time pass until the room asks no more for what it could not verify.
fn give_up(room: &LoneRoom) {
    for _ in 0..10 {
        room.pass(2 * 86_400_000);
        room.ask(Reconsider {}).unwrap();
    }
    assert_eq!(room.count("wanted"), 0);
}

/// Has the room store an event that it could not verify before.
fn verify(room: &LoneRoom, pdu: &Pdu) {
    let (origin, events) = (THEIRS.try_into().unwrap(), vec![checked(pdu)]);
    let (purpose, again) = (Purpose::Outlier, Vec::new());
    room.ask(Receive { origin, events, purpose, again }).unwrap();
}

#[test]
fn what_comes_from_a_state_with_gaps_is_derived_again() {
    let room = lenient();
    let first = room.send("alice", "m.room.topic", Some(""), &json!({ "topic": "first" })).unwrap();
    let topic =
        room.theirs("m.room.topic", Some(""), &json!({ "topic": "later" }), &room.extremities());
    let (child, _) = dangling(&room, 1, 1);
    assert_eq!(room.outcome(&child), Outcome::Parked);
    let connected = room.connect(&child, slice::from_ref(&topic.event_id), None);
    assert_eq!(connected, [(child.event_id, Outcome::Accepted)]);
    let says = |parents: &[OwnedEventId]| {
        let said = room.theirs("m.room.message", None, &json!({ "body": "x" }), parents);
        assert_eq!(room.outcome(&said), Outcome::Accepted);
        said.event_id
    };
    let merge = says(&room.extremities());
    let (left, right) = (says(slice::from_ref(&merge)), says(slice::from_ref(&merge)));
    let last = says(&[left.clone(), right]);
    let before = |event_id: &OwnedEventId| {
        let (event_id, origin) = (event_id.clone(), THEIRS.try_into().unwrap());
        room.ask(StateBefore { event_id, origin, bodies: false, by_number: false })
    };
    let topics = |event_id: &OwnedEventId| {
        let state = before(event_id).unwrap().state;
        [&first, &topic.event_id].map(|id| state.contains(id))
    };
    for event_id in [&merge, &left, &last] {
        let refused = before(event_id);
        assert!(matches!(refused, Err(Refusal::NotFound)), "it is asked for");
    }
    give_up(&room);
    for event_id in [&merge, &left, &last] {
        assert_eq!(topics(event_id), [true, false], "nothing else is known");
    }
    verify(&room, &topic);
    for event_id in [&merge, &left, &last] {
        assert_eq!(topics(event_id), [false, true], "the later one counts");
    }
    assert_eq!(["left_out_of_fork", "derived"].map(|table| room.count(table)), [0, 0]);
}

#[test]
fn an_event_is_let_in_by_a_state_of_which_something_cannot_be_verified() {
    let room = lenient();
    let topic =
        room.theirs("m.room.topic", Some(""), &json!({ "topic": "later" }), &room.extremities());
    let (child, _) = dangling(&room, 1, 1);
    assert_eq!(room.outcome(&child), Outcome::Parked);
    let connect = |without| room.connect(&child, slice::from_ref(&topic.event_id), without);
    assert!(
        connect(Some("m.room.power_levels")).is_empty(),
        "the verdict rests on what is missing"
    );
    assert!(connect(Some("@bob:theirs.test")).is_empty(), "its sender's membership may be missing");
    assert_eq!(connect(None), [(child.event_id.clone(), Outcome::Accepted)]);
    assert_eq!(room.count("left_out_of_fork"), 1);
    verify(&room, &topic);
    assert_eq!(room.count("left_out_of_fork"), 0);
    assert_eq!(room.state_id("m.room.topic", ""), Some(topic.event_id));
}

#[test]
fn a_server_that_a_state_with_gaps_drops_is_told_once() {
    let room = lenient();
    let levels = json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 } });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    let (carol, third) = ("@carol:third.test", "third.test");
    let kinds = ["m.room.create", "m.room.join_rules", "m.room.power_levels"];
    let auth = kinds.map(|kind| room.state_id(kind, "").unwrap());
    let member = |membership: &str| json!({ "membership": membership });
    let of_carol = ("m.room.member", Some(carol));
    let join = room.elsewhere(&user("carol", third), of_carol, &member("join"), &auth);
    let received = room.receive_from(third, &[&join]);
    assert_eq!(received.outcomes, [(join.event_id.clone(), Outcome::Accepted)]);
    let topic = room.theirs("m.room.topic", Some(""), &json!({ "topic": "x" }), &auth[2..]);
    let bob = room.state_id("m.room.member", "@bob:theirs.test").unwrap();
    let of_ban = [auth[0].clone(), auth[2].clone(), bob.clone(), join.event_id];
    let ban = room.elsewhere(&user("bob", THEIRS), of_carol, &member("ban"), &of_ban);
    verify(&room, &ban);
    let (child, _) = dangling(&room, 1, 1);
    assert_eq!(room.outcome(&child), Outcome::Parked);
    let state = auth.into_iter().chain([bob, ban.event_id.clone()]).collect();
    let (origin, event_id) = (THEIRS.try_into().unwrap(), child.event_id.clone());
    let (events, missing) = (room.count("events"), vec![topic.event_id]);
    let connected = room.ask(Connect { origin, event_id, state, missing }).unwrap();
    assert_eq!(connected.outcomes, [(child.event_id, Outcome::Accepted)]);
    assert_eq!(room.state_id("m.room.member", carol), Some(ban.event_id));
    assert_eq!(room.count("events"), events + 2, "the event, and the one that tells the server");
}
