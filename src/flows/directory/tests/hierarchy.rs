//! Is a space walked over several servers, and what of another server's answer counts?

use serde_json::{Value, json};
use tombolo_platform::simulated::Faults;
use tombolo_support::{Peer, Scene, User, encode, ok, refusal, text};

use crate::flows::tests::{OTHER, OURS, PEER, ours, two_servers};

fn space(scene: &Scene, user: &User) -> String {
    let kind = json!({ "type": "m.space" });
    scene.room(user, &json!({ "preset": "public_chat", "creation_content": kind }))
}

fn link(scene: &Scene, user: &User, parent: &str, (child, server): (&str, &str)) {
    scene.set(user, parent, ("m.space.child", child), &json!({ "via": [server] }));
}

fn walk(scene: &Scene, user: &User, room: &str) -> Vec<String> {
    let path = format!("/_matrix/client/v1/rooms/{room}/hierarchy");
    let page = scene.get(user, &path).ok();
    page["rooms"].as_array().unwrap().iter().map(|room| text(&room["room_id"])).collect()
}

#[test]
fn a_walk_goes_on_where_the_rooms_are() {
    let two = two_servers();
    let (scene, alice, bob) = (&two.scene, &two.alice, &two.bob);
    let (root, theirs) = (space(scene, alice), space(scene, bob));
    let public = |user: &User| scene.room(user, &json!({ "preset": "public_chat" }));
    let (back, there, closed) = (public(alice), public(bob), scene.room(bob, &json!({})));
    link(scene, alice, &root, (&theirs, OTHER));
    link(scene, bob, &theirs, (&back, OURS));
    // Links of one millisecond stand by the names of their rooms, which are random.
    scene.pass(1);
    link(scene, bob, &theirs, (&there, OTHER));
    link(scene, bob, &theirs, (&closed, OTHER));
    // A loop over both servers.
    link(scene, bob, &theirs, (&root, OURS));
    assert_eq!(walk(scene, alice, &root), [&*root, &*theirs, &*back, &*there]);
    let path = format!("/_matrix/client/v1/room_summary/{there}?via={}", encode(OTHER));
    let summary = scene.get(alice, &path).ok();
    assert_eq!((&summary["membership"], &summary["room_version"]), (&json!("leave"), &json!("11")));
    let path = format!("/_matrix/client/v1/room_summary/{closed}?via={}", encode(OTHER));
    scene.get(alice, &path).refused(404, "M_NOT_FOUND");
}

#[test]
fn a_restricted_room_elsewhere_is_seen_by_who_is_in_the_space_as_far_as_its_server_knows() {
    let two = two_servers();
    let (scene, alice, bob) = (&two.scene, &two.alice, &two.bob);
    let carol = scene.register("carol");
    let root = space(scene, alice);
    let allow = json!([{ "type": "m.room_membership", "room_id": root }]);
    let rules = json!({ "join_rule": "restricted", "allow": allow });
    let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rules }]);
    let room = scene.room(bob, &json!({ "initial_state": state }));
    link(scene, alice, &root, (&room, OTHER));
    for user in [alice, &carol] {
        assert_eq!(walk(scene, user, &root), [&*root]);
    }
    two.through(bob, "join", &root).ok();
    assert_eq!(walk(scene, alice, &root), [&*root, &*room]);
    assert_eq!(walk(scene, &carol, &root), [&*root]);
}

/// A space of alice with a space that is on a peer, which says this of it.
fn told(said: Value) -> (Scene, User, Peer, String) {
    let scene = ours();
    let (alice, peer) = (scene.register("alice"), Peer::new(&scene.simulation, PEER, 3));
    let root = space(&scene, &alice);
    link(&scene, &alice, &root, ("!space:peer.test:8448", PEER));
    peer.on("hierarchy", move |asked| {
        if asked.arguments[0] == "!space:peer.test:8448" {
            ok(&said)
        } else {
            refusal(404, "M_NOT_FOUND")
        }
    });
    (scene, alice, peer, root)
}

fn room(id: &str, more: Value) -> Value {
    let mut room = json!({
        "room_id": id, "num_joined_members": 1, "world_readable": false, "guest_can_join": false,
        "join_rule": "public", "children_state": [],
    });
    let more = more.as_object().cloned().unwrap_or_default();
    room.as_object_mut().unwrap().extend(more);
    room
}

fn child(key: &str) -> Value {
    json!({ "type": "m.space.child", "state_key": key, "content": { "via": [PEER] },
            "sender": "@a:peer.test", "origin_server_ts": 1 })
}

#[test]
fn what_a_server_says_of_children_is_taken_and_not_asked_again() {
    let children =
        ["!a:peer.test:8448", "!b:peer.test:8448", "!c:peer.test:8448", "!d:peer.test:8448"]
            .map(child);
    let space = room(
        "!space:peer.test:8448",
        json!({ "room_type": "m.space", "children_state": children }),
    );
    let known = [
        room("!a:peer.test:8448", json!({})),
        room("!b:peer.test:8448", json!({ "join_rule": "invite" })),
    ];
    let said =
        json!({ "room": space, "children": known, "inaccessible_children": ["!c:peer.test:8448"] });
    let (scene, alice, peer, root) = told(said);
    assert_eq!(walk(&scene, &alice, &root), [&*root, "!space:peer.test:8448", "!a:peer.test:8448"]);
    let asked: Vec<String> =
        peer.asked("hierarchy").into_iter().map(|asked| asked.arguments[0].clone()).collect();
    assert_eq!(asked, ["!space:peer.test:8448", "!d:peer.test:8448"]);
    walk(&scene, &alice, &root);
    assert_eq!(peer.times_asked("hierarchy"), 3, "what it told is remembered");
    scene.pass(301_000);
    walk(&scene, &alice, &root);
    assert_eq!(peer.times_asked("hierarchy"), 5);
}

#[test]
fn a_page_waits_only_so_long_for_servers_that_are_silent() {
    let scene = ours();
    let alice = scene.register("alice");
    let root = space(&scene, &alice);
    for number in 0..40 {
        let silent = |one| {
            let name = format!("silent{number}-{one}.test:8448");
            Peer::new(&scene.simulation, &name, 3).name().to_owned()
        };
        let via: Vec<String> = (0..3).map(silent).collect();
        let child = format!("!{number}:silent.test");
        scene.set(&alice, &root, ("m.space.child", &child), &json!({ "via": via }));
    }
    scene.simulation.settle(60_000);
    scene.simulation.faults(Faults { lost_fetch: 1000, ..Faults::NONE });
    let began = scene.server.world().now();
    let path = format!("/_matrix/client/v1/rooms/{root}/hierarchy");
    let page = scene.get(&alice, &path).ok();
    let took = scene.server.world().now() - began;
    assert!(took < 20_000, "{took}");
    assert_eq!(page["rooms"].as_array().map(Vec::len), Some(1));
    let next = format!("{path}?from={}", text(&page["next_batch"]));
    assert_ne!(scene.get(&alice, &next).ok()["next_batch"], page["next_batch"], "it gets on");
}

#[test]
fn a_server_that_speaks_of_another_room_says_nothing() {
    let (scene, alice, _, root) = told(json!({ "room": room("!other:peer.test:8448", json!({})) }));
    assert_eq!(walk(&scene, &alice, &root), [&*root]);
}

#[test]
fn what_has_no_form_in_another_servers_answer_is_left_out() {
    let mut odd = child("!odd:peer.test:8448");
    odd["sender"] = json!(1);
    let children = json!([1, {}, odd, child("nonsense"), child("!a:peer.test:8448")]);
    let mut space = room(
        "!space:peer.test:8448",
        json!({ "room_type": "m.space", "children_state": children }),
    );
    space["name"] = json!({ "a": 1 });
    space["secret"] = json!("x");
    let said = json!({ "room": space, "children": [1, {}, room("!a:peer.test:8448", json!({}))], "inaccessible_children": [1] });
    let (scene, alice, _, root) = told(said);
    let path = format!("/_matrix/client/v1/rooms/{root}/hierarchy");
    let page = scene.get(&alice, &path).ok();
    let mut expected = room(
        "!space:peer.test:8448",
        json!({ "room_type": "m.space", "children_state": [child("!a:peer.test:8448")] }),
    );
    assert_eq!(page["rooms"][1], expected);
    expected["room_id"] = json!("!a:peer.test:8448");
    assert_eq!(page["rooms"][2], room("!a:peer.test:8448", json!({})));
}

#[test]
fn a_server_is_told_of_children_it_may_know() {
    let two = two_servers();
    let (scene, alice) = (&two.scene, &two.alice);
    let root = space(scene, alice);
    let open = scene.room(alice, &json!({ "preset": "public_chat" }));
    let closed = scene.room(alice, &json!({}));
    let invited = scene.room(alice, &json!({ "invite": [two.bob.id] }));
    let apart = json!({ "m.federate": false });
    let apart = scene.room(alice, &json!({ "preset": "public_chat", "creation_content": apart }));
    for child in [&*open, &*closed, &*invited, &*apart, "!nowhere:ours.test"] {
        link(scene, alice, &root, (child, OURS));
    }
    let peer = two.signer();
    let hierarchy = |room: &str| {
        scene.signed(&peer, &format!("GET /_matrix/federation/v1/hierarchy/{}", encode(room)), None)
    };
    let answer = hierarchy(&root).ok();
    let ids: Vec<String> =
        answer["children"].as_array().unwrap().iter().map(|room| text(&room["room_id"])).collect();
    let sorted = |rooms: &[&String]| {
        let mut rooms: Vec<String> = rooms.iter().map(|room| (*room).clone()).collect();
        rooms.sort();
        rooms
    };
    // The links are of one moment.
    assert_eq!(ids, sorted(&[&open, &invited]));
    assert_eq!(answer["inaccessible_children"], json!(sorted(&[&closed, &apart])));
    assert_eq!(answer["room"]["children_state"].as_array().unwrap().len(), 5);
    for room in [&*closed, &*apart, "!nowhere:ours.test"] {
        hierarchy(room).refused(404, "M_NOT_FOUND");
    }
    let acl = json!({ "allow": ["*"], "deny": [peer.name().split(':').next().unwrap()] });
    scene.set(alice, &root, ("m.room.server_acl", ""), &acl);
    hierarchy(&root).refused(404, "M_NOT_FOUND");
}

#[test]
fn no_server_is_asked_twice_of_a_room_and_never_our_own() {
    let scene = ours();
    let peer = Peer::new(&scene.simulation, PEER, 3);
    peer.on("hierarchy", |_| refusal(404, "M_NOT_FOUND"));
    let (own, peers) = (encode(OURS), encode(PEER));
    let path = format!(
        "/_matrix/client/v1/room_summary/{}?via={own}&via={peers}&via={peers}",
        encode("!room:peer.test:8448")
    );
    scene.call(None, &format!("GET {path}"), &Value::Null).refused(404, "M_NOT_FOUND");
    assert_eq!(peer.times_asked("hierarchy"), 1);
}
