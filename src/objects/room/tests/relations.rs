//! Does a room know what its events say of others, whenever they came?

use ruma::OwnedEventId;
use serde_json::{Value, json};

use super::lone_room::*;
use crate::objects::room::messages::*;

/// What relates to an event, oldest first.
fn related(room: &LoneRoom, event_id: &OwnedEventId) -> Vec<String> {
    let message = Related {
        event_id: event_id.clone(),
        user: user("alice", OURS),
        device: "A".to_owned(),
        ignored: Default::default(),
        rel_type: None,
        event_type: None,
        recurse: false,
        backwards: false,
        from: None,
        to: None,
        limit: 100,
        with_event: false,
    };
    ids(&room.ask(message).unwrap().events)
}

#[test]
fn older_relations_are_noted_part_by_part() {
    let room = LoneRoom::new("11");
    let say = |content: &Value| room.send("alice", "m.room.message", None, content).unwrap();
    let root = say(&json!({ "body": "root" }));
    let relation = json!({ "rel_type": "m.reference", "event_id": root });
    let reply = say(&json!({ "body": "reply", "m.relates_to": relation }));
    let unrelated = json!({ "body": "says \"m.relates_to\" only" });
    say(&unrelated);
    // As an earlier deployment left it, with far more events.
    room.run("DELETE FROM relations");
    room.run("INSERT INTO relations_due (one, sn) VALUES (1, 3500)");
    room.evict();
    for asked in 0..3 {
        assert_eq!(related(&room, &root), [""; 0], "asked {asked} times");
        assert!(room.alarm().is_some(), "the alarm goes on");
    }
    assert_eq!(room.count("relations"), 0);
    room.ask(Describe {}).unwrap();
    assert_eq!(related(&room, &root), [reply.to_string()]);
    assert_eq!((room.count("relations_due"), room.alarm()), (0, None));
}

#[test]
fn a_new_room_has_nothing_to_note() {
    let room = LoneRoom::new("11");
    room.send("alice", "m.room.message", None, &json!({ "body": "one" })).unwrap();
    assert_eq!((room.count("relations_due"), room.count("relations")), (0, 0));
}

#[test]
fn what_cannot_be_looked_up_is_not_noted() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let relates = [
        json!({ "rel_type": "m.reference", "event_id": "nothing" }),
        json!({ "rel_type": "r".repeat(300), "event_id": "$event" }),
        json!({ "rel_type": 1, "event_id": "$event" }),
        json!("nothing"),
        json!({ "rel_type": "m.reference", "event_id": "$event" }),
    ];
    for relation in relates {
        let extremities = room.extremities();
        let content = json!({ "body": "x", "m.relates_to": relation });
        let event = room.theirs("m.room.message", None, &content, &extremities);
        assert_eq!(room.outcome(&event), Outcome::Accepted);
    }
    assert_eq!(room.count("relations"), 1, "the last, whose target need not be held");
}
