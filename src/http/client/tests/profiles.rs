//! What do profiles, account data and filters store, and who may read it?

use serde_json::{Value, json};
use tombolo_support::{Peer, encode, ok};

use super::one_server;

#[test]
fn a_new_name_is_announced_in_the_users_rooms() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({}));
    let path = format!("/_matrix/client/v3/profile/{}/displayname", alice.id);
    assert_eq!(scene.get(&bob, &path).ok(), json!({ "displayname": "alice" }));
    scene.call(Some(&alice), &format!("PUT {path}"), &json!({ "displayname": "Alice" })).ok();
    assert_eq!(scene.get(&bob, &path).ok(), json!({ "displayname": "Alice" }));
    let member = scene
        .get(&alice, &format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", alice.id))
        .ok();
    assert_eq!(member, json!({ "membership": "join", "displayname": "Alice" }));
    let joined = scene.get(&alice, &format!("/_matrix/client/v3/rooms/{room}/joined_members")).ok();
    let shown = json!({ "display_name": "Alice", "avatar_url": null });
    assert_eq!(joined, json!({ "joined": { &alice.id: shown } }));
    scene
        .call(Some(&bob), &format!("PUT {path}"), &json!({ "displayname": "Bob" }))
        .refused(403, "M_FORBIDDEN");
}

#[test]
fn a_profile_is_whole_and_may_be_emptied() {
    let scene = one_server();
    let alice = scene.register("alice");
    let path = format!("/_matrix/client/v3/profile/{}", alice.id);
    let set = |field: &str, value: Value| {
        scene.call(Some(&alice), &format!("PUT {path}/{field}"), &json!({ field: value }))
    };
    set("displayname", json!("Alice")).ok();
    set("avatar_url", json!("mxc://example.org/a")).ok();
    assert_eq!(
        scene.get(&alice, &path).ok(),
        json!({ "displayname": "Alice", "avatar_url": "mxc://example.org/a" })
    );
    set("displayname", json!("")).ok();
    assert_eq!(scene.get(&alice, &path).ok(), json!({ "avatar_url": "mxc://example.org/a" }));
    assert_eq!(scene.get(&alice, &format!("{path}/displayname")).ok(), json!({}));
    let empty = scene.call(Some(&alice), &format!("PUT {path}/displayname"), &json!({}));
    empty.refused(400, "M_MISSING_PARAM");
    let other = json!({ "avatar_url": "mxc://example.org/b" });
    let other = scene.call(Some(&alice), &format!("PUT {path}/displayname"), &other);
    other.refused(400, "M_MISSING_PARAM");
    set("displayname", json!(1)).refused(400, "M_BAD_JSON");
    set("displayname", json!("x".repeat(2000))).refused(400, "M_TOO_LARGE");
}

#[test]
fn a_profile_has_further_fields() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let path = format!("/_matrix/client/v3/profile/{}", alice.id);
    let set = |field: &str, value: Value| {
        scene.call(Some(&alice), &format!("PUT {path}/{field}"), &json!({ field: value }))
    };
    set("m.tz", json!("Europe/Vienna")).ok();
    set("org.example.job", json!({ "title": "cook", "since": 1.5 })).ok();
    set("displayname", json!("Alice")).ok();
    let whole = json!({
        "displayname": "Alice", "m.tz": "Europe/Vienna",
        "org.example.job": { "title": "cook", "since": 1.5 },
    });
    assert_eq!(scene.get(&bob, &path).ok(), whole);
    let field = format!("{path}/m.tz");
    assert_eq!(scene.get(&bob, &field).ok(), json!({ "m.tz": "Europe/Vienna" }));
    for line in [format!("PUT {field}"), format!("DELETE {field}")] {
        let body = json!({ "m.tz": "x" });
        scene.call(Some(&bob), &line, &body).refused(403, "M_FORBIDDEN");
    }
    for field in ["m.tz", "displayname", "avatar_url", "org.example.none"] {
        scene.call(Some(&alice), &format!("DELETE {path}/{field}"), &Value::Null).ok();
    }
    scene.get(&bob, &field).refused(404, "M_NOT_FOUND");
    let left = json!({ "org.example.job": { "title": "cook", "since": 1.5 } });
    assert_eq!(scene.get(&bob, &path).ok(), left);
    set("m.tz", json!(5)).refused(400, "M_BAD_JSON");
    set("org.example.none", Value::Null).refused(400, "M_BAD_JSON");
    let line = format!("DELETE {path}/Upper");
    scene.call(Some(&alice), &line, &Value::Null).refused(400, "M_INVALID_PARAM");
    for name in ["Upper", "1st", "with%20space", "u%C3%A4"] {
        let line = format!("PUT {path}/{name}");
        let answer = scene.call(Some(&alice), &line, &json!({ name: 1 }));
        assert_eq!(answer.status, 400, "{name}");
    }
    set(&"x".repeat(256), json!(1)).refused(400, "M_KEY_TOO_LARGE");
    set(&"x".repeat(255), json!("x".repeat(51_500))).ok();
    set("org.example.long", json!("x".repeat(500))).refused(400, "M_PROFILE_TOO_LARGE");
    set(&"x".repeat(255), json!(1)).ok();
    set("org.example.long", json!("x".repeat(500))).ok();
    let deep = format!(r#"{{"org.example.deep":{}1{}}}"#, "[".repeat(101), "]".repeat(101));
    let line = format!("PUT {path}/org.example.deep");
    scene.send(Some(&alice), &line, deep).refused(400, "M_BAD_JSON");
}

#[test]
fn what_another_server_says_of_its_user_is_passed_on() {
    let scene = one_server();
    let alice = scene.register("alice");
    let peer = Peer::new(&scene.simulation, "peer.test", 3);
    let said = json!({ "displayname": null, "m.tz": 5, "org.example.x": { "a": [1.5] } });
    peer.on("query", move |_| ok(&said));
    let path = format!("/_matrix/client/v3/profile/{}", peer.user("bob"));
    let shown = json!({ "m.tz": 5, "org.example.x": { "a": [1.5] } });
    assert_eq!(scene.get(&alice, &path).ok(), shown);
    assert_eq!(scene.get(&alice, &format!("{path}/m.tz")).ok(), json!({ "m.tz": 5 }));
    assert_eq!(scene.get(&alice, &format!("{path}/displayname")).ok(), json!({}));
}

#[test]
fn another_server_is_told_of_all_fields() {
    let scene = one_server();
    let alice = scene.register("alice");
    let peer = Peer::new(&scene.simulation, "peer.test", 3);
    for (field, value) in [("displayname", "Alice"), ("m.tz", "Europe/Vienna")] {
        let line = format!("PUT /_matrix/client/v3/profile/{}/{field}", alice.id);
        scene.call(Some(&alice), &line, &json!({ field: value })).ok();
    }
    let ask = |rest: &str| {
        let line =
            format!("GET /_matrix/federation/v1/query/profile?user_id={}{rest}", encode(&alice.id));
        scene.signed(&peer, &line, None)
    };
    assert_eq!(ask("").ok(), json!({ "displayname": "Alice", "m.tz": "Europe/Vienna" }));
    assert_eq!(ask("&field=m.tz").ok(), json!({ "m.tz": "Europe/Vienna" }));
    ask("&field=avatar_url").refused(404, "M_NOT_FOUND");
}

#[test]
fn nobody_has_no_profile() {
    let scene = one_server();
    for rest in ["", "/displayname"] {
        let line = format!("GET /_matrix/client/v3/profile/@nobody:example.org{rest}");
        scene.call(None, &line, &Value::Null).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn account_data_is_kept_for_its_user_alone() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let path = format!("/_matrix/client/v3/user/{}/account_data/org.example.x", alice.id);
    scene.get(&alice, &path).refused(404, "M_NOT_FOUND");
    scene.call(Some(&alice), &format!("PUT {path}"), &json!({ "a": 1.5 })).ok();
    assert_eq!(scene.get(&alice, &path).ok(), json!({ "a": 1.5 }));
    scene.get(&bob, &path).refused(403, "M_FORBIDDEN");
    scene.call(Some(&bob), &format!("PUT {path}"), &json!({})).refused(403, "M_FORBIDDEN");
    scene.call(Some(&alice), &format!("PUT {path}"), &json!([])).refused(400, "M_BAD_JSON");
    let rules = format!("/_matrix/client/v3/user/{}/account_data/m.push_rules", alice.id);
    scene.call(Some(&alice), &format!("PUT {rules}"), &json!({})).refused(405, "M_BAD_JSON");
    let room = scene.room(&alice, &json!({}));
    for place in [String::new(), format!("/rooms/{room}")] {
        let marker =
            format!("PUT /_matrix/client/v3/user/{}{place}/account_data/m.fully_read", alice.id);
        let content = json!({ "event_id": "$e" });
        scene.call(Some(&alice), &marker, &content).refused(405, "M_BAD_JSON");
    }
    assert!(scene.get(&alice, &rules).ok()["global"]["override"].is_array());
    assert!(
        scene.get(&alice, "/_matrix/client/v3/pushrules/").ok()["global"]["underride"].is_array()
    );
}

#[test]
fn a_filter_is_kept_under_its_id() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let path = format!("/_matrix/client/v3/user/{}/filter", alice.id);
    let filter = json!({ "room": { "timeline": { "limit": 10 } } });
    let id = scene.call(Some(&alice), &format!("POST {path}"), &filter).ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(scene.get(&alice, &format!("{path}/{id}")).ok(), filter);
    scene.get(&bob, &format!("{path}/{id}")).refused(403, "M_FORBIDDEN");
    for unknown in ["999", "x", "-1"] {
        scene.get(&alice, &format!("{path}/{unknown}")).refused(404, "M_NOT_FOUND");
    }
    scene
        .call(Some(&alice), &format!("POST {path}"), &json!({ "room": { "timeline": 1 } }))
        .refused(400, "M_BAD_JSON");
}
