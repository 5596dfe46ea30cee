//! Which rooms are listed, and in what order?

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tombolo_support::text;

use super::Served;

impl Served {
    /// The names of the rooms of a list, and how many there are in all.
    fn names(&self, query: &str) -> (Vec<String>, u64) {
        let list = self.get(&format!("v1/rooms{query}")).ok();
        let rooms = list["rooms"].as_array().unwrap();
        let names = rooms.iter().map(|room| text(&room["name"])).collect();
        (names, list["total_rooms"].as_u64().unwrap())
    }
}

/// A server with rooms that differ.
fn served() -> Served {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    scene.room(alice, &json!({ "name": "Beta", "room_version": "11" }));
    let open = json!({
        "name": "alpha", "preset": "public_chat", "visibility": "public", "room_alias_name": "Garden",
        "room_version": "10",
    });
    let alpha = scene.room(alice, &open);
    server.two.through(bob, "join", &alpha).ok();
    let dora = scene.register("dora");
    let gone = scene.room(&dora, &json!({ "name": "Gone", "room_version": "9" }));
    let key = ("org.example", "a");
    for count in 0..3 {
        scene.set(&dora, &gone, (key.0, &format!("{count}")), &json!({}));
    }
    scene.act(&dora, &gone, "leave", &json!({})).ok();
    scene.simulation.settle(60_000);
    server
}

#[test]
fn rooms_are_listed_as_they_are_asked_for() {
    let server = served();
    for (query, names) in [
        ("", &["Beta", "Gone", "alpha"][..]),
        ("?order_by=alphabetical", &["Beta", "Gone", "alpha"]),
        ("?dir=b", &["alpha", "Gone", "Beta"]),
        ("?order_by=size", &["alpha", "Beta", "Gone"]),
        ("?order_by=joined_members&dir=b", &["Gone", "Beta", "alpha"]),
        ("?order_by=canonical_alias&dir=b&public_rooms=true", &["alpha"]),
        ("?order_by=state_events&limit=1", &["Gone"]),
        ("?public_rooms=true", &["alpha"]),
        ("?public_rooms=false", &["Beta", "Gone"]),
        ("?empty_rooms=true", &["Gone"]),
        ("?empty_rooms=false", &["Beta", "alpha"]),
        ("?search_term=ALPH", &["alpha"]),
        ("?search_term=garden", &["alpha"]),
        ("?search_term=ours.test:8448&public_rooms=false", &["Beta", "Gone"]),
        ("?search_term=100%25", &[]),
        ("?from=1&limit=1", &["Gone"]),
        ("?from=9", &[]),
        ("?limit=0", &[]),
    ] {
        assert_eq!(server.names(query).0, names, "{query}");
    }
    for order in super::super::list::ORDERS {
        assert_eq!(server.names(&format!("?order_by={order}")).1, 3, "{order}");
    }
    assert_eq!((server.names("?from=9").1, server.names("?limit=0").1), (3, 3));
    let page = server.get("v1/rooms?from=1&limit=1").ok();
    assert_eq!(
        (&page["offset"], &page["next_batch"], &page["prev_batch"]),
        (&json!(1), &json!(2), &json!(0))
    );
    let last = server.get("v1/rooms?from=2&limit=1").ok();
    assert_eq!((&last["next_batch"], &last["prev_batch"]), (&Value::Null, &json!(1)));
    for query in [
        "from=-1",
        "limit=x",
        "order_by=password",
        "dir=x",
        "search_term=",
        "public_rooms=maybe",
        "empty_rooms=1",
    ] {
        server.get(&format!("v1/rooms?{query}")).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn rooms_that_are_alike_are_each_on_one_page() {
    let server = Served::new();
    (0..5).for_each(|_| drop(server.two.scene.room(&server.two.alice, &json!({}))));
    server.two.scene.simulation.settle(60_000);
    for (order, dir) in
        super::super::list::ORDERS.iter().flat_map(|order| [(order, "f"), (order, "b")])
    {
        let (mut seen, mut from) = (BTreeSet::new(), Some(0));
        while let Some(at) = from {
            let query = format!("order_by={order}&dir={dir}&limit=2&from={at}");
            let page = server.get(&format!("v1/rooms?{query}")).ok();
            for room in page["rooms"].as_array().unwrap() {
                assert!(seen.insert(text(&room["room_id"])), "{query}");
            }
            from = page["next_batch"].as_u64();
        }
        assert_eq!(seen.len(), 5, "{order} {dir}");
    }
}

#[test]
fn an_older_room_that_is_quiet_is_listed_too() {
    let server = served();
    let d1 = server.two.scene.server.d1();
    d1.run("UPDATE public_rooms SET overview = NULL WHERE summary IS NULL", &[]).unwrap();
    // What it is called is not known to D1 then: such rooms come first.
    assert_eq!(server.names(""), (vec!["Beta".to_owned(), "alpha".to_owned()], 2));
}

#[test]
fn a_name_that_changes_is_found_under_the_new_one() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let room = scene.room(alice, &json!({ "name": "Old" }));
    scene.simulation.settle(60_000);
    assert_eq!(server.names("?search_term=old").1, 1);
    scene.set(alice, &room, ("m.room.name", ""), &json!({ "name": "New" }));
    scene.simulation.settle(60_000);
    assert_eq!((server.names("?search_term=old").1, server.names("?search_term=new").1), (0, 1));
}
