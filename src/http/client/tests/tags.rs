//! Can a user tag rooms?
//! ([room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging))

use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::values;

use super::one_server;
use crate::objects::user_object;

#[test]
fn tags_are_put_on_a_room_and_taken_away() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let at = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", alice.id);
    let put = |tag: &str, info: &Value| scene.call(Some(&alice), &format!("PUT {at}/{tag}"), info);
    assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": {} }));
    put("m.favourite", &json!({ "order": 0.25, "org.example": [1] })).ok();
    put("u.w%C3%B6rk", &json!({})).ok();
    let tags = json!({ "m.favourite": { "order": 0.25, "org.example": [1] }, "u.wörk": {} });
    assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": tags }));
    let item = format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.tag", alice.id);
    assert_eq!(scene.get(&alice, &item).ok(), json!({ "tags": tags }));
    let delete = |tag: &str| {
        scene.call(Some(&alice), &format!("DELETE {at}/{tag}"), &Value::Null).ok();
    };
    delete("m.favourite");
    delete("m.favourite");
    assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": { "u.wörk": {} } }));
    for info in [json!([]), json!({ "order": "0.5" }), json!(5)] {
        put("t", &info).refused(400, "M_BAD_JSON");
    }
    put(&"x".repeat(256), &json!({})).refused(400, "M_INVALID_PARAM");
    put("t", &json!({ "x": "x".repeat(65_536) })).refused(400, "M_INVALID_PARAM");
    for info in
        [r#"{"x":1e400}"#.to_owned(), format!("{}1{}", r#"{"a":"#.repeat(99), "}".repeat(99))]
    {
        let answer = scene.send(Some(&alice), &format!("PUT {at}/t"), info);
        assert_eq!(answer.status, 400);
    }
}

#[test]
fn tags_that_clients_wrote_whole_may_be_of_any_form() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let of_room = format!("/_matrix/client/v3/user/{}/rooms/{room}", alice.id);
    let (at, item) = (format!("{of_room}/tags"), format!("{of_room}/account_data/m.tag"));
    let put = |tag: &str, info: &Value| scene.call(Some(&alice), &format!("PUT {at}/{tag}"), info);
    let odd =
        [r#""x":1e400"#.to_owned(), format!(r#""x":{}1{}"#, "[".repeat(200), "]".repeat(200))];
    for odd in odd {
        let whole = format!(r#"{{"tags":{{"u":{{}},"v":{{{odd}}}}},{odd}}}"#);
        scene.send(Some(&alice), &format!("PUT {item}"), whole).ok();
        assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": { "u": {} } }));
        put("t", &json!({})).ok();
        assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": { "t": {}, "u": {} } }));
        // Nothing that the client wrote is lost.
        let user = UserId::parse(&*alice.id).unwrap();
        let query = "SELECT content FROM account_data WHERE type = 'm.tag'";
        let object = scene.server.sql(&user_object(&user)).unwrap();
        let text = object.row(query, values![], |row| row.text(0)).unwrap().unwrap();
        assert_eq!(text.matches(&odd).count(), 2, "{text}");
    }
    let whole = json!({ "tags": { "a": 5, "b": { "order": "x" }, "c": { "order": 1 } } });
    scene.call(Some(&alice), &format!("PUT {item}"), &whole).ok();
    assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": { "c": { "order": 1 } } }));
    scene.call(Some(&alice), &format!("PUT {item}"), &json!({ "tags": 5, "more": 1 })).ok();
    assert_eq!(scene.get(&alice, &at).ok(), json!({ "tags": {} }));
    put("t", &json!({})).ok();
    assert_eq!(scene.get(&alice, &item).ok(), json!({ "tags": { "t": {} }, "more": 1 }));
}

#[test]
fn nobody_tags_rooms_for_another_user() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let at = format!("/_matrix/client/v3/user/{}/rooms/!r:example.org/tags", alice.id);
    scene.get(&bob, &at).refused(403, "M_FORBIDDEN");
    for method in ["PUT", "DELETE"] {
        let line = format!("{method} {at}/t");
        scene.call(Some(&bob), &line, &json!({})).refused(403, "M_FORBIDDEN");
    }
}

#[test]
fn a_sync_tells_of_tags_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let tags = |since: &mut String| {
        let sync = scene.sync(&alice, &format!("since={since}"));
        *since = sync["next_batch"].as_str().unwrap().to_owned();
        sync["rooms"]["join"][&room]["account_data"]["events"][0]["content"]["tags"].clone()
    };
    let mut since = scene.sync(&alice, "")["next_batch"].as_str().unwrap().to_owned();
    let line = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags/u.t", alice.id);
    for (method, told) in [
        ("PUT", json!({ "u.t": {} })),
        ("PUT", Value::Null),
        ("DELETE", json!({})),
        ("DELETE", Value::Null),
    ] {
        scene.call(Some(&alice), &format!("{method} {line}"), &json!({})).ok();
        assert_eq!(tags(&mut since), told, "{method}");
    }
}

#[test]
fn what_was_stored_of_a_room_comes_with_the_room() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let mut since = scene.sync(&bob, "")["next_batch"].as_str().unwrap().to_owned();
    let mut tags = || {
        let sync = scene.sync(&bob, &format!("since={since}"));
        since = sync["next_batch"].as_str().unwrap().to_owned();
        sync["rooms"]["join"][&room]["account_data"]["events"][0]["content"]["tags"].clone()
    };
    let line = format!("PUT /_matrix/client/v3/user/{}/rooms/{room}/tags/u.t", bob.id);
    scene.call(Some(&bob), &line, &json!({})).ok();
    assert_eq!(tags(), Value::Null);
    for _ in 0..2 {
        scene.act(&bob, &room, "join", &json!({})).ok();
        assert_eq!(tags(), json!({ "u.t": {} }));
        scene.say(&bob, &room, "here");
        assert_eq!(tags(), Value::Null);
        scene.act(&bob, &room, "leave", &json!({})).ok();
        assert_eq!(tags(), Value::Null);
    }
}
