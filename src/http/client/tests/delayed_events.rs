//! When are delayed events sent, and who may stop them?
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140))

use serde_json::{Value, json};
use tombolo_platform::simulated::Faults;
use tombolo_support::{Answer, PASSWORD, Scene, User, encode, text};

use super::{one_server, one_server_with};

const EVENTS: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

/// A server, Alice, and a room of hers.
struct Room {
    scene: Scene,
    alice: User,
    id: String,
}

impl Room {
    fn new() -> Self {
        Self::on(one_server())
    }

    fn on(scene: Scene) -> Self {
        let alice = scene.register("alice");
        let id = scene.room(&alice, &json!({ "preset": "public_chat" }));
        Self { scene, alice, id }
    }

    /// The path of a message, with its delay.
    fn message(&self, txn: &str, delay: &str) -> String {
        let room = encode(&self.id);
        format!(
            "PUT /_matrix/client/v3/rooms/{room}/send/org.test/{txn}?org.matrix.msc4140.delay={delay}"
        )
    }

    fn state(&self, key: &str, delay: &str) -> String {
        let room = encode(&self.id);
        format!(
            "PUT /_matrix/client/v3/rooms/{room}/state/org.test/{key}?org.matrix.msc4140.delay={delay}"
        )
    }

    fn schedule(&self, path: &str, content: &Value) -> String {
        text(&self.scene.call(Some(&self.alice), path, content).ok()["delay_id"])
    }

    /// Acts on a delayed event without being logged in.
    fn act(&self, delay_id: &str, action: &str) -> Answer {
        self.scene.call(None, &format!("POST {EVENTS}/{delay_id}/{action}"), &json!({}))
    }

    fn scheduled(&self) -> Vec<Value> {
        let held = self.scene.get(&self.alice, EVENTS).ok();
        held["delayed_events"].as_array().unwrap().clone()
    }

    fn one(&self, delay_id: &str) -> Value {
        self.scene.get(&self.alice, &format!("{EVENTS}/{delay_id}")).ok()
    }

    /// What was sent of the type, oldest first, as the user sees it.
    fn sent(&self, user: &User) -> Vec<Value> {
        let path =
            format!("/_matrix/client/v3/rooms/{}/messages?dir=f&limit=200", encode(&self.id));
        let page = self.scene.get(user, &path).ok();
        let chunk = page["chunk"].as_array().unwrap().iter();
        chunk.filter(|event| event["type"] == "org.test").cloned().collect()
    }

    fn numbers(&self) -> Vec<u64> {
        self.sent(&self.alice).iter().map(|event| event["content"]["n"].as_u64().unwrap()).collect()
    }
}

#[test]
fn messages_are_sent_in_the_order_in_which_they_are_due() {
    let room = Room::new();
    for (n, delay) in [(3, "3000"), (1, "1000"), (2, "2000")] {
        room.schedule(&room.message(&format!("t{n}"), delay), &json!({ "n": n }));
    }
    let listed: Vec<_> =
        room.scheduled().iter().map(|event| event["content"]["n"].clone()).collect();
    assert_eq!(listed, [json!(1), json!(2), json!(3)]);
    assert_eq!(room.numbers(), Vec::<u64>::new());
    room.scene.pass(1500);
    assert_eq!((room.numbers(), room.scheduled().len()), (vec![1], 2));
    room.scene.pass(3000);
    assert_eq!((room.numbers(), room.scheduled().len()), (vec![1, 2, 3], 0));
}

#[test]
fn a_repeated_transaction_schedules_nothing_more() {
    let room = Room::new();
    let path = room.message("t", "1000");
    let first = room.schedule(&path, &json!({ "n": 1 }));
    assert_eq!(room.schedule(&path, &json!({ "n": 2 })), first);
    let unread = room.scene.call(Some(&room.alice), &path, &json!("no object")).ok();
    assert_eq!(text(&unread["delay_id"]), first, "whatever the body is");
    let other = room.message("u", "1000");
    room.scene.call(Some(&room.alice), &other, &json!([])).refused(400, "M_BAD_JSON");
    room.scene.pass(2000);
    assert_eq!(room.schedule(&path, &json!({ "n": 1 })), first, "nor once it was sent");
    room.scene.pass(2000);
    assert_eq!(room.numbers(), [1]);
}

#[test]
fn only_its_sender_sees_the_delay_of_an_event() {
    let room = Room::new();
    let bob = room.scene.register("bob");
    room.scene.act(&bob, &room.id, "join", &json!({})).ok();
    let delay_id = room.schedule(&room.message("t", "1000"), &json!({ "n": 1 }));
    room.scene.pass(2000);
    let [own] = &room.sent(&room.alice)[..] else { panic!("one event was sent") };
    assert_eq!(own["unsigned"]["org.matrix.msc4140.delay_id"], delay_id);
    assert_eq!(own["unsigned"]["transaction_id"], Value::Null);
    let [others] = &room.sent(&bob)[..] else { panic!("one event was sent") };
    assert_eq!(others["unsigned"].get("org.matrix.msc4140.delay_id"), None);
    let ended = room.one(&delay_id);
    assert_eq!(ended["finalised"]["event_id"], own["event_id"]);
    let since = ended["delayed_since_ts"].as_u64().unwrap();
    assert!(ended["finalised"]["finalised_ts"].as_u64().unwrap() >= since + 1000);
}

#[test]
fn what_is_cancelled_is_never_sent() {
    let room = Room::new();
    let delay_id = room.schedule(&room.state("k", "1000"), &json!({ "n": 1 }));
    room.act(&delay_id, "cancel").ok();
    room.act(&delay_id, "cancel").ok();
    assert_eq!(room.scheduled().len(), 0);
    room.scene.pass(5000);
    assert_eq!(room.numbers(), Vec::<u64>::new());
    room.act(&delay_id, "send").refused(404, "M_NOT_FOUND");
    room.act(&delay_id, "restart").refused(404, "M_NOT_FOUND");
    let ended = room.one(&delay_id)["finalised"].clone();
    assert!(ended["finalised_ts"].is_u64() && ended.get("event_id").is_none(), "{ended}");
}

#[test]
fn a_restarted_delay_begins_anew() {
    let room = Room::new();
    let delay_id = room.schedule(&room.state("k", "2000"), &json!({ "n": 1 }));
    for _ in 0..5 {
        room.scene.pass(1500);
        room.act(&delay_id, "restart").ok();
    }
    assert_eq!(room.numbers(), Vec::<u64>::new());
    room.scene.pass(2500);
    assert_eq!(room.numbers(), [1]);
    room.act(&delay_id, "restart").refused(404, "M_NOT_FOUND");
}

#[test]
fn what_is_sent_on_request_is_sent_once() {
    let room = Room::new();
    let delay_id = room.schedule(&room.state("k", "60000"), &json!({ "n": 1 }));
    room.act(&delay_id, "send").ok();
    room.act(&delay_id, "send").ok();
    assert_eq!(room.numbers(), [1]);
    room.act(&delay_id, "cancel").refused(404, "M_NOT_FOUND");
    room.scene.pass(100_000);
    assert_eq!((room.numbers(), room.scheduled().len()), (vec![1], 0));
}

#[test]
fn the_action_may_stand_in_the_body() {
    let room = Room::new();
    let delay_id = room.schedule(&room.message("t", "60000"), &json!({ "n": 1 }));
    let path = format!("POST {EVENTS}/{delay_id}");
    let act = |body: Value| room.scene.call(None, &path, &body);
    act(json!({})).refused(400, "M_MISSING_PARAM");
    act(json!({ "action": "oops" })).refused(400, "M_INVALID_PARAM");
    act(json!({ "action": "send" })).ok();
    assert_eq!(room.numbers(), [1]);
}

#[test]
fn the_newest_form_has_all_in_its_body() {
    let room = Room::new();
    let path = "PUT /_matrix/client/unstable/org.matrix.msc4140/rooms";
    let path = |txn: &str| format!("{path}/{}/delayed_event/org.test/{txn}", encode(&room.id));
    let call = |txn: &str, body: &Value| room.scene.call(Some(&room.alice), &path(txn), body);
    let state = json!({ "delay_ms": 1000, "state_key": "k", "content": { "n": 1 } });
    let delay_id = text(&call("t", &state).ok()["delay_id"]);
    assert_eq!(text(&call("t", &json!({})).ok()["delay_id"]), delay_id);
    call("u", &json!({ "content": {} })).refused(400, "M_MISSING_PARAM");
    call("u", &json!({ "delay_ms": 1000 })).refused(400, "M_MISSING_PARAM");
    call("u", &json!({ "delay_ms": 0, "content": {} })).refused(400, "M_INVALID_PARAM");
    let held = room.one(&delay_id);
    assert_eq!((&held["state_key"], &held["delay_ms"]), (&json!("k"), &json!(1000)));
    let listed = &room.scheduled()[0];
    assert_eq!(
        (&listed["delay"], &listed["running_since"]),
        (&json!(1000), &held["delayed_since_ts"])
    );
    room.scene.pass(2000);
    assert_eq!(room.numbers(), [1]);
}

#[test]
fn nobody_else_sees_or_finds_a_delayed_event() {
    let room = Room::new();
    let mallory = room.scene.register("mallory");
    let delay_id = room.schedule(&room.message("t", "60000"), &json!({ "n": 1 }));
    let listed = room.scene.get(&mallory, EVENTS).ok();
    assert_eq!(listed["delayed_events"], json!([]));
    room.scene.get(&mallory, &format!("{EVENTS}/{delay_id}")).refused(404, "M_NOT_FOUND");
    room.scene.call(None, &format!("GET {EVENTS}"), &json!({})).refused(401, "M_MISSING_TOKEN");
    let forged = format!("{}x", &delay_id[..delay_id.len() - 1]);
    for (id, action) in [("abc", "send"), (&*forged, "cancel"), ("a%00b", "restart")] {
        room.act(id, action).refused(404, "M_NOT_FOUND");
    }
    room.act(&delay_id, "oops").refused(404, "M_UNRECOGNIZED");
    assert_eq!(room.scheduled().len(), 1);
}

#[test]
fn what_the_room_refuses_is_known_to_have_failed() {
    let room = Room::new();
    let bob = room.scene.register("bob");
    let path = room.message("t", "1000");
    let delay_id = text(&room.scene.call(Some(&bob), &path, &json!({ "n": 1 })).ok()["delay_id"]);
    room.act(&delay_id, "send").refused(403, "M_FORBIDDEN");
    let listed = room.scene.get(&bob, EVENTS).ok();
    assert_eq!(listed["delayed_events"].as_array().unwrap().len(), 1, "it stays scheduled");
    room.scene.pass(2000);
    let held = room.scene.get(&bob, &format!("{EVENTS}/{delay_id}")).ok();
    assert_eq!(held["finalised"]["error"]["errcode"], "M_FORBIDDEN");
    assert_eq!(room.numbers(), Vec::<u64>::new());
}

#[test]
fn delays_that_are_none_or_too_long_are_refused() {
    let room = Room::new();
    let call =
        |delay: &str| room.scene.call(Some(&room.alice), &room.state("k", delay), &json!({}));
    for delay in ["", "abc", "-1", "1.5", "0", "99999999999999999999999"] {
        call(delay).refused(400, "M_INVALID_PARAM");
    }
    let refused = call("86400001").refused(403, "M_FORBIDDEN");
    assert_eq!(refused["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    assert_eq!(refused["org.matrix.msc4140.max_delay"], 86_400_000);
    call("86400000").ok();
}

#[test]
fn what_can_be_no_event_is_refused_at_once() {
    let room = Room::new();
    let call = |path: &str, body: &Value| room.scene.call(Some(&room.alice), path, body);
    let path = room.message("t", "1000");
    call(&path, &json!({ "n": 1.5 })).refused(400, "M_BAD_JSON");
    call(&path, &json!({ "n": "x".repeat(70_000) })).refused(413, "M_TOO_LARGE");
    call(&room.state(&"k".repeat(256), "1000"), &json!({})).refused(413, "M_TOO_LARGE");
    let acl = room.state("", "1000").replace("org.test", "m.room.server_acl");
    call(&acl, &json!({ "allow": [] })).refused(403, "M_FORBIDDEN");
    assert_eq!(room.scheduled().len(), 0);
}

#[test]
fn a_user_schedules_so_much_and_no_more() {
    let room = Room::new();
    for n in 0..100 {
        room.schedule(&room.message(&format!("t{n}"), "50000"), &json!({ "n": n }));
    }
    let path = room.message("more", "50000");
    let refused = room.scene.call(Some(&room.alice), &path, &json!({}));
    let refused = refused.refused(429, "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 50_000));
    room.schedule(&room.message("t5", "50000"), &json!({}));
    room.scene.pass(60_000);
    assert_eq!(
        room.numbers(),
        (0..100).collect::<Vec<_>>(),
        "in the order in which they were asked for"
    );
    let large = json!({ "n": "x".repeat(60_000) });
    for n in 0..17 {
        room.schedule(&room.message(&format!("l{n}"), "50000"), &large);
    }
    let refused = room.scene.call(Some(&room.alice), &path, &large);
    refused.refused(429, "M_LIMIT_EXCEEDED");
}

#[test]
fn a_logout_stops_nothing_and_a_deactivation_all() {
    let room = Room::new();
    let delay_id = room.schedule(&room.message("t", "5000"), &json!({ "n": 1 }));
    room.scene.call(Some(&room.alice), "POST /_matrix/client/v3/logout", &json!({})).ok();
    room.scene.pass(6000);
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": PASSWORD,
    });
    let answer = room.scene.call(None, "POST /_matrix/client/v3/login", &login);
    let alice = User::of(&room.scene.server, &answer).unwrap();
    assert_eq!(room.sent(&alice).len(), 1);
    let room = Room { alice, ..room };
    let second = room.schedule(&room.message("u", "5000"), &json!({ "n": 2 }));
    let bob = room.scene.register("bob");
    room.scene.act(&bob, &room.id, "join", &json!({})).ok();
    let path = "POST /_matrix/client/v3/account/deactivate";
    room.scene.call(Some(&room.alice), path, &json!({ "auth": login })).ok();
    room.act(&second, "send").refused(404, "M_NOT_FOUND");
    room.act(&delay_id, "send").refused(404, "M_NOT_FOUND");
    room.scene.pass(10_000);
    assert_eq!(room.sent(&bob).len(), 1);
}

#[test]
fn what_crashes_meanwhile_sends_each_event_once() {
    let room = Room::new();
    let faults = Faults { crashes_per_million: 30_000, ..Faults::HARSH };
    for round in 0..20 {
        for n in 0..5 {
            let n = 5 * round + n;
            room.schedule(
                &room.message(&format!("t{n}"), &format!("{}", 1000 + n)),
                &json!({ "n": n }),
            );
        }
        room.scene.simulation.faults(faults);
        room.scene.pass(20_000);
        room.scene.simulation.faults(Faults::NONE);
        // What was taken when all went down is given out again.
        room.scene.pass(3_700_000);
    }
    let mut sent = room.numbers();
    sent.sort_unstable();
    assert_eq!(sent, (0..100).collect::<Vec<_>>());
    assert_eq!(room.scheduled().len(), 0);
}

#[test]
fn a_server_on_which_nothing_is_delayed_says_so() {
    let room = Room::on(one_server_with(&[("MAX_EVENT_DELAY", "0")]));
    let path = room.message("t", "1000");
    room.scene.call(Some(&room.alice), &path, &json!({})).refused(403, "M_FORBIDDEN");
    let has = |scene: &Scene, alice: &User| {
        let versions = scene.get(alice, "/_matrix/client/versions").ok();
        let capabilities = scene.get(alice, "/_matrix/client/v3/capabilities").ok();
        let limits = &capabilities["capabilities"]["org.matrix.msc4140.delayed_events"];
        (versions["unstable_features"]["org.matrix.msc4140"].clone(), limits.clone())
    };
    assert_eq!(has(&room.scene, &room.alice), (Value::Null, Value::Null));
    let room = Room::new();
    let limits = json!({ "max_delay_ms": 86_400_000, "max_scheduled": 100 });
    assert_eq!(has(&room.scene, &room.alice), (json!(true), limits));
}
