//! Which receipts does a room keep, and how many?

use ruma::{OwnedEventId, OwnedUserId};
use serde_json::json;

use super::scene::*;
use crate::objects::room::messages::*;

fn read(scene: &Scene, user: &OwnedUserId, event_id: &OwnedEventId, thread: Option<&str>) {
    let (user, event_id) = (user.clone(), event_id.clone());
    let (kind, thread) = ("m.read".to_owned(), thread.map(str::to_owned));
    scene.ask(Receipt { user, kind, thread, event_id, ts: 1 }).unwrap();
}

fn say(scene: &Scene) -> OwnedEventId {
    scene.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap()
}

#[test]
fn a_receipt_is_for_an_event_and_a_thread_of_the_timeline() {
    let scene = Scene::new("11");
    scene.join_bob();
    let event = say(&scene);
    let unknown: OwnedEventId = format!("${}", "u".repeat(43)).try_into().unwrap();
    for user in [user("alice", OURS), user("bob", THEIRS)] {
        read(&scene, &user, &unknown, None);
        let (long, none) = (format!("${}", "l".repeat(300)), unknown.as_str());
        for thread in ["t", long.as_str(), none] {
            read(&scene, &user, &event, Some(thread));
        }
    }
    assert_eq!(scene.count("receipts"), 0);
    for thread in [None, Some("main"), Some(event.as_str())] {
        read(&scene, &user("bob", THEIRS), &event, thread);
    }
    assert_eq!(scene.count("receipts"), 3);
}

#[test]
fn a_user_has_receipts_in_so_many_threads() {
    let scene = Scene::new("11");
    scene.join_bob();
    let bob = user("bob", THEIRS);
    let first = say(&scene);
    read(&scene, &bob, &first, None);
    read(&scene, &bob, &first, Some("main"));
    for _ in 0..60 {
        let root = say(&scene);
        read(&scene, &bob, &root, Some(root.as_str()));
        read(&scene, &user("alice", OURS), &root, None);
    }
    assert_eq!(scene.count("receipts"), 1 + 2 + 50, "one of Alice's, two of Bob's, his threads");
}
