//! When does a repeated request make no new event, and to which events may an event relate?

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

fn reaction(target: &str, key: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": target, "key": key } })
}

fn react(scene: &Scene, user: &User, (room, target): (&str, &str), key: &str, txn: &str) -> Answer {
    scene.put(user, room, &format!("send/m.reaction/{txn}"), &reaction(target, key))
}

#[test]
fn a_transaction_id_belongs_to_one_path() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let put =
        |rest: &str, body: &Value| text(&scene.put(&alice, &room, rest, body).ok()["event_id"]);
    let message = put("send/m.room.message/T", &json!({ "body": "one" }));
    let other = put("send/x.other/T", &json!({ "body": "two" }));
    let redaction = put(&format!("redact/{message}/T"), &json!({}));
    let second = put(&format!("redact/{other}/T"), &json!({}));
    let sent = put("send/m.room.redaction/T", &json!({ "redacts": other }));
    let mut all = vec![&message, &other, &redaction, &second, &sent];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(put("send/m.room.message/T", &json!({ "body": "again" })), message);
    assert_eq!(put("send/x.other/T", &json!({})), other);
    assert_eq!(put(&format!("redact/{message}/T"), &json!({})), redaction);
    let event = format!("/_matrix/client/v3/rooms/{room}/event/{other}");
    assert_eq!(scene.get(&alice, &event).ok()["unsigned"]["transaction_id"], "T");
}

#[test]
fn nobody_reacts_twice_in_the_same_way() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let (said, other) = (scene.say(&alice, &room, "hello"), scene.say(&alice, &room, "other"));
    let at = (room.as_str(), said.as_str());
    let first = react(&scene, &alice, at, "y", "1").ok();
    react(&scene, &alice, at, "y", "2").refused(400, "M_DUPLICATE_ANNOTATION");
    assert_eq!(react(&scene, &alice, at, "y", "1").ok(), first, "the same request");
    react(&scene, &alice, at, "n", "3").ok();
    react(&scene, &alice, (&room, &other), "y", "4").ok();
    react(&scene, &bob, at, "y", "5").ok();
    scene.put(&alice, &room, "send/x.other/6", &reaction(&said, "y")).ok();
    let redact = format!("redact/{}/7", text(&first["event_id"]));
    scene.put(&alice, &room, &redact, &json!({})).ok();
    react(&scene, &alice, at, "y", "8").ok();
    react(&scene, &alice, at, "y", "9").refused(400, "M_DUPLICATE_ANNOTATION");
    react(&scene, &alice, at, "", "10").ok();
    react(&scene, &alice, at, "", "12").refused(400, "M_DUPLICATE_ANNOTATION");
    let without = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": said } });
    scene.put(&alice, &room, "send/m.reaction/13", &without).refused(400, "M_UNKNOWN");
    react(&scene, &alice, at, &"k".repeat(501), "11").refused(400, "M_UNKNOWN");
}

#[test]
fn an_event_relates_to_one_of_its_room() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (room, elsewhere) = (scene.room(&alice, &json!({})), scene.room(&alice, &json!({})));
    let (here, there) = (scene.say(&alice, &room, "here"), scene.say(&alice, &elsewhere, "there"));
    let unknown = format!("${}", "u".repeat(43));
    let relate = |rel_type: &str, target: &str, txn: &str| {
        let content =
            json!({ "body": "x", "m.relates_to": { "rel_type": rel_type, "event_id": target } });
        scene.put(&alice, &room, &format!("send/m.room.message/{txn}"), &content)
    };
    for (number, target) in [there.as_str(), unknown.as_str(), "nothing"].iter().enumerate() {
        for rel_type in ["m.thread", "m.reference", "m.replace"] {
            relate(rel_type, target, &format!("{number}{rel_type}")).refused(400, "M_UNKNOWN");
        }
    }
    let reply = text(&relate("m.thread", &here, "thread").ok()["event_id"]);
    relate("m.thread", &reply, "nested").refused(400, "M_UNKNOWN");
    relate("m.reference", &reply, "reference").ok();
    // `m.in_reply_to` is for people: servers do not check it.
    let answer = json!({ "m.relates_to": { "m.in_reply_to": { "event_id": there } } });
    scene.put(&alice, &room, "send/m.room.message/reply", &answer).ok();
}

#[test]
fn state_that_stands_already_is_not_written_again() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let levels = json!({ "users": { &alice.id: 100, &bob.id: 100 } });
    let request = json!({ "preset": "public_chat", "power_level_content_override": levels });
    let room = scene.room(&alice, &request);
    scene.act(&bob, &room, "join", &json!({})).ok();
    let name = |user: &User, name: &str| {
        let answer = scene.put(user, &room, "state/m.room.name", &json!({ "name": name }));
        text(&answer.ok()["event_id"])
    };
    let first = name(&alice, "a");
    assert_eq!(name(&alice, "a"), first);
    let of_bob = name(&bob, "a");
    assert_ne!(of_bob, first, "whoever says it");
    let other = name(&alice, "b");
    assert_ne!(name(&alice, "a"), first, "what stood before");
    assert_ne!(other, of_bob);
    let carol = scene.register("carol");
    let invite = json!({ "user_id": carol.id });
    let member =
        format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}?format=event", carol.id);
    let invited = || {
        scene.act(&alice, &room, "invite", &invite).ok();
        text(&scene.get(&alice, &member).ok()["event_id"])
    };
    let held = invited();
    assert_eq!(invited(), held);
    scene.act(&alice, &room, "invite", &json!({ "user_id": carol.id, "reason": "please" })).ok();
    assert_ne!(text(&scene.get(&alice, &member).ok()["event_id"]), held);
    // A user who may not set the state is refused even where it would not change.
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let again = scene.put(&bob, &room, "state/m.room.name", &json!({ "name": "a" }));
    again.refused(403, "M_FORBIDDEN");
}
