//! What does a client learn that happened while it did not see the room?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use super::*;

/// Two users, and a room in which both are.
fn shared(scene: &Scene, names: [&str; 2]) -> ([User; 2], String) {
    let users = names.map(|name| scene.register(name));
    let room = scene.room(&users[0], &json!({ "preset": "public_chat" }));
    scene.act(&users[1], &room, "join", &json!({})).ok();
    settle(scene);
    (users, room)
}

fn types(scene: &Scene, user: &User, room: &str, typing: bool) {
    let line = format!("PUT /_matrix/client/v3/rooms/{room}/typing/{}", encode(&user.id));
    scene.call(Some(user), &line, &json!({ "typing": typing, "timeout": 90_000 })).ok();
    settle(scene);
}

fn read(scene: &Scene, user: &User, room: &str, event: &str) {
    let line = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(event));
    scene.call(Some(user), &line, &json!({})).ok();
    settle(scene);
}

impl Client<'_> {
    /// Has a response while no room is in sight.
    fn looks_away(&mut self) {
        self.list()["ranges"] = json!([]);
        self.next();
        self.list()["ranges"] = json!([[0, 9]]);
    }

    /// Who is said to type in a room.
    fn told_typing(&mut self, room: &str) -> Value {
        self.next()["extensions"]["typing"]["rooms"][room]["content"]["user_ids"].clone()
    }
}

#[test]
fn who_types_is_told_when_the_room_is_back() {
    let scene = one_server();
    let ([alice, bob], room) = shared(&scene, ["alice", "bob"]);
    let mut client = Client::of(&scene, &alice, 1);
    client.body["extensions"] = json!({ "typing": { "enabled": true } });
    assert_eq!(client.told_typing(&room), json!(null));
    for typing in [true, false] {
        types(&scene, &bob, &room, typing);
        client.looks_away();
        let users = if typing { json!([bob.id]) } else { json!([]) };
        assert_eq!(client.told_typing(&room), users);
        assert_eq!(client.told_typing(&room), json!(null));
    }
}

#[test]
fn who_types_is_told_when_it_is_asked_for() {
    let scene = one_server();
    let ([alice, bob], room) = shared(&scene, ["alice", "bob"]);
    let mut client = Client::of(&scene, &alice, 1);
    types(&scene, &bob, &room, true);
    client.next();
    client.body["extensions"] = json!({ "typing": { "enabled": true } });
    assert_eq!(client.told_typing(&room), json!([bob.id]));
}

#[test]
fn what_is_unread_is_told_when_the_room_is_back() {
    let scene = one_server();
    let ([alice, bob], room) = shared(&scene, ["alice", "bob"]);
    let event = scene.say(&bob, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    assert_eq!(client.next_of(&room)["notification_count"], 1);
    read(&scene, &alice, &room, &event);
    client.looks_away();
    assert_eq!(client.next_of(&room)["notification_count"], 0);
    assert_eq!(client.next()["rooms"], json!({}));
}

#[test]
fn a_room_that_is_forgotten_is_left_first_on_each_connection() {
    let scene = one_server();
    let ([alice, bob], room) = shared(&scene, ["alice", "bob"]);
    let want = json!({ "timeline_limit": 1, "required_state": [["m.room.member", "$ME"]] });
    let connection = |name: &str, body: Value| {
        let mut client = Client::of(&scene, &bob, 1);
        client.body = body;
        client.body["conn_id"] = json!(name);
        client
    };
    let mut list = want.clone();
    list["ranges"] = json!([[0, 9]]);
    let by_list = json!({ "lists": { "all": list } });
    let by_name = json!({ "room_subscriptions": { &*room: want } });
    let mut clients =
        [("list", &by_list), ("name", &by_name)].map(|(name, body)| connection(name, body.clone()));
    for client in &mut clients {
        assert_eq!(client.next_of(&room)["initial"], true);
    }
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.act(&bob, &room, "forget", &json!({})).ok();
    scene.say(&alice, &room, "nobody hears");
    settle(&scene);
    for client in &mut clients {
        let left = client.next_of(&room);
        assert_eq!(left["required_state"][0]["content"]["membership"], "leave", "{left}");
        let after = client.next();
        assert_eq!(after["rooms"], json!({}));
        assert!(after["lists"].get("all").is_none_or(|list| list["count"] == 0), "{after}");
    }
    for (name, body) in [("list", by_list), ("name", by_name)] {
        assert_eq!(connection(name, body).next()["rooms"], json!({}));
    }
}
