//! Do a room's followers learn that there is news, however often it is told?

use serde_json::json;
use tombolo_platform::simulated::Faults;
use tombolo_support::{Scene, User};

use crate::flows::{
    telling::tell::tell,
    tests::{heard, ours, room_id},
};

/// A room with so many users that only its alarm tells all of them; the first user is its creator.
fn crowd(scene: &Scene) -> (String, Vec<User>) {
    let users: Vec<User> = (0..6).map(|number| scene.register(&format!("u{number}"))).collect();
    let room = scene.room(&users[0], &json!({ "preset": "public_chat" }));
    for user in &users[1..] {
        scene.act(user, &room, "join", &json!({})).ok();
    }
    scene.simulation.settle(60_000);
    (room, users)
}

#[test]
fn the_alarm_tells_everybody_and_telling_again_says_nothing_twice() {
    let scene = ours();
    let (room, users) = crowd(&scene);
    scene.say(&users[0], &room, "hello");
    scene.pass(5_000);
    for _ in 0..2 {
        scene.simulation.run(tell(&scene.server.world(), &room_id(&room))).unwrap();
    }
    for user in &users {
        assert_eq!(heard(&scene, user, &room), ["hello"]);
    }
}

#[test]
fn who_could_not_be_told_is_told_when_they_can_be() {
    let scene = ours();
    let (room, users) = crowd(&scene);
    let since: Vec<String> = users
        .iter()
        .map(|user| scene.sync(user, "")["next_batch"].as_str().unwrap().to_owned())
        .collect();
    scene.say(&users[0], &room, "hello");
    scene.simulation.faults(Faults { lost_ask: 1000, ..Faults::NONE });
    scene.pass(5_000);
    scene.simulation.faults(Faults::NONE);
    scene.simulation.settle(600_000);
    for (user, since) in users.iter().zip(since) {
        let sync = scene.sync(user, &format!("since={since}"));
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        let bodies = events.as_array().into_iter().flatten();
        let bodies: Vec<&str> =
            bodies.filter_map(|event| event["content"]["body"].as_str()).collect();
        assert_eq!(bodies, ["hello"], "{}", user.id);
    }
}

#[test]
fn a_room_that_nobody_knows_has_nobody_to_tell() {
    let scene = ours();
    let room = room_id("!unknown:ours.test:8448");
    assert_eq!(scene.simulation.run(tell(&scene.server.world(), &room)).unwrap(), None);
}
