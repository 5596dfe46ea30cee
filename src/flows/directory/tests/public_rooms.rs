//! Do two servers show each other what they publish, and what of another server's answer is passed on?

use serde_json::{Value, json};
use tombolo_support::{Peer, encode, ok, refusal, text};

use crate::flows::tests::{PEER, ours, two_servers};

const ROOMS: &str = "/_matrix/client/v3/publicRooms";

#[test]
fn another_servers_rooms_are_asked_of_it() {
    let two = two_servers();
    let published = |more: Value| {
        let mut content = more;
        content["visibility"] = json!("public");
        two.scene.room(&two.alice, &content)
    };
    let room = published(json!({ "name": "Tea" }));
    published(json!({ "name": "Tea here", "creation_content": { "m.federate": false } }));
    let server = encode(two.scene.server.name());
    let listed = two.scene.get(&two.bob, &format!("{ROOMS}?server={server}&limit=5")).ok();
    assert_eq!(listed["chunk"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (text(&listed["chunk"][0]["room_id"]), listed["total_room_count_estimate"].as_u64()),
        (room, Some(1))
    );
    let line = format!("POST {ROOMS}?server={server}");
    for (term, count) in [("TEA", 1), ("coffee", 0)] {
        let body = json!({ "filter": { "generic_search_term": term } });
        let found = two.scene.call(Some(&two.bob), &line, &body).ok();
        assert_eq!(found["chunk"].as_array().map(Vec::len), Some(count), "{term}");
    }
    let own = two.scene.get(&two.bob, ROOMS).ok();
    assert_eq!(own["chunk"], json!([]));
}

#[test]
fn nothing_of_another_servers_answer_is_passed_on_but_well_formed_rooms() {
    let scene = ours();
    let (alice, peer) = (scene.register("alice"), Peer::new(&scene.simulation, PEER, 3));
    let room = json!({
        "room_id": "!a:peer.test", "num_joined_members": 7, "world_readable": true,
        "guest_can_join": false, "join_rule": "public", "name": "Name",
    });
    let mut spoilt = room.clone();
    spoilt["avatar_url"] = json!(1);
    spoilt["canonical_alias"] = json!("no alias");
    spoilt["num_joined_members"] = json!(-1);
    spoilt["secret"] = json!("x");
    let answer =
        json!({ "chunk": [room, 1, {}, { "room_id": "nonsense" }, spoilt], "next_batch": "t" });
    peer.on("publicRooms", move |_| ok(&answer));
    let path = format!("{ROOMS}?server={}", encode(PEER));
    let listed = scene.get(&alice, &path).ok();
    let mut second = room.clone();
    second["num_joined_members"] = json!(0);
    assert_eq!(listed, json!({ "chunk": [room, second], "next_batch": "t" }));
    peer.on("publicRooms", |_| refusal(401, "M_UNKNOWN_TOKEN"));
    scene.get(&alice, &path).refused(502, "M_UNKNOWN");
    let there = encode("nowhere.test");
    scene.get(&alice, &format!("{ROOMS}?server={there}")).refused(502, "M_UNKNOWN");
}
