//! What do users send, and what do they read back?

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

fn messages(scene: &Scene, user: &User, room: &str, query: &str) -> Answer {
    scene.get(user, &format!("/_matrix/client/v3/rooms/{room}/messages?{query}"))
}

fn said(page: &Value) -> Vec<String> {
    page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_transaction_makes_one_event() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let content = json!({ "body": "hello" });
    let say = || scene.put(&alice, &room, "send/m.room.message/once", &content).ok();
    let first = text(&say()["event_id"]);
    assert_eq!(say()["event_id"], first);
    let event = scene.get(&alice, &format!("/_matrix/client/v3/rooms/{room}/event/{first}")).ok();
    assert_eq!(
        (&event["content"]["body"], &event["unsigned"]["transaction_id"]),
        (&json!("hello"), &json!("once"))
    );
}

#[test]
fn pages_meet_without_gap_or_overlap() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    for body in ["one", "two", "three", "four"] {
        scene.say(&alice, &room, body);
    }
    let newest = messages(&scene, &alice, &room, "dir=b&limit=2").ok();
    assert_eq!(said(&newest), ["four", "three"]);
    let older =
        messages(&scene, &alice, &room, &format!("dir=b&limit=2&from={}", text(&newest["end"])))
            .ok();
    assert_eq!(said(&older), ["two", "one"]);
    let filter = "%7B%22types%22%3A%5B%22m.room.message%22%5D%7D";
    let forwards = messages(&scene, &alice, &room, &format!("dir=f&filter={filter}")).ok();
    assert_eq!(said(&forwards), ["one", "two", "three", "four"]);
    let rest =
        messages(&scene, &alice, &room, &format!("dir=b&limit=100&from={}", text(&older["end"])))
            .ok();
    assert!(rest.get("end").is_none());
    let token = text(&older["end"]);
    let some = messages(&scene, &alice, &room, &format!("dir=b&from=&to={token}")).ok();
    assert_eq!((said(&some).len(), &some["end"]), (4, &older["end"]));
    for query in [format!("dir=b&from={token}&to={token}"), "dir=f&from=s99&to=s99".to_owned()] {
        let nothing = messages(&scene, &alice, &room, &query).ok();
        assert_eq!((said(&nothing).len(), nothing.get("end")), (0, None), "{query}");
    }
}

#[test]
fn a_token_of_the_stream_is_a_place_in_the_room() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    scene.say(&alice, &room, "one");
    let nothing = messages(&scene, &alice, &room, "dir=b&from=s0").ok();
    assert!(said(&nothing).is_empty());
    let all = messages(&scene, &alice, &room, "dir=b&from=s99&limit=1").ok();
    assert_eq!((said(&all), &all["start"]), (vec!["one".to_owned()], &json!("s99")));
}

#[test]
fn garbage_in_a_query_is_the_clients_mistake() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    for token in
        ["garbage", "-1", "t-1", "%27%20OR%201=1", "t99999999999999999999", "s9007199254740992"]
    {
        messages(&scene, &alice, &room, &format!("dir=b&from={token}"))
            .refused(400, "M_INVALID_PARAM");
        scene
            .get(&alice, &format!("/_matrix/client/v3/rooms/{room}/members?at={token}"))
            .refused(400, "M_INVALID_PARAM");
    }
    for query in [
        "",
        "dir=x",
        "dir=b&limit=-1",
        "dir=b&limit=abc",
        "dir=b&filter=no",
        "dir=b&filter=%7B%22types%22%3A1%7D",
    ] {
        let status = messages(&scene, &alice, &room, query).status;
        assert_eq!(status, 400, "{query}");
    }
    messages(&scene, &alice, &room, "dir=b&limit=1000000000").ok();
}

#[test]
fn events_no_room_can_hold_are_refused() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let send = |kind: &str, body: &str| {
        scene.send(
            Some(&alice),
            &format!("PUT /_matrix/client/v3/rooms/{room}/send/{kind}/txn"),
            body.to_owned(),
        )
    };
    send("m.room.message", "{\"n\":1.5}").refused(400, "M_BAD_JSON");
    send("m.room.message", "{\"n\":9007199254740992}").refused(400, "M_BAD_JSON");
    send("m.room.message", "[]").refused(400, "M_BAD_JSON");
    send("m.room.message", "NaN").refused(400, "M_NOT_JSON");
    send(&"t".repeat(300), "{}").refused(400, "M_BAD_JSON");
    send("m.room.message", &json!({ "body": "x".repeat(70_000) }).to_string())
        .refused(413, "M_TOO_LARGE");
    send("m.room.message", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))
        .refused(400, "M_BAD_JSON");
    send("m.room.create", "{}").refused(400, "M_BAD_JSON");
    send("m.room.member", "{\"membership\":\"join\"}").refused(400, "M_BAD_JSON");
}

#[test]
fn a_redaction_empties_the_event_in_every_version() {
    let scene = one_server();
    let alice = scene.register("alice");
    for version in ["10", "11"] {
        let room = scene.room(&alice, &json!({ "room_version": version }));
        for (number, body) in ["one", "two"].into_iter().enumerate() {
            let event = scene.say(&alice, &room, body);
            let (line, content) = match number {
                0 => (format!("redact/{event}/txn"), json!({ "reason": "why" })),
                _ => ("send/m.room.redaction/other".to_owned(), json!({ "redacts": event })),
            };
            scene
                .call(
                    Some(&alice),
                    &format!("PUT /_matrix/client/v3/rooms/{room}/{line}"),
                    &content,
                )
                .ok();
            let event =
                scene.get(&alice, &format!("/_matrix/client/v3/rooms/{room}/event/{event}")).ok();
            assert_eq!(event["content"], json!({}), "{version}");
        }
    }
}

#[test]
fn a_forgotten_room_shows_nothing_until_its_user_is_back() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let act = |deed: &str| {
        scene.call(Some(&bob), &format!("POST /_matrix/client/v3/rooms/{room}/{deed}"), &json!({}))
    };
    act("join").ok();
    act("forget").refused(400, "M_UNKNOWN");
    act("leave").ok();
    messages(&scene, &bob, &room, "dir=b").ok();
    act("forget").ok();
    messages(&scene, &bob, &room, "dir=b").refused(403, "M_FORBIDDEN");
    act("join").ok();
    messages(&scene, &bob, &room, "dir=b").ok();
}

#[test]
fn receipts_markers_and_typing_are_for_members() {
    let scene = one_server();
    let (alice, eve) = (scene.register("alice"), scene.register("eve"));
    let room = scene.room(&alice, &json!({}));
    let event = scene.say(&alice, &room, "hello");
    let receipt = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
    scene.call(Some(&alice), &receipt, &Value::Null).ok();
    scene.call(Some(&alice), &receipt, &json!({ "thread_id": "main" })).ok();
    scene.call(Some(&eve), &receipt, &json!({})).refused(403, "M_FORBIDDEN");
    let unknown = receipt.replace("m.read", "m.other");
    scene.call(Some(&alice), &unknown, &json!({})).refused(400, "M_INVALID_PARAM");
    let markers = json!({ "m.fully_read": event, "m.read.private": event });
    scene
        .call(Some(&alice), &format!("POST /_matrix/client/v3/rooms/{room}/read_markers"), &markers)
        .ok();
    let marker =
        format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.fully_read", alice.id);
    assert_eq!(scene.get(&alice, &marker).ok(), json!({ "event_id": event }));
    let typing = format!("PUT /_matrix/client/v3/rooms/{room}/typing/{}", alice.id);
    for typed in [json!({ "typing": true, "timeout": 5000 }), json!({ "typing": true })] {
        scene.call(Some(&alice), &typing, &typed).ok();
    }
    for malformed in
        [json!({ "typing": 1 }), json!({ "timeout": 1 }), json!({ "typing": true, "timeout": -1 })]
    {
        scene.call(Some(&alice), &typing, &malformed).refused(400, "M_BAD_JSON");
    }
    scene.call(Some(&alice), &typing, &json!({ "typing": false })).ok();
    scene.call(Some(&eve), &typing, &json!({ "typing": false })).refused(403, "M_FORBIDDEN");
}
