//! Which rooms does the server publish, who decides that, and what does a list of them say?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))

use serde_json::{Value, json};
use tombolo_platform::simulated::Faults;
use tombolo_support::{Answer, Scene, User, encode, text};

use super::one_server;

const ROOMS: &str = "/_matrix/client/v3/publicRooms";

fn publish(scene: &Scene, user: &User, room: &str, visibility: &str) -> Answer {
    let line = format!("PUT /_matrix/client/v3/directory/list/room/{}", encode(room));
    scene.call(Some(user), &line, &json!({ "visibility": visibility }))
}

fn list(scene: &Scene, query: &str) -> Value {
    scene.call(None, &format!("GET {ROOMS}?{query}"), &Value::Null).ok()
}

fn search(scene: &Scene, user: &User, filter: &Value) -> Vec<String> {
    let answer = scene.call(Some(user), &format!("POST {ROOMS}"), &json!({ "filter": filter }));
    ids(&answer.ok())
}

fn ids(answer: &Value) -> Vec<String> {
    answer["chunk"].as_array().unwrap().iter().map(|room| text(&room["room_id"])).collect()
}

fn public(scene: &Scene, user: &User, more: Value) -> String {
    let mut content = more;
    content["visibility"] = json!("public");
    scene.room(user, &content)
}

#[test]
fn a_room_made_public_is_listed_at_once_with_what_it_says() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = public(
        &scene,
        &alice,
        json!({ "name": "Tea", "topic": "un topic à la française", "room_alias_name": "tea",
                "creation_content": { "type": "m.space" } }),
    );
    let expected = json!({
        "room_id": room, "name": "Tea", "topic": "un topic à la française",
        "canonical_alias": "#tea:example.org", "num_joined_members": 1, "world_readable": false,
        "guest_can_join": false, "join_rule": "public", "room_type": "m.space",
    });
    assert_eq!(list(&scene, ""), json!({ "chunk": [expected], "total_room_count_estimate": 1 }));
}

#[test]
fn a_list_follows_the_room_until_the_last_of_us_has_left() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = public(&scene, &alice, json!({}));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let named = scene.set(&alice, &room, ("m.room.name", ""), &json!({ "name": "Bad" }));
    scene.pass(5_000);
    assert_eq!(list(&scene, "")["chunk"][0]["name"], "Bad");
    scene.put(&alice, &room, &format!("redact/{}/1", encode(&named)), &json!({})).ok();
    scene.pass(5_000);
    assert_eq!(list(&scene, "")["chunk"][0]["name"], Value::Null);
    scene.set(&alice, &room, ("m.room.name", ""), &json!({ "name": "New" }));
    scene.pass(3_000);
    let chunk = &list(&scene, "")["chunk"];
    assert_eq!((&chunk[0]["num_joined_members"], &chunk[0]["name"]), (&json!(2), &json!("New")));
    for user in [&alice, &bob] {
        scene.act(user, &room, "leave", &json!({})).ok();
    }
    scene.pass(3_000);
    assert_eq!(list(&scene, ""), json!({ "chunk": [], "total_room_count_estimate": 0 }));
}

#[test]
fn a_room_is_published_by_who_may_set_its_canonical_alias() {
    let scene = one_server();
    let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let path = format!("/_matrix/client/v3/directory/list/room/{room}");
    let visibility =
        || scene.call(None, &format!("GET {path}"), &Value::Null).ok()["visibility"].clone();
    for user in [&bob, &eve] {
        publish(&scene, user, &room, "public").refused(403, "M_FORBIDDEN");
    }
    assert_eq!(visibility(), "private");
    publish(&scene, &alice, &room, "public").ok();
    assert_eq!((visibility(), ids(&list(&scene, ""))), (json!("public"), vec![room.clone()]));
    let insert = "UPDATE accounts SET admin = 1 WHERE localpart = 'eve'";
    scene.server.d1().run(insert, tombolo_platform::values![]).unwrap();
    publish(&scene, &eve, &room, "private").ok();
    assert_eq!((visibility(), ids(&list(&scene, ""))), (json!("private"), Vec::new()));
    publish(&scene, &alice, &room, "secret").refused(400, "M_INVALID_PARAM");
    publish(&scene, &alice, "!nowhere:example.org", "public").refused(404, "M_NOT_FOUND");
    let nowhere = "GET /_matrix/client/v3/directory/list/room/!nowhere:example.org";
    scene.call(None, nowhere, &Value::Null).refused(404, "M_NOT_FOUND");
}

#[test]
fn what_nobody_may_join_or_read_is_not_listed_though_it_is_published() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = public(&scene, &alice, json!({ "preset": "private_chat" }));
    assert!(ids(&list(&scene, "")).is_empty());
    scene.set(&alice, &room, ("m.room.join_rules", ""), &json!({ "join_rule": "knock" }));
    scene.pass(3_000);
    let listed = list(&scene, "");
    assert_eq!(listed["chunk"][0]["join_rule"], "knock");
}

#[test]
fn a_search_takes_any_case_and_no_patterns() {
    let scene = one_server();
    let alice = scene.register("alice");
    let cafe = public(&scene, &alice, json!({ "name": "CAFÉ Größe" }));
    let space = public(
        &scene,
        &alice,
        json!({ "topic": "100% tea_time", "creation_content": { "type": "m.space" } }),
    );
    let term = |term: &str| search(&scene, &alice, &json!({ "generic_search_term": term }));
    assert_eq!(term("café GRÖ"), [&*cafe]);
    assert_eq!(term("0% TEA_"), [&*space]);
    for none in ["a%e", "tea.time", "'", "\"", "\\"] {
        assert!(term(none).is_empty(), "{none}");
    }
    assert_eq!(term("").len(), 2);
    let types = |types: Value| search(&scene, &alice, &json!({ "room_types": types }));
    assert_eq!(types(json!([null])), [cafe]);
    assert_eq!(types(json!(["m.space"])), [space]);
    assert_eq!(types(json!(["m.space", null])).len(), 2);
    assert!(types(json!(["other"])).is_empty());
}

#[test]
fn pages_lead_forth_and_back_whatever_is_published_meanwhile() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let mut rooms: Vec<String> = (0..5).map(|_| public(&scene, &alice, json!({}))).collect();
    rooms.sort();
    let large = public(&scene, &alice, json!({}));
    scene.act(&bob, &large, "join", &json!({})).ok();
    scene.pass(3_000);
    rooms.insert(0, large);
    let first = list(&scene, "limit=2");
    assert_eq!((ids(&first), first.get("prev_batch")), (rooms[..2].to_vec(), None));
    let second = list(&scene, &format!("limit=2&since={}", text(&first["next_batch"])));
    assert_eq!(ids(&second), rooms[2..4]);
    publish(&scene, &alice, &rooms[1], "private").ok();
    let third = list(&scene, &format!("limit=2&since={}", text(&second["next_batch"])));
    assert_eq!((ids(&third), third.get("next_batch")), (rooms[4..].to_vec(), None));
    let back = list(&scene, &format!("limit=2&since={}", text(&third["prev_batch"])));
    assert_eq!(ids(&back), rooms[2..4]);
    let back = list(&scene, &format!("limit=2&since={}", text(&back["prev_batch"])));
    assert_eq!((ids(&back), back.get("prev_batch")), (rooms[..1].to_vec(), None));
    let forth = list(&scene, &format!("limit=2&since={}", text(&back["next_batch"])));
    assert_eq!(ids(&forth), rooms[2..4]);
}

#[test]
fn a_page_ends_where_its_rooms_say_much() {
    let scene = one_server();
    let alice = scene.register("alice");
    let name = "é".repeat(10_000);
    let said = json!({ "name": name, "topic": name });
    let mut rooms: Vec<String> = (0..3).map(|_| public(&scene, &alice, said.clone())).collect();
    rooms.sort();
    // As many texts as make a page of two rooms.
    let long = "UPDATE public_rooms SET summary = json_set(summary, '$.topic', ?)";
    scene.server.d1().run(long, tombolo_platform::values![&"x".repeat(600 << 10)]).unwrap();
    let first = list(&scene, "");
    assert_eq!((ids(&first), first.get("prev_batch")), (rooms[..2].to_vec(), None));
    let second = list(&scene, &format!("since={}", text(&first["next_batch"])));
    assert_eq!((ids(&second), second.get("next_batch")), (rooms[2..].to_vec(), None));
    let back = list(&scene, &format!("since={}", text(&second["prev_batch"])));
    assert_eq!((ids(&back), back.get("prev_batch")), (rooms[..2].to_vec(), None));
}

#[test]
fn a_list_keeps_nothing_of_who_may_join_from_where() {
    let scene = one_server();
    let alice = scene.register("alice");
    let allow = json!([{ "type": "m.room_membership", "room_id": "!elsewhere:example.org" }]);
    let rules = json!({ "join_rule": "knock_restricted", "allow": allow });
    let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rules }]);
    let room = public(&scene, &alice, json!({ "preset": "private_chat", "initial_state": state }));
    assert_eq!(ids(&list(&scene, "")), [room]);
    let kept = "SELECT count(*) AS kept FROM public_rooms WHERE summary LIKE '%elsewhere%'";
    let kept = scene.server.d1().row(kept, tombolo_platform::values![], |row| row.int(0));
    assert_eq!(kept.unwrap(), Some(0));
}

#[test]
fn a_malformed_request_is_refused() {
    let scene = one_server();
    let alice = scene.register("alice");
    for query in [
        "limit=-1",
        "limit=x",
        "limit=99999999999999999999",
        "since=zzz",
        "since=%00",
        "server=%2F",
    ] {
        let answer = scene.call(None, &format!("GET {ROOMS}?{query}"), &Value::Null);
        answer.refused(400, "M_INVALID_PARAM");
    }
    let post = |body: &Value| scene.call(Some(&alice), &format!("POST {ROOMS}"), body);
    post(&json!({ "filter": { "generic_search_term": 1 } })).refused(400, "M_BAD_JSON");
    post(&json!({ "limit": "1" })).refused(400, "M_BAD_JSON");
    post(&json!({ "filter": { "generic_search_term": "x".repeat(2_000) } }))
        .refused(400, "M_INVALID_PARAM");
    scene.call(None, &format!("POST {ROOMS}"), &json!({})).refused(401, "M_MISSING_TOKEN");
    post(&json!({ "server": 1, "include_all_networks": false })).ok();
}

#[test]
fn while_d1_is_out_of_reach_a_room_is_published_and_its_listing_follows() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.simulation.settle(60_000);
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    publish(&scene, &alice, &room, "public").ok();
    scene.pass(3_000);
    scene.simulation.faults(Faults::NONE);
    assert!(ids(&list(&scene, "")).is_empty());
    scene.pass(10_000);
    assert_eq!(ids(&list(&scene, "")), [room]);
}

#[test]
fn a_malformed_field_of_a_room_is_left_out_of_the_list() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = public(&scene, &alice, json!({ "creation_content": { "type": 1 } }));
    scene.set(&alice, &room, ("m.room.name", ""), &json!({ "name": { "a": 1 } }));
    scene.set(&alice, &room, ("m.room.avatar", ""), &json!({ "url": "javascript:1" }));
    let topic = json!({ "topic": "fallback", "m.topic": { "m.text": [
        { "mimetype": "text/html", "body": "<b>html</b>" }, 7, { "body": "plain" } ] } });
    scene.set(&alice, &room, ("m.room.topic", ""), &topic);
    scene.pass(3_000);
    let expected = json!({
        "room_id": room, "topic": "plain", "num_joined_members": 1, "world_readable": false,
        "guest_can_join": false, "join_rule": "public",
    });
    assert_eq!(list(&scene, "")["chunk"], json!([expected]));
    scene.set(&alice, &room, ("m.room.topic", ""), &json!({ "topic": "é".repeat(3_000) }));
    scene.pass(3_000);
    assert_eq!(text(&list(&scene, "")["chunk"][0]["topic"]).chars().count(), 2_000);
}
