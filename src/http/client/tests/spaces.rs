//! Which rooms of a space does a user see, in which order, and what is a room that one is not in?
//! ([spaces](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces))

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tombolo_support::{Scene, User, text};

use super::one_server;

fn space(scene: &Scene, user: &User, more: Value) -> String {
    let mut content = more;
    content["creation_content"] = json!({ "type": "m.space" });
    scene.room(user, &content)
}

fn public_space(scene: &Scene, user: &User) -> String {
    space(scene, user, json!({ "preset": "public_chat" }))
}

fn link(scene: &Scene, user: &User, parent: &str, child: &str, more: Value) {
    let mut content = more;
    content["via"] = json!(["example.org"]);
    scene.set(user, parent, ("m.space.child", child), &content);
}

fn walk(scene: &Scene, user: &User, room: &str, query: &str) -> Value {
    scene.get(user, &format!("/_matrix/client/v1/rooms/{room}/hierarchy?{query}")).ok()
}

fn ids(page: &Value) -> Vec<String> {
    page["rooms"].as_array().unwrap().iter().map(|room| text(&room["room_id"])).collect()
}

fn public(scene: &Scene, user: &User) -> String {
    scene.room(user, &json!({ "preset": "public_chat" }))
}

/// A root with a room, a space that has a space with two rooms, and one more room; in the order of the walk.
fn tree(scene: &Scene, user: &User) -> Vec<String> {
    let [root, upper, lower] = [(); 3].map(|()| public_space(scene, user));
    let [first, deep, deeper, last] = [(); 4].map(|()| public(scene, user));
    link(scene, user, &root, &first, json!({ "order": "a", "suggested": true }));
    link(scene, user, &root, &upper, json!({ "order": "b" }));
    link(scene, user, &root, &last, json!({ "order": "c", "suggested": true }));
    link(scene, user, &upper, &lower, json!({}));
    link(scene, user, &lower, &deep, json!({ "order": "a" }));
    link(scene, user, &lower, &deeper, json!({ "order": "b" }));
    // A loop, and the same room once more.
    link(scene, user, &lower, &root, json!({}));
    link(scene, user, &lower, &last, json!({ "order": "c" }));
    vec![root, first, upper, lower, deep, deeper, last]
}

#[test]
fn a_walk_is_depth_first_and_meets_each_room_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let rooms = tree(&scene, &alice);
    let page = walk(&scene, &alice, &rooms[0], "");
    assert_eq!((ids(&page), page.get("next_batch")), (rooms.clone(), None));
    let children = page["rooms"][0]["children_state"].as_array().unwrap();
    let keys: Vec<_> = children.iter().map(|child| text(&child["state_key"])).collect();
    assert_eq!(keys, [&*rooms[1], &*rooms[2], &*rooms[6]]);
    assert!(children[0]["origin_server_ts"].is_u64() && children[0].get("event_id").is_none());
    assert_eq!(page["rooms"][1]["children_state"], json!([]));
    let flat = walk(&scene, &alice, &rooms[0], "max_depth=1");
    assert_eq!(ids(&flat), [&*rooms[0], &*rooms[1], &*rooms[2], &*rooms[6]]);
    assert_eq!(ids(&walk(&scene, &alice, &rooms[0], "max_depth=0")), [&*rooms[0]]);
    let suggested = walk(&scene, &alice, &rooms[0], "suggested_only=true");
    assert_eq!(ids(&suggested), [&*rooms[0], &*rooms[1], &*rooms[6]]);
    assert_eq!(suggested["rooms"][0]["children_state"].as_array().unwrap().len(), 2);
}

#[test]
fn pages_of_any_size_give_the_same_rooms() {
    let scene = one_server();
    let alice = scene.register("alice");
    let rooms = tree(&scene, &alice);
    for limit in 1..=7 {
        let (mut seen, mut from) = (Vec::new(), String::new());
        loop {
            let page = walk(&scene, &alice, &rooms[0], &format!("limit={limit}{from}"));
            seen.extend(ids(&page));
            assert!(page["rooms"].as_array().unwrap().len() <= limit);
            let Some(next) = page["next_batch"].as_str() else { break };
            from = format!("&from={next}");
        }
        // At the end, a room stands where it is met first.
        assert_eq!(seen, rooms, "limit {limit}");
    }
}

#[test]
fn a_token_holds_for_its_user_its_room_and_its_parameters() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let rooms = tree(&scene, &alice);
    let next = text(&walk(&scene, &alice, &rooms[0], "limit=1&max_depth=3")["next_batch"]);
    let ask = |user: &User, room: &str, query: &str| {
        scene.get(user, &format!("/_matrix/client/v1/rooms/{room}/hierarchy?{query}"))
    };
    ask(&alice, &rooms[0], &format!("max_depth=3&limit=3&from={next}")).ok();
    for query in [
        format!("from={next}"),
        format!("max_depth=2&from={next}"),
        format!("max_depth=3&suggested_only=true&from={next}"),
        format!("max_depth=3&from={next}A"),
        "from=".to_owned(),
        "from=%00".to_owned(),
        format!("from={}", "A".repeat(50_000)),
        "limit=0".to_owned(),
        "limit=-1".to_owned(),
        "limit=x".to_owned(),
        "max_depth=-1".to_owned(),
        "suggested_only=1".to_owned(),
    ] {
        ask(&alice, &rooms[0], &query).refused(400, "M_INVALID_PARAM");
    }
    ask(&bob, &rooms[0], &format!("max_depth=3&from={next}")).refused(400, "M_INVALID_PARAM");
    ask(&alice, &rooms[2], &format!("max_depth=3&from={next}")).refused(400, "M_INVALID_PARAM");
    ask(&alice, &rooms[0], "limit=99999999").ok();
}

#[test]
fn a_token_that_was_made_up_shows_nothing_that_its_user_may_not_see() {
    let scene = one_server();
    let alice = scene.register("alice");
    let rooms = tree(&scene, &alice);
    let path = format!("/_matrix/client/v1/rooms/{}/hierarchy?limit=2", rooms[0]);
    let token = text(&scene.get(&alice, &path).ok()["next_batch"]);
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let with = |count: u16, marks: &[u8]| {
        let token = [&bytes[..8], &count.to_be_bytes(), marks].concat();
        scene.get(&alice, &format!("{path}&from={}", URL_SAFE_NO_PAD.encode(token)))
    };
    let page = with(0, &[]).ok();
    assert_eq!(ids(&page), rooms[..2]);
    with(1, &[]).refused(400, "M_INVALID_PARAM");
    with(0, &[1, 2, 3]).refused(400, "M_INVALID_PARAM");
    with(60, &[7; 360]).refused(400, "M_INVALID_PARAM");
    with(50, &[7; 300]).ok();
}

#[test]
fn a_user_sees_what_they_may_join_or_read() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let root = public_space(&scene, &alice);
    let rule = |rule: Value| {
        let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rule }]);
        scene.room(&alice, &json!({ "initial_state": state, "room_version": "11" }))
    };
    let allow = json!([{ "type": "m.room_membership", "room_id": root }]);
    let restricted = rule(json!({ "join_rule": "restricted", "allow": allow }));
    let knock = rule(json!({ "join_rule": "knock" }));
    let closed = scene.room(&alice, &json!({}));
    let invited = scene.room(&alice, &json!({ "invite": [bob.id] }));
    let readable = json!([{ "type": "m.room.history_visibility", "state_key": "",
        "content": { "history_visibility": "world_readable" } }]);
    let readable = scene.room(&alice, &json!({ "initial_state": readable }));
    let old = json!([{ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } }]);
    let old = scene.room(&alice, &json!({ "initial_state": old, "room_version": "6" }));
    for (order, room) in
        [&restricted, &knock, &closed, &invited, &readable, &old].iter().enumerate()
    {
        link(&scene, &alice, &root, room, json!({ "order": order.to_string() }));
    }
    let seen = || ids(&walk(&scene, &bob, &root, ""));
    assert_eq!(seen(), [&*root, &*knock, &*invited, &*readable]);
    scene.act(&bob, &root, "join", &json!({})).ok();
    assert_eq!(seen(), [&*root, &*restricted, &*knock, &*invited, &*readable]);
    let path = format!("/_matrix/client/v1/rooms/{closed}/hierarchy");
    scene.get(&bob, &path).refused(403, "M_FORBIDDEN");
    let path = "/_matrix/client/v1/rooms/!nowhere:example.org/hierarchy";
    scene.get(&bob, path).refused(403, "M_FORBIDDEN");
}

#[test]
fn who_is_banned_sees_no_room_in_a_space_not_even_a_public_one() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (root, room) = (public_space(&scene, &alice), public(&scene, &alice));
    link(&scene, &alice, &root, &room, json!({}));
    let ban = |room: &str| scene.act(&alice, room, "ban", &json!({ "user_id": bob.id })).ok();
    ban(&room);
    assert_eq!(ids(&walk(&scene, &bob, &root, "")), [&*root]);
    ban(&root);
    let path = format!("/_matrix/client/v1/rooms/{root}/hierarchy");
    scene.get(&bob, &path).refused(403, "M_FORBIDDEN");
    let summary = scene.get(&bob, &format!("/_matrix/client/v1/room_summary/{room}")).ok();
    assert_eq!(summary["membership"], "ban");
}

#[test]
fn a_link_without_servers_and_one_in_a_room_that_is_no_space_lead_nowhere() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (root, room) = (public_space(&scene, &alice), public(&scene, &alice));
    let below = public(&scene, &alice);
    link(&scene, &alice, &root, &room, json!({}));
    link(&scene, &alice, &room, &below, json!({}));
    assert_eq!(ids(&walk(&scene, &alice, &root, "")), [&*root, &*room]);
    scene.set(&alice, &root, ("m.space.child", &room), &json!({}));
    let page = walk(&scene, &alice, &root, "");
    assert_eq!((ids(&page), &page["rooms"][0]["children_state"]), (vec![root], &json!([])));
}

#[test]
fn a_page_of_rooms_that_one_may_not_see_leads_on() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let root = public_space(&scene, &alice);
    for number in 0..230 {
        link(
            &scene,
            &alice,
            &root,
            &format!("!no{number:03}:example.org"),
            json!({ "order": "a" }),
        );
    }
    let last = public(&scene, &alice);
    link(&scene, &alice, &root, &last, json!({ "order": "b" }));
    let first = walk(&scene, &bob, &root, "");
    assert_eq!(ids(&first), [&*root]);
    let second = walk(&scene, &bob, &root, &format!("from={}", text(&first["next_batch"])));
    assert_eq!((ids(&second), second.get("next_batch")), (vec![last], None));
}

#[test]
fn a_summary_says_what_a_room_is_to_who_may_know() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(
        &alice,
        &json!({ "preset": "public_chat", "name": "Tea", "room_alias_name": "tea", "initial_state": [
            { "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } }] }),
    );
    let mut expected = json!({
        "room_id": room, "name": "Tea", "canonical_alias": "#tea:example.org", "join_rule": "public",
        "num_joined_members": 1, "world_readable": false, "guest_can_join": false,
        "room_version": "11", "encryption": "m.megolm.v1.aes-sha2",
    });
    let path = "/_matrix/client/v1/room_summary/%23tea%3Aexample.org";
    assert_eq!(scene.call(None, &format!("GET {path}"), &Value::Null).ok(), expected);
    for (user, membership) in [(&alice, "join"), (&bob, "leave")] {
        expected["membership"] = json!(membership);
        for path in [
            format!("v1/room_summary/{room}"),
            format!("unstable/im.nheko.summary/summary/{room}"),
            format!("unstable/im.nheko.summary/rooms/{room}/summary?via=example.org"),
        ] {
            assert_eq!(scene.get(user, &format!("/_matrix/client/{path}")).ok(), expected);
        }
    }
    let closed = scene.room(&alice, &json!({}));
    let of = |room: &str| format!("/_matrix/client/v1/room_summary/{room}");
    scene.get(&alice, &of(&closed)).ok();
    for room in [&*closed, "!nowhere:example.org", "%23nothing:example.org"] {
        scene.get(&bob, &of(room)).refused(404, "M_NOT_FOUND");
        scene.call(None, &format!("GET {}", of(room)), &Value::Null).refused(404, "M_NOT_FOUND");
    }
    scene.get(&bob, &of("nonsense")).refused(400, "M_INVALID_PARAM");
    scene.get(&bob, &of(&format!("{room}?via=%2F"))).refused(400, "M_INVALID_PARAM");
}

#[test]
fn a_summary_of_a_restricted_room_says_whose_members_may_join() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let root = public_space(&scene, &alice);
    let allow = json!([{ "type": "m.room_membership", "room_id": root }]);
    let rules = json!({ "join_rule": "restricted", "allow": allow });
    let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rules }]);
    let room = scene.room(&alice, &json!({ "initial_state": state }));
    let path = format!("/_matrix/client/v1/room_summary/{room}");
    scene.get(&bob, &path).refused(404, "M_NOT_FOUND");
    scene.act(&bob, &root, "join", &json!({})).ok();
    let summary = scene.get(&bob, &path).ok();
    assert_eq!(
        (&summary["allowed_room_ids"], &summary["membership"]),
        (&json!([root]), &json!("leave"))
    );
}
