//! Which receipts does a room keep, and how many?

use ruma::{OwnedEventId, OwnedUserId};
use serde_json::json;

use super::lone_room::*;
use crate::objects::room::messages::*;

fn read(room: &LoneRoom, user: &OwnedUserId, event_id: &OwnedEventId, thread: Option<&str>) {
    let (user, event_id) = (user.clone(), event_id.clone());
    let (kind, thread) = ("m.read".to_owned(), thread.map(str::to_owned));
    room.ask(Receipt { user, kind, thread, event_id, ts: 1 }).unwrap();
}

fn say(room: &LoneRoom) -> OwnedEventId {
    room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap()
}

#[test]
fn a_receipt_is_for_an_event_and_a_thread_of_the_timeline() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let event = say(&room);
    let unknown: OwnedEventId = format!("${}", "u".repeat(43)).try_into().unwrap();
    let (alice, bob) = (user("alice", OURS), user("bob", THEIRS));
    for user in [&alice, &bob] {
        read(&room, user, &unknown, None);
    }
    let (long, none) = (format!("${}", "l".repeat(300)), unknown.as_str());
    for (event, thread) in [(&event, "t"), (&event, &long), (&event, none), (&unknown, "$root")] {
        read(&room, &bob, event, Some(thread));
        let (user, event_id, thread) = (alice.clone(), event.clone(), Some(thread.to_owned()));
        let receipt = Receipt { user, kind: "m.read".to_owned(), thread, event_id, ts: 1 };
        assert!(matches!(room.ask(receipt), Err(Refusal::Invalid(_))));
    }
    assert_eq!(room.count("receipts"), 0);
    for thread in [None, Some("main"), Some(event.as_str())] {
        read(&room, &user("bob", THEIRS), &event, thread);
    }
    assert_eq!(room.count("receipts"), 3);
}

#[test]
fn a_user_has_receipts_in_so_many_threads() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let bob = user("bob", THEIRS);
    let first = say(&room);
    read(&room, &bob, &first, None);
    read(&room, &bob, &first, Some("main"));
    for _ in 0..60 {
        let root = say(&room);
        read(&room, &bob, &root, Some(root.as_str()));
        read(&room, &user("alice", OURS), &root, None);
    }
    assert_eq!(room.count("receipts"), 1 + 2 + 50, "one of Alice's, two of Bob's, his threads");
}

#[test]
fn a_threads_root_may_be_older_than_what_is_held() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let root = format!("${}", "r".repeat(43));
    let threaded = json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": root } });
    let reply = room.theirs("m.room.message", None, &threaded, &room.extremities());
    assert_eq!(room.outcome(&reply), Outcome::Accepted);
    for user in [user("alice", OURS), user("bob", THEIRS)] {
        read(&room, &user, &reply.event_id, Some(&root));
    }
    assert_eq!(room.count("receipts"), 2);
}

#[test]
fn other_servers_are_told_public_receipts_alone() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let event_id = say(&room);
    let alice = user("alice", OURS);
    let kind = "m.read.private".to_owned();
    let private =
        Receipt { user: alice.clone(), kind, thread: None, event_id: event_id.clone(), ts: 1 };
    room.ask(private).unwrap();
    assert!(room.ask(Undelivered {}).unwrap().receipts.is_empty());
    read(&room, &alice, &event_id, None);
    let told = room.ask(Undelivered {}).unwrap().receipts;
    assert_eq!(
        told.iter().map(|(_, receipt)| receipt.kind.as_str()).collect::<Vec<_>>(),
        ["m.read"]
    );
}

#[test]
fn what_users_with_unreadable_names_do_is_not_shown() {
    let room = LoneRoom::new("11");
    let event = say(&room);
    for odd in ["\u{e9}ve", "e ve", ""] {
        room.join(odd);
        let user = user(odd, OURS);
        read(&room, &user, &event, None);
        let now = room.ask(Typing { user, until: Some(9_000_000) }).unwrap();
        assert!(now.typing.is_empty(), "{odd}");
    }
    assert_eq!(room.count("receipts"), 0);
}

#[test]
fn of_two_receipts_for_one_event_the_unthreaded_one_is_shown() {
    for threads in [[None, Some("main")], [Some("main"), None]] {
        let room = LoneRoom::new("11");
        let event_id =
            room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
        for thread in threads {
            read(&room, &user("alice", OURS), &event_id, thread);
        }
        let receipts = room.window(0, 10).receipts.unwrap();
        assert!(!receipts.get().contains("thread_id"), "{receipts}");
    }
}
