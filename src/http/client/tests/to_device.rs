//! How do messages reach devices, each once?

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Scene, User};

use super::one_server;

fn send(scene: &Scene, sender: &User, txn: &str, messages: &Value) {
    let line = format!("PUT /_matrix/client/v3/sendToDevice/m.test/{txn}");
    scene.call(Some(sender), &line, &json!({ "messages": messages })).ok();
}

fn on(scene: &Scene, user: &User, device: &str) -> User {
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": device });
    let answer = scene.call(None, "POST /_matrix/client/v3/login", &body);
    User::of(&scene.server, &answer).unwrap()
}

/// The messages of a sync, and its token.
fn messages(scene: &Scene, user: &User, since: Option<&str>) -> (Vec<Value>, String) {
    let parameters = since.map_or(String::new(), |since| format!("since={since}"));
    let sync = scene.sync(user, &parameters);
    let events = sync["to_device"]["events"].as_array().cloned().unwrap_or_default();
    (events, sync["next_batch"].as_str().unwrap().to_owned())
}

#[test]
fn a_message_is_there_until_its_device_says_it_has_it() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (phone, tablet) = (on(&scene, &bob, "PHONE"), on(&scene, &bob, "TABLET"));
    let (_, since) = messages(&scene, &phone, None);
    send(&scene, &alice, "1", &json!({ &bob.id: { "PHONE": { "n": 1 } } }));
    let expected = json!([{ "content": { "n": 1 }, "sender": alice.id, "type": "m.test" }]);
    let (first, next) = messages(&scene, &phone, Some(&since));
    assert_eq!(json!(first), expected);
    // The answer may have been lost.
    assert_eq!(json!(messages(&scene, &phone, Some(&since)).0), expected);
    assert_eq!(json!(messages(&scene, &phone, None).0), expected);
    assert_eq!(messages(&scene, &phone, Some(&next)).0, Vec::<Value>::new());
    assert_eq!(messages(&scene, &phone, None).0, Vec::<Value>::new());
    assert_eq!(messages(&scene, &tablet, None).0, Vec::<Value>::new());
}

#[test]
fn a_star_means_every_device_that_is_not_named() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (phone, tablet) = (on(&scene, &bob, "PHONE"), on(&scene, &bob, "TABLET"));
    let body = json!({ &bob.id: { "*": { "to": "all" }, "PHONE": { "to": "phone" }, "NONE": {} } });
    send(&scene, &alice, "1", &body);
    for (device, to) in [(&bob, "all"), (&phone, "phone"), (&tablet, "all")] {
        let (messages, _) = messages(&scene, device, None);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["content"]["to"], to);
    }
}

#[test]
fn a_transaction_sends_once() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let phone = on(&scene, &alice, "PHONE");
    for sender in [&alice, &alice, &phone] {
        send(&scene, sender, "1", &json!({ &bob.id: { "*": {} } }));
    }
    // The other device's transaction is another one.
    assert_eq!(messages(&scene, &bob, None).0.len(), 2);
}

#[test]
fn many_messages_come_in_parts_and_in_order() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (_, mut since) = messages(&scene, &bob, None);
    for n in 0..250 {
        send(&scene, &alice, &n.to_string(), &json!({ &bob.id: { "*": { "n": n } } }));
    }
    let room = scene.room(&bob, &json!({}));
    let mut got = Vec::new();
    for part in [100, 100, 50] {
        let (events, next) = messages(&scene, &bob, Some(&since));
        assert_eq!(events.len(), part);
        got.extend(events.iter().map(|event| event["content"]["n"].as_u64().unwrap()));
        since = next;
    }
    assert_eq!(got, (0..250).collect::<Vec<u64>>());
    assert_eq!(messages(&scene, &bob, Some(&since)).0.len(), 0);
    // A token of the middle names its place in a room as well.
    scene.get(&bob, &format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&from={since}")).ok();
}

#[test]
fn no_position_is_given_twice_though_its_message_is_gone() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    send(&scene, &alice, "1", &json!({ &bob.id: { "*": {} } }));
    let (_, since) = messages(&scene, &bob, None);
    messages(&scene, &bob, Some(&since));
    scene.server.evict();
    send(&scene, &alice, "2", &json!({ &bob.id: { "*": { "second": true } } }));
    assert_eq!(messages(&scene, &bob, Some(&since)).0.len(), 1);
}

#[test]
fn what_is_no_message_is_refused() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = "PUT /_matrix/client/v3/sendToDevice/m.test/1";
    let call = |body: Value| scene.call(Some(&alice), line, &body);
    call(json!({})).refused(400, "M_BAD_JSON");
    call(json!({ "messages": { "nobody": {} } })).refused(400, "M_BAD_JSON");
    call(json!({ "messages": { &alice.id: { "*": "text" } } })).refused(400, "M_BAD_JSON");
    let long = "x".repeat(70_000);
    let body = json!({ "messages": { &alice.id: { "*": { "long": long } } } });
    call(body).refused(413, "M_TOO_LARGE");
}
