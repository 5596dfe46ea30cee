//! How does a connection go on, and what becomes of what gets lost?

use ruma::OwnedUserId;
use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Scene, User, encode, text};

use super::*;
use crate::objects::user_object;

fn rows(scene: &Scene, user: &User) -> i64 {
    let address = user_object(&OwnedUserId::try_from(user.id.as_str()).unwrap());
    let sql = scene.server.sql(&address);
    let count = "SELECT count(*) FROM connections";
    sql.unwrap().row(count, &[], |row| row.int(0)).unwrap().unwrap()
}

#[test]
fn a_response_that_got_lost_is_given_again() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    client.next();
    scene.say(&alice, &room, "one");
    settle(&scene);
    for _ in 0..3 {
        let lost = client.asks().ok();
        assert_eq!(said(&lost["rooms"][&room]), ["one"]);
    }
    scene.server.crash();
    assert_eq!(said(&client.next_of(&room)), ["one"]);
    assert_eq!(client.next()["rooms"], json!({}));
    // A lost answer may be kept beside the two that are of use; it goes as soon as the client goes on.
    assert_eq!(rows(&scene, &alice), 1);
}

#[test]
fn a_request_that_was_given_up_takes_no_position_away() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    client.next();
    let before = client.pos.clone();
    for number in 0..3 {
        scene.say(&alice, &room, &number.to_string());
        settle(&scene);
        client.next();
        let got = client.pos.clone();
        // The same was asked before, of a server that answered late.
        client.pos.clone_from(&before);
        scene.say(&alice, &room, "late");
        settle(&scene);
        client.asks();
        assert!(rows(&scene, &alice) <= 3);
        client.pos = got;
        assert_eq!(said(&client.next_of(&room)), ["late"]);
    }
}

#[test]
fn a_connection_in_which_nothing_happens_is_in_use() {
    let scene = one_server();
    let alice = scene.register("alice");
    let connect = |name: &str| {
        let mut client = Client::of(&scene, &alice, 5);
        client.body["conn_id"] = json!(name);
        client.next();
        client
    };
    let mut quiet = connect("quiet");
    scene.pass(1000);
    let others = ["a", "b", "c", "d", "e", "f", "g"].map(connect);
    scene.pass(2 * 86_400_000);
    quiet.next();
    scene.pass(1000);
    connect("new");
    quiet.next();
    let ended = others.iter().filter(|client| client.asks().status != 200).count();
    assert_eq!(ended, 1);
}

#[test]
fn what_a_room_was_sent_by_is_known_whatever_others_are_asked_for() {
    let scene = one_server();
    let alice = scene.register("alice");
    let mut ids: Vec<String> = (0..2).map(|_| scene.room(&alice, &json!({}))).collect();
    ids.sort();
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    let state = json!([["m.room.create", ""]]);
    let want = |limit: u32| json!({ "timeline_limit": limit, "required_state": state });
    let direct = format!("PUT /_matrix/client/v3/user/{}/account_data/m.direct", encode(&alice.id));
    for number in 0..90 {
        let more = if number == 0 { 1 } else { 1 + number % 50 };
        client.body = json!({ "room_subscriptions": { &*ids[0]: want(more), &*ids[1]: want(7) } });
        if number % 2 == 0 {
            client.body["room_subscriptions"][&ids[0]]["required_state"] =
                json!([["m.room.create", format!("{number}")]]);
        }
        let rooms = if number % 2 == 0 { vec![&ids[1]] } else { vec![] };
        scene.call(Some(&alice), &direct, &json!({ "@bob:x": rooms })).ok();
        let other = client.next_of(&ids[1]);
        assert_eq!(other.get("required_state").is_some(), number == 0, "{number}: {other}");
    }
}

#[test]
fn nothing_new_writes_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    scene.room(&alice, &json!({}));
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    client.next();
    let written = || scene.server.world().units().rows_written;
    let before = written();
    for _ in 0..5 {
        client.next();
    }
    assert_eq!(written(), before);
}

#[test]
fn a_position_is_known_on_its_connection_alone() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let mut client = Client::of(&scene, &alice, 5);
    client.next();
    let pos = client.pos.clone().unwrap();
    for wrong in ["c1_1", "s1", "t1", "c", "x", &pos.replace('_', "_9999"), &pos.replace('c', "c9")]
    {
        client.pos = Some(wrong.to_owned());
        client.asks().refused(400, "M_UNKNOWN_POS");
    }
    client.pos = Some(pos.clone());
    client.body["conn_id"] = json!("other");
    client.asks().refused(400, "M_UNKNOWN_POS");
    let mut other = Client::of(&scene, &bob, 5);
    other.pos = Some(pos.clone());
    other.asks().refused(400, "M_UNKNOWN_POS");
    // A connection that begins anew ends the one before.
    client.pos = None;
    client.body["conn_id"] = json!(null);
    client.next();
    client.pos = Some(pos);
    client.asks().refused(400, "M_UNKNOWN_POS");
}

#[test]
fn connections_are_few_and_end_with_their_device() {
    let scene = one_server();
    let alice = scene.register("alice");
    let mut first = Client::of(&scene, &alice, 5);
    first.body["conn_id"] = json!("first");
    first.next();
    for number in 0..20 {
        scene.pass(1000);
        let mut client = Client::of(&scene, &alice, 5);
        client.body["conn_id"] = json!(number.to_string());
        client.next();
    }
    assert_eq!(rows(&scene, &alice), 8);
    first.asks().refused(400, "M_UNKNOWN_POS");
    let login = json!({ "type": "m.login.password", "password": PASSWORD,
                        "identifier": { "type": "m.id.user", "user": "alice" } });
    let other = scene.call(None, "POST /_matrix/client/v3/login", &login).ok();
    let token = text(&other["access_token"]);
    let other = User { token, ..alice.clone() };
    let mut client = Client::of(&scene, &other, 5);
    client.next();
    assert_eq!(rows(&scene, &alice), 9);
    scene.call(Some(&other), "POST /_matrix/client/v3/logout", &json!({})).ok();
    assert_eq!(rows(&scene, &alice), 8);
    client.asks().refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn what_is_too_much_is_refused() {
    let scene = one_server();
    let alice = scene.register("alice");
    let refused = |body: Value, errcode: &str| {
        scene.call(Some(&alice), &format!("POST {SYNC}"), &body).refused(400, errcode);
    };
    let list = json!({ "timeline_limit": 1 });
    let lists: serde_json::Map<_, _> = (0..101).map(|n| (n.to_string(), list.clone())).collect();
    refused(json!({ "lists": lists }), "M_INVALID_PARAM");
    let rooms: serde_json::Map<_, _> =
        (0..1001).map(|n| (format!("!{n}:x"), list.clone())).collect();
    refused(json!({ "room_subscriptions": rooms }), "M_INVALID_PARAM");
    refused(json!({ "conn_id": "x".repeat(256) }), "M_INVALID_PARAM");
    let many = vec![["a", "b"]; 201];
    let list = json!({ "timeline_limit": 1, "required_state": many });
    refused(json!({ "lists": { "a": list } }), "M_INVALID_PARAM");
    let list = json!({ "timeline_limit": 1, "filters": { "spaces": vec!["!a:x"; 51] } });
    refused(json!({ "lists": { "a": list, "b": list } }), "M_INVALID_PARAM");
    for wrong in [
        json!({ "lists": [] }),
        json!({ "lists": { "a": {} } }),
        json!({ "lists": { "a": { "timeline_limit": -1 } } }),
        json!({ "lists": { "a": { "timeline_limit": 1, "ranges": [[0]] } } }),
        json!({ "lists": { "a": { "timeline_limit": 1, "ranges": [[-1, 5]] } } }),
        json!({ "extensions": 1 }),
        json!([]),
    ] {
        refused(wrong, "M_BAD_JSON");
    }
    let line = format!("POST {SYNC}?timeout=soon");
    scene.call(Some(&alice), &line, &json!({})).refused(400, "M_INVALID_PARAM");
    let range = json!([[5, 0], [0, 0], [0, u64::MAX]]);
    let list = json!({ "timeline_limit": 4_000_000_000_u32, "ranges": range });
    scene.call(Some(&alice), &format!("POST {SYNC}"), &json!({ "lists": { "a": list } })).ok();
}

#[test]
fn a_connection_remembers_so_much_and_no_more() {
    let scene = one_server();
    let alice = scene.register("alice");
    scene.room(&alice, &json!({}));
    settle(&scene);
    let long: Vec<_> = (0..200).map(|n| [format!("{n}{}", "x".repeat(200)), "*".into()]).collect();
    let list = |n: u64| json!({ "timeline_limit": n, "required_state": long });
    let mut client = Client::of(&scene, &alice, 1);
    // Each request wants something else; what no room has any more is forgotten.
    for n in 0..100 {
        client.body["lists"]["all"] = list(n);
        client.next();
    }
    let sent = "SELECT max(length(sent)) FROM connections";
    let address = user_object(&OwnedUserId::try_from(alice.id.as_str()).unwrap());
    let sql = scene.server.sql(&address).unwrap();
    let longest = sql.row(sent, &[], |row| row.int(0)).unwrap().unwrap();
    assert!(longest < 2_000_000, "{longest}");
}

#[test]
fn a_connection_goes_on_that_an_older_build_wrote() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.say(&bob, &room, "one");
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    client.body["extensions"] = json!({ "typing": { "enabled": true } });
    client.next();
    let address = user_object(&OwnedUserId::try_from(alice.id.as_str()).unwrap());
    let sql = scene.server.sql(&address).unwrap();
    let written = sql.row("SELECT sent FROM connections", &[], |row| row.text(0));
    let mut written: Value = serde_json::from_str(&written.unwrap().unwrap()).unwrap();
    let sent = written["rooms"][&room].as_object_mut().unwrap();
    sent.retain(|name, _| ["u", "m", "c", "d", "r", "a"].contains(&name.as_str()));
    sql.run("UPDATE connections SET sent = ?", &[(&*written.to_string()).into()]).unwrap();
    scene.server.evict();
    // What is unread is said once more: the older build did not note that it was.
    let again = client.next();
    assert_eq!(
        again["rooms"],
        json!({ &*room: { "notification_count": 1, "highlight_count": 0 } })
    );
    assert_eq!(again["extensions"], json!({}));
    assert_eq!(client.next()["rooms"], json!({}));
    scene.say(&bob, &room, "two");
    settle(&scene);
    assert_eq!(said(&client.next_of(&room)), ["two"]);
}

#[test]
fn a_client_waits_until_something_happens_in_what_it_sees() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let [seen, unseen] = [(); 2].map(|()| scene.room(&alice, &json!({ "preset": "public_chat" })));
    for room in [&seen, &unseen] {
        scene.act(&bob, room, "join", &json!({})).ok();
    }
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 5);
    let want = json!({ "timeline_limit": 5, "required_state": [] });
    client.body = json!({ "room_subscriptions": { &*seen: want } });
    client.next();
    let line = format!("{SYNC}?timeout=30000&pos={}", client.pos.as_deref().unwrap());
    let waiting = alice.server.request(alice.request(("POST", &line), client.body.to_string()));
    let speak = |room: &str, after: u64| {
        let world = scene.server.world();
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{after}");
        let message = json!({ "msgtype": "m.text", "body": after.to_string() }).to_string();
        let request = bob.request(("PUT", &path), message);
        let server = bob.server.clone();
        async move {
            world.sleep(std::time::Duration::from_millis(after)).await;
            server.request(request).await.unwrap();
        }
    };
    let begun = scene.simulation.now();
    let all = futures_util::future::join3(waiting, speak(&unseen, 5_000), speak(&seen, 10_000));
    let answer = Answer::of(scene.simulation.run(all).0.unwrap()).ok();
    assert_eq!(said(&answer["rooms"][&seen]), ["10000"]);
    assert!(scene.simulation.now() - begun >= 10_000);
    // The position from which it waited is good still.
    assert_eq!(said(&client.next_of(&seen)), ["10000"]);
}
