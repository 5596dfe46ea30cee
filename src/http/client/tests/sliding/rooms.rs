//! What is a room's entry?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use super::*;

fn named(scene: &Scene, user: &User) -> String {
    scene.room(user, &json!({ "name": "n", "preset": "public_chat" }))
}

#[test]
fn a_room_is_shown_whole_once_and_then_what_changed() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    scene.say(&alice, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 2);
    client.list()["required_state"] = json!([["m.room.create", ""], ["m.room.topic", ""]]);
    let first = client.next_of(&room);
    assert_eq!(first["initial"], true);
    assert_eq!((&first["name"], &first["joined_count"]), (&json!("n"), &json!(1)));
    assert_eq!((&first["limited"], &first["num_live"]), (&json!(true), &json!(0)));
    assert_eq!(said(&first), ["one"]);
    assert_eq!(state(&first), pairs(&[("m.room.create", "")]));
    assert!(first.get("heroes").is_none() && first.get("avatar").is_none());
    assert_eq!(client.next()["rooms"], json!({}));
    scene.say(&alice, &room, "two");
    settle(&scene);
    let second = client.next_of(&room);
    assert_eq!((said(&second), &second["num_live"]), (vec!["two".to_owned()], &json!(1)));
    assert_eq!(second["limited"], false);
    for unchanged in ["initial", "name", "joined_count", "required_state", "heroes"] {
        assert!(second.get(unchanged).is_none(), "{unchanged}");
    }
    let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", encode(&bob.id));
    scene.call(Some(&bob), &line, &json!({ "displayname": "Bob" })).ok();
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.set(&alice, &room, ("m.room.topic", ""), &json!({ "topic": "t" }));
    scene.set(&alice, &room, ("m.room.name", ""), &json!({ "name": "" }));
    settle(&scene);
    let third = client.next_of(&room);
    assert_eq!((&third["name"], &third["joined_count"]), (&Value::Null, &json!(2)));
    assert!(third.as_object().unwrap().contains_key("name"));
    assert_eq!(state(&third), pairs(&[("m.room.topic", "")]));
    assert_eq!(third["heroes"], json!([{ "user_id": bob.id, "displayname": "Bob" }]));
    // Two events fit, of three.
    assert_eq!((&third["limited"], &third["num_live"]), (&json!(true), &json!(2)));
}

#[test]
fn the_history_before_the_timeline_begins_where_it_says() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = named(&scene, &alice);
    for body in ["one", "two", "three"] {
        scene.say(&alice, &room, body);
    }
    let mut client = Client::of(&scene, &alice, 1);
    let answer = client.next();
    let shown = &answer["rooms"][&room];
    let messages = |from: &str, dir: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir={dir}&from={from}");
        scene.get(&alice, &path).ok()["chunk"][0]["content"]["body"].clone()
    };
    assert_eq!(messages(shown["prev_batch"].as_str().unwrap(), "b"), "two");
    // So does the token of the response itself.
    assert_eq!(messages(answer["pos"].as_str().unwrap(), "b"), "three");
}

#[test]
fn more_events_and_more_state_come_at_once_when_they_are_asked_for() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = named(&scene, &alice);
    for body in ["one", "two", "three"] {
        scene.say(&alice, &room, body);
    }
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    assert_eq!(said(&client.next_of(&room)), ["three"]);
    client.list()["timeline_limit"] = json!(3);
    let more = client.next_of(&room);
    assert_eq!(said(&more), ["one", "two", "three"]);
    assert_eq!((&more["num_live"], &more["unstable_expanded_timeline"]), (&json!(0), &json!(true)));
    assert!(more.get("initial").is_none());
    let want = json!({ "timeline_limit": 1, "required_state": [["m.room.name", ""]] });
    client.body["room_subscriptions"] = json!({ &*room: want });
    let more = client.next_of(&room);
    assert_eq!((state(&more), said(&more)), (pairs(&[("m.room.name", "")]), vec![]));
    // Less is no news.
    client.list()["timeline_limit"] = json!(1);
    client.body["room_subscriptions"] = json!({});
    assert_eq!(client.next()["rooms"], json!({}));
}

#[test]
fn state_is_chosen_by_patterns() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.set(&alice, &room, ("org.x", "k"), &json!({}));
    scene.say(&alice, &room, "one");
    settle(&scene);
    let member = |user: &User| ("m.room.member", user.id.clone());
    let (own, other) = (member(&alice), member(&bob));
    let (own, other) = ((own.0, own.1.as_str()), (other.0, other.1.as_str()));
    let shown = |wanted: Value| {
        let mut client = Client::of(&scene, &bob, 1);
        client.list()["required_state"] = wanted;
        state(&client.next_of(&room))
    };
    assert_eq!(shown(json!([["m.room.member", "$ME"]])), pairs(&[other]));
    assert_eq!(shown(json!([["m.room.member", "*"]])), pairs(&[own, other]));
    assert_eq!(shown(json!([["m.room.member", "$LAZY"]])), pairs(&[own]));
    assert_eq!(shown(json!([["*", "k"], ["org.y", "*"]])), pairs(&[("org.x", "k")]));
    let all = shown(json!([["*", "*"]]));
    assert!(all.len() >= 8 && all.contains(&pairs(&[other])[0]), "{all:?}");
    let lazy = shown(json!([["*", "*"], ["m.room.member", "$LAZY"]]));
    assert_eq!(all.len() - lazy.len(), 1);
    let of_bob = json!([["*", own.1], ["m.room.member", "$LAZY"]]);
    assert!(shown(of_bob).contains(&pairs(&[own])[0]));
    assert!(!lazy.contains(&pairs(&[other])[0]));
}

#[test]
fn members_come_lazily_with_what_they_say_and_as_they_change() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    for user in [&bob, &carol] {
        scene.act(user, &room, "join", &json!({})).ok();
    }
    scene.say(&alice, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["required_state"] = json!([["m.room.member", "$LAZY"]]);
    let member = |user: &User| pairs(&[("m.room.member", &user.id)]);
    assert_eq!(state(&client.next_of(&room)), member(&alice));
    scene.say(&bob, &room, "two");
    settle(&scene);
    assert_eq!(state(&client.next_of(&room)), member(&bob));
    scene.act(&carol, &room, "leave", &json!({})).ok();
    settle(&scene);
    let left = client.next_of(&room);
    assert_eq!(state(&left), member(&carol));
    assert_eq!(left["required_state"][0]["content"]["membership"], "leave");
}

#[test]
fn a_room_moves_up_by_what_is_said_and_not_by_who_comes() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    scene.say(&alice, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    let first = client.next_of(&room)["bump_stamp"].clone();
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    assert_eq!(client.next_of(&room)["bump_stamp"], first);
    scene.say(&bob, &room, "two");
    settle(&scene);
    assert!(client.next_of(&room)["bump_stamp"].as_u64() > first.as_u64());
}

#[test]
fn what_is_new_to_the_client_tells_apart_what_has_just_happened() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    scene.say(&alice, &room, "old");
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 10);
    client.next();
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.say(&alice, &room, "new");
    settle(&scene);
    let shown = client.next_of(&room);
    // The join and what was said after it.
    assert_eq!((said(&shown), &shown["num_live"]), (vec!["old".into(), "new".into()], &json!(2)));
}

#[test]
fn who_comes_back_is_shown_the_room_from_the_beginning() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    let direct = format!("PUT /_matrix/client/v3/user/{}/account_data/m.direct", encode(&bob.id));
    scene.call(Some(&bob), &direct, &json!({ &alice.id: [room] })).ok();
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.say(&alice, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 20);
    assert_eq!(client.next_of(&room)["is_dm"], true);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    settle(&scene);
    client.next();
    scene.say(&alice, &room, "two");
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    let again = client.next_of(&room);
    assert_eq!((&again["initial"], &again["is_dm"]), (&json!(true), &json!(true)));
    assert_eq!(said(&again), ["one", "two"]);
}

#[test]
fn a_room_with_an_alias_alone_is_called_after_its_members() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "room_alias_name": "pier", "invite": [bob.id] }));
    settle(&scene);
    let shown = Client::of(&scene, &alice, 1).next_of(&room);
    assert_eq!(shown["heroes"][0]["user_id"], bob.id);
}

#[test]
fn what_is_beside_a_room_that_was_left_is_no_news() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = named(&scene, &alice);
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    client.next();
    scene.act(&alice, &room, "leave", &json!({})).ok();
    settle(&scene);
    assert_eq!(rooms(&client.next()), [&*room]);
    let direct = format!("PUT /_matrix/client/v3/user/{}/account_data/m.direct", encode(&alice.id));
    scene.call(Some(&alice), &direct, &json!({ "@bob:x": [room] })).ok();
    assert_eq!(client.next()["rooms"], json!({}));
}

#[test]
fn nothing_is_shown_of_what_the_user_may_not_see() {
    let scene = one_server();
    let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| scene.register(name));
    let hidden = json!({ "history_visibility": "joined" });
    let state =
        json!([{ "type": "m.room.history_visibility", "state_key": "", "content": hidden }]);
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "initial_state": state }));
    scene.say(&alice, &room, "before");
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    let want = json!({ "timeline_limit": 50, "required_state": [["*", "*"]] });
    let subscribed = |user| {
        let mut client = Client::of(&scene, user, 1);
        client.body["room_subscriptions"] =
            json!({ &*room: want, "!other:x": want, "no room": want });
        client
    };
    assert_eq!(subscribed(&eve).next()["rooms"], json!({}));
    let mut client = subscribed(&bob);
    assert!(said(&client.next_of(&room)).is_empty());
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.say(&alice, &room, "after");
    scene.set(&alice, &room, ("m.room.topic", ""), &json!({ "topic": "secret" }));
    settle(&scene);
    for shown in [client.next_of(&room), subscribed(&bob).next_of(&room)] {
        assert!(said(&shown).is_empty() && !shown.to_string().contains("secret"), "{shown}");
    }
}

#[test]
fn direct_messages_and_what_is_unread_are_said_where_they_change() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = named(&scene, &alice);
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    assert!(client.next_of(&room).get("is_dm").is_none());
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.direct", encode(&alice.id));
    for (direct, is_dm) in [(json!({ &bob.id: [room] }), true), (json!({ "x": "y" }), false)] {
        scene.call(Some(&alice), &line, &direct).ok();
        let told = client.next_of(&room);
        assert_eq!((&told["is_dm"], told.get("timeline")), (&json!(is_dm), None));
    }
    let event = scene.say(&bob, &room, "one");
    settle(&scene);
    assert_eq!(client.next_of(&room)["notification_count"], 1);
    let read = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(&event));
    scene.call(Some(&alice), &read, &json!({})).ok();
    settle(&scene);
    assert_eq!(client.next_of(&room)["notification_count"], 0);
}
