//! Who is told of an event that was sent, and is nobody told of a refused one?

use serde_json::json;

use crate::flows::tests::{heard, meet, ours, two_servers};

#[test]
fn what_was_sent_is_in_the_next_sync_of_everybody_in_a_small_room() {
    let scene = ours();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.say(&alice, &room, "hello");
    assert_eq!(heard(&scene, &alice, &room), ["hello"]);
    assert_eq!(heard(&scene, &bob, &room), ["hello"]);
}

#[test]
fn what_was_sent_reaches_the_other_servers_in_the_room() {
    let two = two_servers();
    let room = meet(&two);
    two.scene.say(&two.alice, &room, "hello");
    two.scene.pass(5_000);
    assert_eq!(heard(&two.scene, &two.bob, &room), ["hello"]);
}

#[test]
fn what_the_room_refuses_is_told_nobody() {
    let two = two_servers();
    let room = meet(&two);
    let stranger = two.scene.register("stranger");
    let content = json!({ "msgtype": "m.text", "body": "hello" });
    let path = "send/m.room.message/1";
    two.scene.put(&stranger, &room, path, &content).refused(403, "M_FORBIDDEN");
    let levels = json!({ "users": { &two.alice.id: 100 }, "events_default": 50 });
    two.scene.put(&two.alice, &room, "state/m.room.power_levels", &levels).ok();
    two.scene.pass(5_000);
    two.scene.put(&two.bob, &room, path, &content).refused(403, "M_FORBIDDEN");
    two.scene.simulation.settle(60_000);
    for user in [&two.alice, &two.bob] {
        assert!(heard(&two.scene, user, &room).is_empty(), "{}", user.id);
    }
}
