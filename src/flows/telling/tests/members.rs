//! Does D1's copy of who is in a room follow the room?

use serde_json::json;
use tombolo_platform::values;
use tombolo_support::{Scene, User};

use crate::flows::tests::ours;

/// Who is in a room by D1's copy: localparts, invited ones in brackets.
fn copied(scene: &Scene, room: &str) -> Vec<String> {
    let query = "SELECT user, joined FROM room_members WHERE room_id = ? ORDER BY user";
    let rows = scene.server.d1().rows(query, values![room], |row| Ok((row.text(0)?, row.int(1)?)));
    let name = |(user, joined): (String, i64)| {
        let name = &user[1..user.find(':').unwrap()];
        if joined == 1 { name.to_owned() } else { format!("({name})") }
    };
    rows.unwrap().into_iter().map(name).collect()
}

/// A public room of alice in which bob is, of which everybody has heard.
fn settled(scene: &Scene) -> ([User; 2], String) {
    let users = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&users[0], &json!({ "preset": "public_chat" }));
    scene.act(&users[1], &room, "join", &json!({})).ok();
    scene.simulation.settle(60_000);
    (users, room)
}

#[test]
fn the_copy_says_who_is_in_the_room() {
    let scene = ours();
    let ([alice, bob], room) = settled(&scene);
    assert_eq!(copied(&scene, &room), ["alice", "bob"]);
    let carol = scene.register("carol");
    scene.act(&alice, &room, "invite", &json!({ "user_id": carol.id })).ok();
    scene.pass(1_000);
    assert_eq!(copied(&scene, &room), ["alice", "bob", "(carol)"]);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(1_000);
    assert_eq!(copied(&scene, &room), ["alice", "(carol)"]);
    scene.act(&alice, &room, "leave", &json!({})).ok();
    scene.pass(1_000);
    assert!(copied(&scene, &room).is_empty(), "none of us is there any more");
}
