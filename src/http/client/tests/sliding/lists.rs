//! Which rooms does a list have, and which of them are shown?

use ruma::OwnedUserId;
use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use super::*;
use crate::objects::user_object;

fn room(scene: &Scene, user: &User, more: &Value) -> String {
    let room = scene.room(user, more);
    // What happens in one millisecond has no order.
    settle(scene);
    room
}

/// How many rooms a list with this filter has, and which.
fn filtered(scene: &Scene, user: &User, filter: Value) -> Vec<String> {
    let mut client = Client::of(scene, user, 1);
    client.list()["filters"] = filter;
    let answer = client.next();
    let shown = rooms(&answer);
    assert_eq!(answer["lists"]["all"]["count"], shown.len());
    shown
}

#[test]
fn a_range_has_the_rooms_in_which_something_happened_last() {
    let scene = one_server();
    let alice = scene.register("alice");
    let ids: Vec<String> = (0..4).map(|_| room(&scene, &alice, &json!({}))).collect();
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["ranges"] = json!([[0, 1]]);
    let answer = client.next();
    assert_eq!(answer["lists"]["all"]["count"], 4);
    let mut newest = vec![ids[2].clone(), ids[3].clone()];
    newest.sort();
    assert_eq!(rooms(&answer), newest);
    // What happens in a room brings it into the range, as one that is new to the client.
    scene.say(&alice, &ids[0], "up");
    settle(&scene);
    let answer = client.next();
    assert_eq!(rooms(&answer), [&*ids[0]]);
    assert_eq!(answer["rooms"][&ids[0]]["initial"], true);
    // A wider range shows only what the client was not sent.
    client.list()["ranges"] = json!([[0, 99]]);
    assert_eq!(rooms(&client.next()), [&*ids[1]]);
    assert!(rooms(&client.next()).is_empty());
}

#[test]
fn what_is_missed_out_of_the_range_comes_when_the_room_is_back() {
    let scene = one_server();
    let alice = scene.register("alice");
    let ids: Vec<String> = (0..2).map(|_| room(&scene, &alice, &json!({}))).collect();
    let mut client = Client::of(&scene, &alice, 10);
    assert_eq!(rooms(&client.next()).len(), 2);
    client.list()["ranges"] = json!([[0, 0]]);
    scene.say(&alice, &ids[0], "one");
    settle(&scene);
    scene.say(&alice, &ids[1], "other");
    settle(&scene);
    assert_eq!(rooms(&client.next()), [&*ids[1]]);
    client.list()["ranges"] = json!([[0, 1]]);
    let back = client.next_of(&ids[0]);
    assert_eq!((said(&back), &back["initial"]), (vec!["one".to_owned()], &Value::Null));
}

#[test]
fn receipts_bring_no_room_up() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let ids: Vec<String> =
        (0..2).map(|_| room(&scene, &alice, &json!({ "preset": "public_chat" }))).collect();
    scene.act(&bob, &ids[0], "join", &json!({})).ok();
    settle(&scene);
    let event = scene.say(&alice, &ids[0], "a");
    settle(&scene);
    scene.say(&alice, &ids[1], "b");
    settle(&scene);
    let path =
        format!("POST /_matrix/client/v3/rooms/{}/receipt/m.read/{}", ids[0], encode(&event));
    scene.call(Some(&bob), &path, &json!({})).ok();
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["ranges"] = json!([[0, 0]]);
    assert_eq!(rooms(&client.next()), [&*ids[1]]);
}

#[test]
fn filters_choose_by_what_a_room_is() {
    let scene = one_server();
    let alice = scene.register("alice");
    let plain = room(&scene, &alice, &json!({}));
    let space = room(&scene, &alice, &json!({ "creation_content": { "type": "m.space" } }));
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    let encryption = json!({ "type": "m.room.encryption", "state_key": "", "content": algorithm });
    let secret = room(&scene, &alice, &json!({ "initial_state": [encryption] }));
    let line = |path: &str| format!("PUT /_matrix/client/v3/user/{}/{path}", encode(&alice.id));
    let direct = json!({ "@bob:x": [secret] });
    scene.call(Some(&alice), &line("account_data/m.direct"), &direct).ok();
    let tag = format!("rooms/{plain}/tags/m.favourite");
    scene.call(Some(&alice), &line(&tag), &json!({})).ok();
    for (filter, shown) in [
        (json!({ "is_encrypted": true }), vec![&secret]),
        (json!({ "is_encrypted": false }), vec![&plain, &space]),
        (json!({ "room_types": ["m.space"] }), vec![&space]),
        (json!({ "room_types": [null] }), vec![&plain, &secret]),
        (json!({ "not_room_types": ["m.space"] }), vec![&plain, &secret]),
        (json!({ "room_types": ["m.space"], "not_room_types": ["m.space"] }), vec![]),
        (json!({ "is_dm": true }), vec![&secret]),
        (json!({ "is_dm": false }), vec![&plain, &space]),
        (json!({ "tags": ["m.favourite", "x"] }), vec![&plain]),
        (json!({ "not_tags": ["m.favourite"] }), vec![&space, &secret]),
        (json!({ "is_invite": true }), vec![]),
        (json!({ "is_dm": null, "room_types": null }), vec![&plain, &space, &secret]),
    ] {
        let mut shown: Vec<String> = shown.into_iter().cloned().collect();
        shown.sort();
        assert_eq!(filtered(&scene, &alice, filter.clone()), shown, "{filter}");
    }
}

#[test]
fn the_rooms_of_a_space_are_those_that_it_names_itself() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let kind = json!({ "type": "m.space" });
    let [space, inner, theirs] = [&alice, &alice, &bob].map(|user| {
        room(&scene, user, &json!({ "creation_content": kind, "preset": "public_chat" }))
    });
    let [near, far] = [(); 2].map(|()| room(&scene, &alice, &json!({})));
    let via = json!({ "via": ["example.org"] });
    let link = |user: &User, space: &str, child: &str| {
        scene.set(user, space, ("m.space.child", child), &via);
    };
    link(&alice, &space, &near);
    link(&alice, &space, &inner);
    link(&alice, &inner, &far);
    link(&bob, &theirs, &far);
    settle(&scene);
    let mut shown = vec![near, inner.clone()];
    shown.sort();
    let spaces = [&*space, &*theirs, "!unknown:x", "no room"];
    assert_eq!(filtered(&scene, &alice, json!({ "spaces": spaces })), shown);
}

#[test]
fn who_leaves_is_told_so_once_and_who_is_removed_always() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let [left, kicked] =
        [(); 2].map(|()| room(&scene, &alice, &json!({ "preset": "public_chat" })));
    for room in [&left, &kicked] {
        scene.act(&bob, room, "join", &json!({})).ok();
    }
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 5);
    client.list()["required_state"] = json!([["m.room.member", "$ME"]]);
    assert_eq!(rooms(&client.next()).len(), 2);
    scene.act(&bob, &left, "leave", &json!({})).ok();
    scene.act(&alice, &kicked, "kick", &json!({ "user_id": bob.id })).ok();
    settle(&scene);
    scene.say(&alice, &left, "nobody hears");
    settle(&scene);
    let answer = client.next();
    for room in [&left, &kicked] {
        let own = &answer["rooms"][room]["required_state"][0];
        assert_eq!(own["content"]["membership"], "leave", "{answer}");
        assert!(said(&answer["rooms"][room]).is_empty());
    }
    assert!(rooms(&client.next()).is_empty());
    let begun = Client::of(&scene, &bob, 5).next();
    assert_eq!(rooms(&begun), [&*kicked]);
    assert_eq!(begun["rooms"][&kicked]["num_live"], 0);
}

#[test]
fn an_invite_shows_what_it_says_and_no_more() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = room(&scene, &alice, &json!({ "name": "n", "topic": "secret", "invite": [bob.id] }));
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 5);
    client.list()["required_state"] = json!([["*", "*"]]);
    client.list()["filters"] = json!({ "is_invite": true });
    let invite = client.next_of(&room);
    let events = invite["invite_state"].as_array().unwrap();
    assert!(events.iter().any(|event| event["content"]["name"] == "n"));
    for hidden in ["timeline", "required_state", "prev_batch", "joined_count", "heroes"] {
        assert!(invite.get(hidden).is_none(), "{hidden}");
    }
    assert!(invite["bump_stamp"].is_u64());
    // To want more of it is no news.
    client.list()["timeline_limit"] = json!(20);
    for _ in 0..2 {
        assert_eq!(client.next()["rooms"], json!({}));
    }
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    client.list()["filters"] = json!({});
    let joined = client.next_of(&room);
    assert_eq!((&joined["initial"], &joined["name"]), (&json!(true), &json!("n")));
}

#[test]
fn invites_of_who_is_ignored_are_in_no_list() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let line =
        format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", encode(&bob.id));
    let list = json!({ "ignored_users": { &alice.id: {} } });
    scene.call(Some(&bob), &line, &list).ok();
    let room = room(&scene, &alice, &json!({ "invite": [bob.id] }));
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 5);
    let want = json!({ "timeline_limit": 1, "required_state": [] });
    client.body["room_subscriptions"] = json!({ room: want });
    let answer = client.next();
    assert_eq!((rooms(&answer).len(), &answer["lists"]["all"]["count"]), (0, &json!(0)));
}

#[test]
fn what_rooms_are_is_found_out_where_nobody_said_it_yet() {
    let scene = one_server();
    let alice = scene.register("alice");
    let plain = room(&scene, &alice, &json!({}));
    let space = room(&scene, &alice, &json!({ "creation_content": { "type": "m.space" } }));
    settle(&scene);
    let address = user_object(&OwnedUserId::try_from(alice.id.as_str()).unwrap());
    let untold = || {
        let sql = scene.server.sql(&address).unwrap();
        let count = "SELECT count(*) FROM stream WHERE traits IS NULL";
        sql.row(count, &[], |row| row.int(0)).unwrap().unwrap()
    };
    let sql = scene.server.sql(&address).unwrap();
    sql.run("UPDATE stream SET traits = NULL, active = 0", &[]).unwrap();
    scene.server.evict();
    assert!(untold() > 0);
    assert_eq!(filtered(&scene, &alice, json!({ "room_types": ["m.space"] })), [space]);
    assert_eq!(filtered(&scene, &alice, json!({ "room_types": [null] })), [plain]);
    scene.server.evict();
    assert_eq!(untold(), 0);
}
