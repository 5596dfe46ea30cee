//! Who is told of typing and of receipts?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, text};

use super::one_server;

/// Two users of a room, and an event in it.
fn together(scene: &Scene) -> (User, User, String, String) {
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let said = scene.say(&alice, &room, "hello");
    (alice, bob, room, said)
}

fn type_for_long(scene: &Scene, user: &User, room: &str) {
    let rest = format!("typing/{}", user.id);
    scene.put(user, room, &rest, &json!({ "typing": true, "timeout": 120_000 })).ok();
}

/// Who types, by the answer of a sync; `Null` if it does not say.
fn typing(synced: &Value, room: &str) -> Value {
    content(synced, room, "m.typing")["user_ids"].clone()
}

fn content(synced: &Value, room: &str, kind: &str) -> Value {
    let events = synced["rooms"]["join"][room]["ephemeral"]["events"].as_array().cloned();
    let found = events.unwrap_or_default().into_iter().find(|event| event["type"] == kind);
    found.map_or(Value::Null, |event| event["content"].clone())
}

#[test]
fn who_leaves_stops_typing() {
    let scene = one_server();
    for deed in ["leave", "kick"] {
        let [alice, bob] = ["alice", "bob"].map(|name| scene.register(&format!("{name}.{deed}")));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        scene.act(&bob, &room, "join", &json!({})).ok();
        type_for_long(&scene, &bob, &room);
        let synced = scene.sync(&alice, "timeout=0");
        assert_eq!(typing(&synced, &room), json!([bob.id]));
        let actor = if deed == "leave" { &bob } else { &alice };
        let body = if deed == "leave" { json!({}) } else { json!({ "user_id": bob.id }) };
        scene.act(actor, &room, deed, &body).ok();
        scene.pass(1000);
        let since = text(&synced["next_batch"]);
        assert_eq!(
            typing(&scene.sync(&alice, &format!("since={since}")), &room),
            json!([]),
            "{deed}"
        );
    }
}

#[test]
fn who_comes_is_told_who_types_and_when_that_ends() {
    let scene = one_server();
    let (alice, bob, room, _) = together(&scene);
    scene.pass(5000);
    type_for_long(&scene, &alice, &room);
    let carol = scene.register("carol");
    scene.act(&carol, &room, "join", &json!({})).ok();
    scene.pass(1000);
    let synced = scene.sync(&carol, "");
    assert_eq!(typing(&synced, &room), json!([alice.id]));
    let since = text(&synced["next_batch"]);
    scene.put(&alice, &room, &format!("typing/{}", alice.id), &json!({ "typing": false })).ok();
    assert_eq!(typing(&scene.sync(&carol, &format!("since={since}")), &room), json!([]));
    // A user who left and came back is not told who typed before.
    type_for_long(&scene, &alice, &room);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.put(&alice, &room, &format!("typing/{}", alice.id), &json!({ "typing": false })).ok();
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(1000);
    assert_eq!(typing(&scene.sync(&bob, ""), &room), Value::Null);
}

#[test]
fn a_private_receipt_is_its_readers_alone() {
    let scene = one_server();
    let (alice, bob, room, said) = together(&scene);
    scene.act(&bob, &room, &format!("receipt/m.read.private/{said}"), &json!({})).ok();
    scene.pass(5000);
    let read = |user: &User| content(&scene.sync(user, ""), &room, "m.receipt");
    assert!(read(&bob)[&said]["m.read.private"][&bob.id]["ts"].is_u64());
    assert_eq!(read(&alice), Value::Null);
    scene.act(&bob, &room, &format!("receipt/m.read/{said}"), &json!({})).ok();
    scene.pass(5000);
    assert_eq!(read(&alice)[&said].as_object().unwrap().keys().collect::<Vec<_>>(), ["m.read"]);
}

#[test]
fn a_receipt_names_a_thread_of_its_event_or_none() {
    let scene = one_server();
    let (alice, _, room, said) = together(&scene);
    let threaded =
        json!({ "body": "x", "m.relates_to": { "rel_type": "m.thread", "event_id": said } });
    let reply =
        text(&scene.put(&alice, &room, "send/m.room.message/t", &threaded).ok()["event_id"]);
    let edit =
        json!({ "body": "y", "m.relates_to": { "rel_type": "m.replace", "event_id": reply } });
    let edit = text(&scene.put(&alice, &room, "send/m.room.message/e", &edit).ok()["event_id"]);
    let receipt = |kind: &str, event: &str, body: &Value| {
        scene.act(&alice, &room, &format!("receipt/{kind}/{event}"), body)
    };
    for malformed in
        [json!(""), json!(5), json!({}), Value::Null, json!([said]), json!("elsewhere")]
    {
        for kind in ["m.read", "m.read.private", "m.fully_read"] {
            receipt(kind, &said, &json!({ "thread_id": malformed }))
                .refused(400, "M_INVALID_PARAM");
        }
    }
    receipt("m.fully_read", &said, &json!({ "thread_id": "main" })).refused(400, "M_INVALID_PARAM");
    receipt("m.delivered", &said, &json!({})).refused(400, "M_INVALID_PARAM");
    receipt("m.read", &said, &json!([])).refused(400, "M_BAD_JSON");
    for (event, thread) in [(&reply, "main"), (&edit, "main"), (&reply, edit.as_str())] {
        receipt("m.read", event, &json!({ "thread_id": thread })).refused(400, "M_INVALID_PARAM");
    }
    for (event, thread) in
        [(&said, "main"), (&said, said.as_str()), (&reply, &said), (&edit, &said)]
    {
        receipt("m.read", event, &json!({ "thread_id": thread })).ok();
    }
    receipt("m.read", &edit, &json!({})).ok();
}

#[test]
fn a_marker_stands_at_an_event_of_its_room() {
    let scene = one_server();
    let (alice, bob, room, said) = together(&scene);
    let elsewhere = scene.room(&bob, &json!({}));
    let other = scene.say(&bob, &elsewhere, "elsewhere");
    let unknown = format!("${}", "u".repeat(43));
    for event in [&other, &unknown] {
        scene
            .act(&alice, &room, "read_markers", &json!({ "m.fully_read": event }))
            .refused(404, "M_NOT_FOUND");
        scene
            .act(&alice, &room, &format!("receipt/m.fully_read/{event}"), &json!({}))
            .refused(404, "M_NOT_FOUND");
    }
    scene
        .act(&alice, &elsewhere, "read_markers", &json!({ "m.fully_read": other }))
        .refused(404, "M_NOT_FOUND");
    let marker =
        format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.fully_read", alice.id);
    scene.get(&alice, &marker).refused(404, "M_NOT_FOUND");
    scene.act(&alice, &room, &format!("receipt/m.fully_read/{said}"), &json!({})).ok();
    assert_eq!(scene.get(&alice, &marker).ok(), json!({ "event_id": said }));
}
