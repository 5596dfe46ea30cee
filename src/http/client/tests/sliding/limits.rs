//! How much may a client want at once?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// Lists that want so many elements of state each; what they want begins with a name, if it is not the same.
fn lists(number: usize, elements: usize, same: bool) -> Value {
    let list = |list: usize| {
        let kind = |n: usize| format!("org.x{}.{n}", if same { 0 } else { list });
        let required: Vec<_> = (0..elements).map(|n| [kind(n), String::new()]).collect();
        (
            format!("list{list}"),
            json!({ "timeline_limit": 1, "required_state": required, "ranges": [[0, 9]] }),
        )
    };
    json!((0..number).map(list).collect::<BTreeMap<_, _>>())
}

#[test]
fn all_lists_together_want_so_much_and_no_more() {
    let scene = one_server();
    let alice = scene.register("alice");
    scene.room(&alice, &json!({}));
    settle(&scene);
    let line = format!("POST {SYNC}");
    let asks = |lists: Value| scene.call(Some(&alice), &line, &json!({ "lists": lists }));
    // Lists that want the same want it once.
    let answer = asks(lists(100, 200, true)).ok();
    assert_eq!(rooms(&answer).len(), 1);
    asks(lists(50, 20, false)).ok();
    asks(lists(51, 20, false)).refused(400, "M_INVALID_PARAM");
    asks(lists(100, 200, false)).refused(400, "M_INVALID_PARAM");
    let with_ranges = |number: usize| {
        let ranges: Vec<_> = (0..number).map(|n| [n, n]).collect();
        let list = json!({ "timeline_limit": 1, "ranges": ranges });
        json!({ "a": list, "b": list })
    };
    asks(with_ranges(100)).ok();
    asks(with_ranges(101)).refused(400, "M_INVALID_PARAM");
}

#[test]
fn many_rooms_of_which_much_is_wanted_come_in_several_responses() {
    let scene = one_server();
    let alice = scene.register("alice");
    (0..30).for_each(|_| _ = scene.room(&alice, &json!({})));
    settle(&scene);
    let kind = |n: usize| format!("{n}{}", "x".repeat(3_000));
    let required: Vec<_> = (0..100).map(|n| [kind(n), String::new()]).collect();
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["required_state"] = json!(required);
    let shown = [(); 4].map(|()| rooms(&client.next()).len());
    assert!(shown[0] < 20 && shown.iter().sum::<usize>() == 30, "{shown:?}");
}

#[test]
fn the_state_of_a_room_is_read_once_however_many_elements_name_it() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    settle(&scene);
    let read = |elements: Vec<[String; 2]>| {
        let mut client = Client::of(&scene, &alice, 1);
        client.list()["required_state"] = json!(elements);
        let before = scene.server.world().units().rows_read;
        let shown = client.next_of(&room);
        (scene.server.world().units().rows_read - before, state(&shown).len())
    };
    let named = |kind: &str, number: usize| -> Vec<_> {
        (0..number).map(|n| [kind.to_owned(), format!("x{n}")]).collect()
    };
    read(named("*", 1));
    assert_eq!(read(named("*", 150)), read(named("*", 1)));
    let twice = |kind: &str, number: usize| vec![[kind.to_owned(), "*".to_owned()]; number];
    let (once, all) = read(twice("*", 1));
    assert_eq!((read(twice("*", 150)), all > 5), ((once, all), true));
    let member = "m.room.member";
    assert_eq!(read(twice(member, 150)), read(twice(member, 1)));
}

#[test]
fn names_are_few() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = format!("POST {SYNC}");
    let names = |number: usize| json!((0..number).map(|n| format!("n{n}")).collect::<Vec<_>>());
    let filtered = |filter: &str, number: usize| {
        let filters = json!({ filter: names(number / 2) });
        let list = json!({ "timeline_limit": 1, "filters": filters, "ranges": [] });
        json!({ "lists": { "a": list, "b": list } })
    };
    let extended = |extension: &str, which: &str, number: usize| {
        let mut wanted = json!({ "enabled": true });
        wanted[which] = names(number);
        json!({ "extensions": { extension: wanted } })
    };
    let mut bodies = Vec::new();
    for filter in ["tags", "not_tags", "room_types", "not_room_types"] {
        bodies.push((filtered(filter, 1_000), filtered(filter, 1_002)));
    }
    for extension in ["typing", "receipts", "account_data"] {
        bodies.push((extended(extension, "lists", 100), extended(extension, "lists", 101)));
        bodies.push((extended(extension, "rooms", 1_000), extended(extension, "rooms", 1_001)));
    }
    for (some, many) in bodies {
        scene.call(Some(&alice), &line, &some).ok();
        scene.call(Some(&alice), &line, &many).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn a_poll_reads_as_much_with_many_rooms_as_with_few() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let first = scene.room(&bob, &json!({ "preset": "public_chat" }));
    scene.act(&alice, &first, "join", &json!({})).ok();
    let mut client = Client::of(&scene, &alice, 1);
    client.list()["filters"] = json!({ "not_tags": ["m.lowpriority"], "is_dm": false });
    client.body["extensions"] = json!({ "typing": { "enabled": true } });
    let mut read = || {
        settle(&scene);
        client.next();
        client.next();
        let before = scene.server.world().units().rows_read;
        client.next();
        scene.server.world().units().rows_read - before
    };
    let few = read();
    for number in 0..20 {
        let room = scene.room(&alice, &json!({}));
        let user = tombolo_support::encode(&alice.id);
        let line = format!("PUT /_matrix/client/v3/user/{user}/rooms/{room}/tags/t{number}");
        scene.call(Some(&alice), &line, &json!({})).ok();
    }
    assert_eq!(read(), few);
}
