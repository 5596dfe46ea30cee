//! Does an operator see what a user has, act as them, and set how often they may do something?

use serde_json::{Value, json};
use tombolo_support::{User, encode, text};

use super::Served;

const LINES: [&str; 8] = [
    "GET v1/users/{}/memberships",
    "GET v1/users/{}/pushers",
    "GET v1/users/{}/accountdata",
    "GET v1/users/{}/override_ratelimit",
    "POST v1/users/{}/override_ratelimit",
    "DELETE v1/users/{}/override_ratelimit",
    "POST v1/users/{}/login",
    "GET v1/username_available?username={}",
];

#[test]
fn only_operators_ask_of_users_of_this_server() {
    let server = Served::new();
    for line in LINES {
        let of = |user: &str| line.replace("{}", &encode(user));
        let (method, path) = line.split_once(' ').unwrap();
        let path =
            format!("{method} /_synapse/admin/{}", path.replace("{}", &encode(&server.alice.id)));
        server.scene.call(Some(&server.alice), &path, &json!({})).refused(403, "M_FORBIDDEN");
        server.scene.call(None, &path, &json!({})).refused(401, "M_MISSING_TOKEN");
        if line.contains("{}/") {
            server.ask(&of("@nobody:example.org"), &json!({})).refused(404, "M_NOT_FOUND");
            server.ask(&of("@alice:other.test"), &json!({})).refused(400, "M_INVALID_PARAM");
        }
    }
}

#[test]
fn it_is_shown_what_a_user_has() {
    let server = Served::new();
    let (scene, alice) = (&server.scene, &server.alice);
    let (stays, left) = (scene.room(alice, &json!({})), scene.room(alice, &json!({})));
    scene.act(alice, &left, "leave", &json!({})).ok();
    let held = server.get(&server.at("v1", "/memberships")).ok();
    assert_eq!(held, json!({ "memberships": { &*stays: "join", &*left: "leave" } }));
    let data = format!("PUT /_matrix/client/v3/user/{}", encode(&alice.id));
    let item = json!({ "a": 1 });
    scene.call(Some(alice), &format!("{data}/account_data/org.example"), &item).ok();
    scene.call(Some(alice), &format!("{data}/rooms/{stays}/account_data/org.room"), &item).ok();
    let held = server.get(&server.at("v1", "/accountdata")).ok();
    assert_eq!(held["account_data"]["global"]["org.example"], item);
    assert!(held["account_data"]["global"]["m.push_rules"]["global"].is_object());
    assert_eq!(held["account_data"]["rooms"], json!({ &*stays: { "org.room": item } }));
    let none = json!({ "pushers": [], "total": 0 });
    assert_eq!(server.get(&server.at("v1", "/pushers")).ok(), none);
    let pusher = json!({
        "app_id": "org.example.app", "pushkey": "key", "kind": "http", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en", "data": { "url": "https://push.example.org/_matrix/push/v1/notify" },
    });
    scene.call(Some(alice), "POST /_matrix/client/v3/pushers/set", &pusher).ok();
    let held = server.get(&server.at("v1", "/pushers")).ok();
    assert_eq!((&held["total"], &held["pushers"][0]["pushkey"]), (&json!(1), &json!("key")));
}

#[test]
fn it_is_told_whether_a_name_can_be_had() {
    let server = Served::new();
    let ask = |name: &str| server.get(&format!("v1/username_available{name}"));
    assert_eq!(ask("?username=carol").ok(), json!({ "available": true }));
    ask("?username=alice").refused(400, "M_USER_IN_USE");
    ask("?username=not%20possible").refused(400, "M_INVALID_USERNAME");
    ask("").refused(400, "M_MISSING_PARAM");
}

#[test]
fn an_operator_acts_as_a_user_for_a_time() {
    let server = Served::new();
    let line = format!("POST {}", server.at("v1", "/login"));
    let whoami = "/_matrix/client/v3/account/whoami";
    let user =
        |answer: Value| User { token: text(&answer["access_token"]), ..server.alice.clone() };
    let forever = user(server.ask(&line, &json!({})).ok());
    assert_eq!(server.scene.get(&forever, whoami).ok()["user_id"], json!(server.alice.id));
    let until = server.scene.simulation.now() + 60_000;
    let brief = user(server.ask(&line, &json!({ "valid_until_ms": until })).ok());
    server.scene.get(&brief, whoami).ok();
    server.scene.pass(120_000);
    server.scene.get(&brief, whoami).refused(401, "M_UNKNOWN_TOKEN");
    server.scene.get(&forever, whoami).ok();
    let devices = server.get(&server.at("v2", "/devices")).ok();
    assert_eq!(devices["total"], 3);
    let own = format!("POST v1/users/{}/login", encode(&server.admin.id));
    server.ask(&own, &json!({})).refused(400, "M_UNKNOWN");
    for until in [json!(1), json!(-1), json!("x"), json!(u64::MAX)] {
        let answer = server.ask(&line, &json!({ "valid_until_ms": until }));
        assert_eq!(answer.status, 400, "{until}");
    }
    let admin = format!("PUT {}", server.at("v1", "/admin"));
    server.ask(&admin, &json!({ "admin": true })).ok();
    server.ask(&line, &json!({})).refused(403, "M_FORBIDDEN");
    // Who was logged in as the user before is no operator through that, while the user is.
    server.scene.get(&forever, "/_synapse/admin/v2/users").refused(403, "M_FORBIDDEN");
    server.scene.get(&server.alice, "/_synapse/admin/v2/users").ok();
}

#[test]
fn a_user_sends_as_often_as_an_operator_says() {
    let server = Served::with(&[("RATE_LIMITS", "on")]);
    let (scene, alice) = (&server.scene, &server.alice);
    let room = scene.room(alice, &json!({}));
    let path = server.at("v1", "/override_ratelimit");
    let sent = |most: usize| {
        let say = |_| {
            let line = format!("send/m.room.message/{}", scene.number());
            scene.put(alice, &room, &line, &json!({ "body": "a", "msgtype": "m.text" })).status
        };
        (0..most).map(say).take_while(|status| *status == 200).count()
    };
    assert_eq!(server.get(&path).ok(), json!({}));
    let usual = sent(50);
    assert!(usual < 50, "{usual}");
    let unlimited = json!({ "messages_per_second": 0, "burst_count": 0 });
    assert_eq!(server.ask(&format!("POST {path}"), &json!({})).ok(), unlimited);
    assert_eq!(server.get(&path).ok(), unlimited);
    assert_eq!(sent(50), 50);
    scene.server.evict();
    scene.pass(600_000);
    let few = json!({ "messages_per_second": 1, "burst_count": 3 });
    assert_eq!(server.ask(&format!("POST {path}"), &few).ok(), few);
    assert_eq!(sent(50), 3);
    assert_eq!(server.ask(&format!("DELETE {path}"), &Value::Null).ok(), json!({}));
    assert_eq!(server.get(&path).ok(), json!({}));
    for (name, value) in [("messages_per_second", json!(-1)), ("burst_count", json!("x"))] {
        let line = format!("POST {path}");
        server.ask(&line, &json!({ name: value })).refused(400, "M_INVALID_PARAM");
    }
}
