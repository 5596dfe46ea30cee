//! What does a push gateway get of what a user is notified of?
//! ([push gateway API](https://spec.matrix.org/v1.19/push-gateway-api/))

use std::{cell::Cell, rc::Rc};

use serde_json::{Value, json};
use tombolo_support::{Answer, PASSWORD, Peer, Scene, User, encode, ok, refusal, text};

use super::{one_server, one_server_with};

const SET: &str = "POST /_matrix/client/v3/pushers/set";
const URL: &str = "https://push.example/_matrix/push/v1/notify";

/// Bob has a phone; Alice speaks.
struct Phone {
    scene: Scene,
    gateway: Peer,
    alice: User,
    bob: User,
    room: String,
}

impl Phone {
    fn new() -> Self {
        let scene = one_server();
        let gateway = Peer::new(&scene.simulation, "push.example", 9);
        gateway.on("notify", |_| ok(&json!({ "rejected": [] })));
        let (alice, bob) = (scene.register("alice"), scene.register("bob"));
        let name = format!("PUT /_matrix/client/v3/profile/{}/displayname", alice.id);
        scene.call(Some(&alice), &name, &json!({ "displayname": "Alice" })).ok();
        let room = scene.room(&alice, &json!({ "preset": "public_chat", "name": "Kitchen" }));
        scene.act(&bob, &room, "join", &json!({})).ok();
        scene.pass(5000);
        Self { scene, gateway, alice, bob, room }
    }

    fn set(&self, data: &Value) {
        self.scene.call(Some(&self.bob), SET, &pusher("key", data)).ok();
    }

    /// What the gateway was sent since it was asked last.
    fn pushed(&self) -> Vec<Value> {
        self.scene.pass(3000);
        let asked = self.gateway.asked("notify");
        self.gateway.forget_asked();
        asked.into_iter().map(|asked| asked.body["notification"].clone()).collect()
    }

    fn say(&self, body: &str) -> String {
        self.scene.say(&self.alice, &self.room, body)
    }

    fn read(&self, event: &str) {
        let deed = format!("receipt/m.read/{}", encode(event));
        self.scene.act(&self.bob, &self.room, &deed, &json!({})).ok();
    }

    fn pushers(&self, user: &User) -> Vec<Value> {
        let held = self.scene.get(user, "/_matrix/client/v3/pushers").ok();
        held["pushers"].as_array().unwrap().clone()
    }
}

fn pusher(pushkey: &str, data: &Value) -> Value {
    json!({
        "kind": "http",
        "app_id": "org.example.app",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "pushkey": pushkey,
        "data": data,
    })
}

#[test]
fn a_push_has_the_event_and_what_names_it() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL, "brand": "x" }));
    let said = phone.say("hi");
    let pushed = phone.pushed();
    let [push] = &pushed[..] else { panic!("{pushed:?}") };
    let device = json!({
        "app_id": "org.example.app",
        "pushkey": "key",
        "pushkey_ts": push["devices"][0]["pushkey_ts"],
        "data": { "brand": "x" },
        "tweaks": { "sound": "default" },
    });
    let expected = json!({
        "event_id": said,
        "room_id": phone.room,
        "type": "m.room.message",
        "sender": phone.alice.id,
        "sender_display_name": "Alice",
        "room_name": "Kitchen",
        "content": { "msgtype": "m.text", "body": "hi" },
        "counts": { "unread": 1 },
        "prio": "high",
        "devices": [device],
    });
    assert_eq!(*push, expected);
    assert!(push["devices"][0]["pushkey_ts"].is_u64());
}

#[test]
fn a_push_of_an_id_only_says_nothing_of_the_event() {
    let phone = Phone::new();
    let data = json!({ "url": URL, "format": "event_id_only", "default_payload": { "a": 1 } });
    phone.set(&data);
    phone.say("before");
    phone.pushed();
    let said = phone.say("hi");
    let pushed = phone.pushed();
    let [push] = &pushed[..] else { panic!("{pushed:?}") };
    let names: Vec<&str> = push.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["counts", "devices", "event_id", "prio", "room_id"]);
    assert_eq!((&push["event_id"], &push["counts"]["unread"]), (&json!(said), &json!(2)));
    let kept = json!({ "format": "event_id_only", "default_payload": { "a": 1 } });
    assert_eq!(push["devices"][0]["data"], kept);
}

#[test]
fn the_count_goes_down_when_the_user_reads() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL }));
    let said = phone.say("hi");
    assert_eq!(phone.pushed().len(), 1);
    phone.read(&said);
    let pushed = phone.pushed();
    let [push] = &pushed[..] else { panic!("{pushed:?}") };
    assert_eq!(push["counts"]["unread"], 0);
    assert!(push.get("event_id").is_none() && push.get("prio").is_none());
    assert!(phone.pushed().is_empty(), "nothing is said twice");
}

#[test]
fn what_the_user_sent_or_muted_is_not_pushed() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL }));
    phone.scene.say(&phone.bob, &phone.room, "mine");
    let line = format!("PUT /_matrix/client/v3/pushrules/global/room/{}", encode(&phone.room));
    phone.scene.call(Some(&phone.bob), &line, &json!({ "actions": [] })).ok();
    phone.say("muted");
    assert!(phone.pushed().is_empty());
}

#[test]
fn an_invite_is_pushed() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL }));
    let room = phone.scene.room(&phone.alice, &json!({ "invite": [phone.bob.id] }));
    let pushed = phone.pushed();
    let [push] = &pushed[..] else { panic!("{pushed:?}") };
    assert_eq!((&push["room_id"], &push["type"]), (&json!(room), &json!("m.room.member")));
    assert_eq!((&push["user_is_target"], &push["membership"]), (&json!(true), &json!("invite")));
    phone.scene.act(&phone.bob, &room, "join", &json!({})).ok();
    assert_eq!(phone.pushed().last().unwrap()["counts"]["unread"], 0);
}

#[test]
fn an_invite_that_is_not_shown_counts_no_more() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL }));
    phone.scene.room(&phone.alice, &json!({ "invite": [phone.bob.id] }));
    assert_eq!(phone.pushed().last().unwrap()["counts"]["unread"], 1);
    let line =
        format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", phone.bob.id);
    let ignored = json!({ "ignored_users": { &phone.alice.id: {} } });
    phone.scene.call(Some(&phone.bob), &line, &ignored).ok();
    assert_eq!(phone.pushed().last().unwrap()["counts"]["unread"], 0);
}

#[test]
fn what_is_encrypted_may_be_urgent() {
    let phone = Phone::new();
    let carol = phone.scene.register("carol");
    phone.scene.act(&carol, &phone.room, "join", &json!({})).ok();
    phone.set(&json!({ "url": URL, "format": "event_id_only" }));
    phone.say("plain");
    let content = json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x" });
    phone.scene.put(&phone.alice, &phone.room, "send/m.room.encrypted/1", &content).ok();
    let prios: Vec<Value> = phone.pushed().iter().map(|push| push["prio"].clone()).collect();
    assert_eq!(prios, ["low", "high"]);
}

#[test]
fn a_gateway_that_is_down_gets_later_what_is_unread_still() {
    let phone = Phone::new();
    let up = Rc::new(Cell::new(false));
    let is_up = Rc::clone(&up);
    phone.gateway.on("notify", move |_| match is_up.get() {
        true => ok(&json!({})),
        false => refusal(502, "M_UNKNOWN"),
    });
    phone.set(&json!({ "url": URL }));
    let [read, unread] = ["one", "two"].map(|body| phone.say(body));
    phone.scene.pass(600_000);
    let tries = phone.gateway.times_asked("notify");
    assert!((5..20).contains(&tries), "{tries} tries in ten minutes");
    phone.read(&read);
    phone.gateway.forget_asked();
    up.set(true);
    phone.scene.pass(3_600_000);
    let pushed = phone.pushed();
    let events: Vec<&Value> = pushed.iter().map(|push| &push["event_id"]).collect();
    assert_eq!(events, [&json!(unread)]);
}

#[test]
fn a_key_that_the_gateway_rejects_is_removed() {
    let phone = Phone::new();
    phone.gateway.on("notify", |_| ok(&json!({ "rejected": ["other", "key"] })));
    phone.set(&json!({ "url": URL }));
    assert_eq!(phone.pushers(&phone.bob).len(), 1);
    phone.say("hi");
    assert_eq!(phone.pushed().len(), 1);
    assert!(phone.pushers(&phone.bob).is_empty());
}

#[test]
fn a_key_has_one_user_unless_it_is_appended() {
    let phone = Phone::new();
    let set = |user: &User, append: bool| {
        let mut pusher = pusher("key", &json!({ "url": URL }));
        pusher["append"] = json!(append);
        phone.scene.call(Some(user), SET, &pusher).ok();
    };
    set(&phone.bob, false);
    set(&phone.alice, true);
    assert_eq!([&phone.bob, &phone.alice].map(|user| phone.pushers(user).len()), [1, 1]);
    set(&phone.alice, false);
    assert_eq!([&phone.bob, &phone.alice].map(|user| phone.pushers(user).len()), [0, 1]);
    let remove = json!({ "kind": null, "app_id": "org.example.app", "pushkey": "key" });
    for _ in 0..2 {
        phone.scene.call(Some(&phone.alice), SET, &remove).ok();
        assert!(phone.pushers(&phone.alice).is_empty());
    }
}

#[test]
fn a_pusher_goes_with_its_session() {
    let phone = Phone::new();
    phone.set(&json!({ "url": URL }));
    let identifier = json!({ "type": "m.id.user", "user": "bob" });
    let login =
        json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD });
    let other = phone.scene.call(None, "POST /_matrix/client/v3/login", &login);
    let other = User::of(&phone.scene.server, &other).unwrap();
    let logout = "POST /_matrix/client/v3/logout";
    phone.scene.call(Some(&phone.bob), logout, &json!({})).ok();
    assert!(phone.pushers(&other).is_empty());
}

#[test]
fn a_pusher_that_cannot_work_is_refused() {
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no")]);
    let alice = scene.register("alice");
    let set = |pusher: &Value| -> Answer { scene.call(Some(&alice), SET, pusher) };
    for url in [
        "http://push.example/_matrix/push/v1/notify",
        "https://push.example/other",
        "https://user:secret@push.example/_matrix/push/v1/notify",
        "file:///_matrix/push/v1/notify",
        "",
        "/_matrix/push/v1/notify",
    ] {
        set(&pusher("key", &json!({ "url": url }))).refused(400, "M_INVALID_PARAM");
    }
    set(&pusher(&"k".repeat(513), &json!({ "url": URL }))).refused(400, "M_INVALID_PARAM");
    let long = json!({ "url": URL, "more": "x".repeat(20_000) });
    set(&pusher("key", &long)).refused(400, "M_INVALID_PARAM");
    let mut email = pusher("a@example.org", &json!({}));
    email["kind"] = json!("email");
    set(&email).refused(400, "M_INVALID_PARAM");
    for number in 0..50 {
        set(&pusher(&format!("key {number}"), &json!({ "url": URL }))).ok();
    }
    set(&pusher("one more", &json!({ "url": URL }))).refused(400, "M_INVALID_PARAM");
    set(&pusher("key 7", &json!({ "url": URL }))).ok();
}

#[test]
fn the_user_can_look_up_of_what_they_were_notified() {
    let phone = Phone::new();
    let said: Vec<String> = (0..5).map(|number| phone.say(&format!("{number}"))).collect();
    let mention =
        json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": [phone.bob.id] } });
    let sent = phone.scene.put(&phone.alice, &phone.room, "send/m.room.message/m", &mention);
    let mention = text(&sent.ok()["event_id"]);
    phone.read(&said[1]);
    let page = |query: &str| {
        let path = format!("/_matrix/client/v3/notifications?{query}");
        phone.scene.get(&phone.bob, &path).ok()
    };
    let shown = |page: &Value| -> Vec<(String, bool)> {
        let notifications = page["notifications"].as_array().unwrap().iter();
        let one = |one: &Value| (text(&one["event"]["event_id"]), one["read"].as_bool().unwrap());
        notifications.map(one).collect()
    };
    let first = page("limit=3");
    let expected = [&mention, &said[4], &said[3]].map(|event| (event.clone(), false));
    assert_eq!(shown(&first), expected);
    assert_eq!(first["notifications"][0]["room_id"], json!(phone.room));
    let second = page(&format!("from={}", text(&first["next_token"])));
    let expected = [(&said[2], false), (&said[1], true), (&said[0], true)];
    assert_eq!(shown(&second), expected.map(|(event, read)| (event.clone(), read)));
    assert!(second.get("next_token").is_none());
    assert_eq!(shown(&page("only=highlight")), [(mention, false)]);
    let path = "/_matrix/client/v3/notifications?from=x";
    phone.scene.get(&phone.bob, path).refused(400, "M_INVALID_PARAM");
}
