//! What fills a gap, and what is never asked for again?

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::Pdu;

use super::lone_room::*;
use crate::objects::room::messages::*;

/// Two messages of Bob's that the room does not hold, with a third that builds on both and was let in above them.
fn above_a_gap(room: &LoneRoom) -> [Pdu; 2] {
    room.join_bob();
    let extremities = room.extremities();
    let says = |body: &str, parents: &[OwnedEventId]| {
        room.theirs("m.room.message", None, &json!({ "body": body }), parents)
    };
    let missing = [says("one", &extremities), says("two", &extremities)];
    let child = says("three", &missing.each_ref().map(|pdu| pdu.event_id.clone()));
    assert_eq!(room.outcome(&child), Outcome::Parked);
    assert_eq!(room.connect(&child, &[], None), [(child.event_id, Outcome::Accepted)]);
    missing
}

#[test]
fn what_comes_late_is_found_by_its_time_and_its_words_too() {
    let room = LoneRoom::new("11");
    let missing = above_a_gap(&room);
    let found = || {
        let (user, filter) = (user("alice", OURS), EventFilter::default());
        let expression = r#"({body} : (("one")))"#.to_owned();
        let search = Search { user: user.clone(), expression, filter, recent: true, before: None };
        let (asker, ignored) = (Asker::User(user), Default::default());
        room.ask(EventByTime { asker, ignored, ts: 0, backwards: false, after: None }).unwrap();
        (room.ask(search).unwrap().count, room.count("times"))
    };
    let (none, times) = found();
    assert_eq!(none, 0);
    let asked = missing.each_ref().map(|pdu| pdu.event_id.clone()).to_vec();
    let events = missing.iter().map(checked).collect();
    room.ask(History { events, asked, states: Vec::new(), others: false }).unwrap();
    assert_eq!(found(), (1, times + 2));
}

#[test]
fn what_one_server_leaves_out_is_asked_of_the_others() {
    for others in [true, false] {
        let room = LoneRoom::new("11");
        let missing = above_a_gap(&room);
        let gaps = |pdu: &Pdu| {
            room.count(&format!("holes WHERE missing LIKE '%{}%'", &pdu.event_id.as_str()[1..]))
        };
        assert_eq!(missing.each_ref().map(gaps), [1, 1]);
        let asked = missing.each_ref().map(|pdu| pdu.event_id.clone()).to_vec();
        let events = vec![checked(&missing[0])];
        room.ask(History { events, asked, states: Vec::new(), others }).unwrap();
        assert_eq!(missing.each_ref().map(gaps), [0, i64::from(others)], "others: {others}");
    }
}

#[test]
fn who_was_invited_when_it_was_said_may_read_it_though_they_declined() {
    let room = LoneRoom::new("11");
    let content = json!({ "history_visibility": "invited" });
    room.send("alice", "m.room.history_visibility", Some(""), &content).unwrap();
    let bob = user("bob", THEIRS);
    let invite = json!({ "membership": "invite" });
    room.send("alice", "m.room.member", Some(bob.as_str()), &invite).unwrap();
    room.send("alice", "m.room.message", None, &json!({ "body": "you may know" })).unwrap();
    let kick = json!({ "membership": "leave" });
    room.send("alice", "m.room.member", Some(bob.as_str()), &kick).unwrap();
    room.send("alice", "m.room.message", None, &json!({ "body": "you may not" })).unwrap();
    let from = vec![room.join_bob()];
    let asked = Backfill { origin: THEIRS.try_into().unwrap(), from, limit: 4 };
    let given = room.ask(asked).unwrap();
    let has = |text: &str| given.iter().any(|event| event.get().contains(text));
    assert!(has("you may know") && !has("you may not"), "{given:?}");
}

#[test]
fn what_the_rules_read_is_given_whole_to_who_may_not_see_it() {
    // In version 10 a redaction takes the level for invites away, in version 11 it does not.
    for version in ["10", "11"] {
        let room = LoneRoom::new(version);
        let set = |kind, content| room.send("alice", kind, Some(""), &content).unwrap();
        set("m.room.history_visibility", json!({ "history_visibility": "joined" }));
        let mut with_invite = levels(room.version, &user("alice", OURS));
        with_invite["invite"] = json!(50);
        set("m.room.power_levels", with_invite);
        set("m.room.name", json!({ "name": "secret" }));
        let from = vec![room.join_bob()];
        let asked = Backfill { origin: THEIRS.try_into().unwrap(), from, limit: 3 };
        let given = room.ask(asked).unwrap();
        let has = |text: &str| given.iter().any(|event| event.get().contains(text));
        assert!(has("\"invite\":50") && has("m.room.name") && !has("secret"), "{given:?}");
    }
}
