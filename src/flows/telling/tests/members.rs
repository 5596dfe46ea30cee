//! Do D1's copy of who is in a room, and the users who have to know of it, follow the room whatever fails?

use std::{future::poll_fn, task::Poll};

use futures_util::future::join;
use serde_json::{Value, json};
use tombolo_platform::{simulated::Faults, values};
use tombolo_support::{Scene, User, ask, text};

use crate::{
    flows::{
        telling::{members::follow, tell::tell},
        tests::{heard, ours, room_id},
    },
    objects::{room::messages::Undelivered, room_object},
};

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

/// A public room of alice in which bob is, of which everybody has heard; and the next token of alice.
fn settled(scene: &Scene) -> ([User; 2], String, String) {
    let users = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&users[0], &json!({ "preset": "public_chat" }));
    scene.act(&users[1], &room, "join", &json!({})).ok();
    scene.simulation.settle(60_000);
    let since = text(&scene.sync(&users[0], "")["next_batch"]);
    (users, room, since)
}

fn lists(scene: &Scene, user: &User, since: &str) -> Value {
    scene.sync(user, &format!("since={since}"))["device_lists"].clone()
}

#[test]
fn the_copy_says_who_is_in_the_room() {
    let scene = ours();
    let ([alice, bob], room, _) = settled(&scene);
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

#[test]
fn while_d1_is_out_of_reach_news_is_told_and_the_rest_follows() {
    let scene = ours();
    let ([alice, bob], room, since) = settled(&scene);
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.say(&alice, &room, "hello");
    scene.pass(30_000);
    assert!(lists(&scene, &alice, &since).is_null(), "the copy comes first");
    assert_eq!(heard(&scene, &alice, &room), ["hello"]);
    assert_eq!(copied(&scene, &room), ["alice", "bob"]);
    scene.simulation.faults(Faults::NONE);
    scene.pass(10_000);
    assert_eq!(copied(&scene, &room), ["alice"]);
    assert_eq!(lists(&scene, &alice, &since), json!({ "changed": [], "left": [bob.id] }));
    let tables = scene.server.sql(&room_object(&room_id(&room))).unwrap();
    let behind = tables.rows("SELECT follower FROM lagging", values![], |row| row.text(0));
    assert_eq!(behind, Ok(Vec::new()));
}

/// Lets so many other steps be taken.
async fn steps(count: usize) {
    let mut left = count;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_server_that_goes_down_at_any_step_tells_everybody_in_the_end() {
    for count in 0..150 {
        let scene = ours();
        let ([alice, bob], room, since) = settled(&scene);
        let crash = async {
            steps(count).await;
            scene.server.crash();
        };
        let leaving = async {
            let path = format!("/_matrix/client/v3/rooms/{room}/leave");
            ask(&scene.server, bob.request(("POST", &path), "{}")).await.is_ok()
        };
        let (left, ()) = scene.simulation.run(join(leaving, crash));
        scene.pass(10_000);
        // A request that was lost may have had no effect.
        let gone = !copied(&scene, &room).contains(&"bob".to_owned());
        assert!(gone || !left, "after {count} steps");
        let expected = json!({ "changed": [], "left": [bob.id] });
        let told = lists(&scene, &alice, &since);
        assert_eq!(told, if gone { expected } else { Value::Null }, "after {count} steps");
    }
}

#[test]
fn telling_again_says_and_writes_nothing() {
    let scene = ours();
    let ([alice, bob], room, since) = settled(&scene);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(5_000);
    let next = text(&scene.sync(&alice, &format!("since={since}"))["next_batch"]);
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    let again = scene.simulation.run(tell(&scene.server.world(), &room_id(&room))).unwrap();
    assert_eq!(again, None, "D1 was not asked");
    assert_eq!(scene.sync(&alice, &format!("since={next}"))["next_batch"], next);
}

#[test]
fn a_user_who_cannot_be_told_is_told_when_they_can_be() {
    let scene = ours();
    let ([alice, bob], room, since) = settled(&scene);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.simulation.faults(Faults { lost_ask: 500, ..Faults::NONE });
    scene.pass(60_000);
    scene.simulation.settle(600_000);
    assert_eq!(copied(&scene, &room), ["alice"]);
    assert_eq!(lists(&scene, &alice, &since), json!({ "changed": [], "left": [bob.id] }));
}

#[test]
fn who_has_not_heard_the_news_yet_is_told_after_it() {
    let scene = ours();
    let ([alice, bob], room, since) = settled(&scene);
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(1_000);
    scene.simulation.faults(Faults::NONE);
    let (world, room) = (scene.server.world(), room_id(&room));
    for (lagging, told) in [(vec![alice.id.as_str().try_into().unwrap()], false), (vec![], true)] {
        let following = async {
            let undelivered = world.ask(&room_object(&room), &Undelivered {}).await.unwrap();
            follow(&world, &room, &undelivered, &lagging).await
        };
        assert_eq!(scene.simulation.run(following), told);
        assert_eq!(lists(&scene, &alice, &since).is_null(), !told);
    }
}
