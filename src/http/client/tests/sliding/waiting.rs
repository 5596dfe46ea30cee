//! What becomes of a client that waits?

use std::time::Duration;

use futures_util::future::join;
use ruma::OwnedUserId;
use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use super::*;
use crate::objects::user_object;

/// The number of what was written last of this user's connections.
fn newest(scene: &Scene, user: &User) -> i64 {
    let address = user_object(&OwnedUserId::try_from(user.id.as_str()).unwrap());
    let sql = scene.server.sql(&address);
    let newest = "SELECT max(id) FROM connections";
    sql.unwrap().row(newest, &[], |row| row.int(0)).unwrap().unwrap()
}

impl Client<'_> {
    /// Waits for 30 s, while somebody does these things, one every 5 s. Objects may go away after each of them. Says whether
    /// something was written while it waited, and with the answer.
    fn waits(&mut self, deeds: &[(&User, String, Value)], evicts: bool) -> Value {
        let line = format!("{SYNC}?timeout=30000&pos={}", self.pos.as_deref().unwrap());
        let request = self.user.request(("POST", &line), self.body.to_string());
        let waiting = self.user.server.request(request);
        let world = self.scene.server.world();
        let doing = async {
            for (user, line, body) in deeds {
                world.sleep(Duration::from_secs(2)).await;
                let request = user.request(line.split_once(' ').unwrap(), body.to_string());
                assert_eq!(user.server.request(request).await.unwrap().status(), 200);
                world.sleep(Duration::from_secs(3)).await;
                if evicts {
                    self.scene.server.evict();
                }
            }
            world.sleep(Duration::from_secs(5)).await;
            newest(self.scene, self.user)
        };
        let before = newest(self.scene, self.user);
        let (answer, after) = self.scene.simulation.run(join(waiting, doing));
        let answer = Answer::of(answer.unwrap()).ok();
        self.pos = Some(text(&answer["pos"]));
        let noted = newest(self.scene, self.user) != after;
        json!({ "answer": answer, "wrote": after != before, "noted": noted })
    }
}

fn reads(room: &str, event: &str) -> String {
    format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(event))
}

#[test]
fn what_is_not_answered_is_not_written() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let events: Vec<_> = (0..3).map(|n| scene.say(&alice, &room, &n.to_string())).collect();
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    client.next();
    client.next();
    let deeds = [0, 1, 2].map(|n| (&bob, reads(&room, &events[n]), json!({})));
    let begun = scene.simulation.now();
    let waited = client.waits(&deeds, false);
    assert_eq!((&waited["wrote"], &waited["answer"]["rooms"]), (&json!(false), &json!({})));
    assert!(scene.simulation.now() - begun >= 30_000);
    // What was passed over is noted with the answer, once: nobody is asked for it again.
    assert_eq!(waited["noted"], true);
    let noted = newest(&scene, &alice);
    assert_eq!((client.next()["rooms"].clone(), newest(&scene, &alice)), (json!({}), noted));
    // Nor is what somebody says whom the user ignores.
    let ignored = format!(
        "PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        encode(&alice.id)
    );
    scene.call(Some(&alice), &ignored, &json!({ "ignored_users": { &bob.id: {} } })).ok();
    client.next();
    let says = |n: u32| format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/n{n}");
    let message = json!({ "msgtype": "m.text", "body": "hush" });
    let waited = client.waits(&[(&bob, says(1), message.clone()), (&bob, says(2), message)], false);
    assert_eq!((&waited["wrote"], &waited["answer"]["rooms"]), (&json!(false), &json!({})));
    // What is said then comes, and comes again where it got lost.
    scene.say(&alice, &room, "heard");
    settle(&scene);
    for _ in 0..2 {
        assert_eq!(said(&client.asks().ok()["rooms"][&room]), ["heard"]);
    }
}

#[test]
fn what_is_said_after_a_receipt_that_nobody_asked_for_is_answered_and_kept() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let mut client = Client::of(&scene, &alice, 5);
    for (number, evicts) in [false, true].into_iter().enumerate() {
        let event = scene.say(&alice, &room, "one");
        settle(&scene);
        client.next();
        let says = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/x{number}");
        let message = json!({ "msgtype": "m.text", "body": "two" });
        let deeds = [(&bob, reads(&room, &event), json!({})), (&bob, says, message)];
        let answer = client.waits(&deeds, evicts)["answer"].clone();
        assert_eq!(said(&answer["rooms"][&room]), ["two"]);
        scene.server.crash();
        assert_eq!(client.next()["rooms"], json!({}));
    }
}

#[test]
fn what_wakes_a_client_does_not_have_all_spaces_asked_again() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let space = json!({ "creation_content": { "type": "m.space" } });
    let spaces: Vec<_> = (0..20).map(|_| scene.room(&alice, &space)).collect();
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    let asked = |spaces: &[String]| {
        let mut client = Client::of(&scene, &alice, 1);
        let all = client.list().clone();
        client.body["lists"]["some"] = all;
        client.body["lists"]["some"]["filters"] = json!({ "spaces": spaces });
        let events: Vec<_> = (0..20).map(|n| scene.say(&alice, &room, &format!("{n}"))).collect();
        settle(&scene);
        client.next();
        client.next();
        let line = format!("{SYNC}?timeout=30000&pos={}", client.pos.as_deref().unwrap());
        let body = client.body.to_string();
        let waiting = alice.server.request(alice.request(("POST", &line), body));
        let world = scene.server.world();
        let reading = async {
            for event in &events {
                let line = reads(&room, event);
                let request = bob.request(line.split_once(' ').unwrap(), "{}".to_owned());
                assert_eq!(bob.server.request(request).await.unwrap().status(), 200);
                world.sleep(Duration::from_millis(700)).await;
            }
        };
        let before = world.units().object_requests;
        let (answer, ()) = scene.simulation.run(join(waiting, reading));
        assert_eq!(Answer::of(answer.unwrap()).ok()["rooms"], json!({}));
        world.units().object_requests - before
    };
    let (with, without) = (asked(&spaces), asked(&[]));
    assert!(with < without + 5 * 20, "{with} {without}");
}

#[test]
fn a_room_that_its_space_names_meanwhile_comes() {
    let scene = one_server();
    let alice = scene.register("alice");
    let space = scene.room(&alice, &json!({ "creation_content": { "type": "m.space" } }));
    let room = scene.room(&alice, &json!({}));
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["filters"] = json!({ "spaces": [space] });
    assert_eq!(client.next()["lists"]["all"]["count"], 0);
    let line =
        format!("PUT /_matrix/client/v3/rooms/{space}/state/m.space.child/{}", encode(&room));
    let begun = scene.simulation.now();
    let answer = client.waits(&[(&alice, line, json!({ "via": ["example.org"] }))], false);
    let answer = &answer["answer"];
    assert_eq!((rooms(answer), &answer["lists"]["all"]["count"]), (vec![room], &json!(1)));
    assert!(scene.simulation.now() - begun < 20_000);
}
