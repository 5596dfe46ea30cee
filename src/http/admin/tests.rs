//! What happens to accounts that an operator locks or suspends, and what is told of where one was used?
//! ([account moderation](https://spec.matrix.org/v1.19/client-server-api/#account-moderation))

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Scene, User, encode, registration, text};

use crate::app::Tombolo;

/// A server with an operator and a user.
struct Moderated {
    scene: Scene,
    admin: User,
    alice: User,
}

impl Moderated {
    fn new() -> Self {
        let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
        let (admin, alice) = (scene.register("admin"), scene.register("alice"));
        let scene = Self { scene, admin, alice };
        scene.make_admin("admin");
        scene
    }

    fn make_admin(&self, name: &str) {
        let world = self.scene.server.world();
        let update = "UPDATE accounts SET admin = 1 WHERE localpart = ?";
        self.scene.simulation.run(world.d1().run(update, values![name])).unwrap();
    }

    fn ask(&self, by: &User, line: &str, body: &Value) -> Answer {
        let (method, rest) = line.split_once(' ').unwrap();
        self.scene.call(Some(by), &format!("{method} /_matrix/client/{rest}"), body)
    }

    fn moderate(&self, what: &str, user: &User, is: bool) {
        let name = if what == "lock" { "locked" } else { "suspended" };
        let path = format!("v1/admin/{what}/{}", user.id);
        let body = json!({ name: is });
        assert_eq!(self.ask(&self.admin, &format!("PUT {path}"), &body).ok(), body);
        assert_eq!(self.ask(&self.admin, &format!("GET {path}"), &Value::Null).ok(), body);
    }

    fn log_in(&self, more: &Value) -> Answer {
        let mut body = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" } });
        body["password"] = registration("alice")["password"].clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.scene.call(None, "POST /_matrix/client/v3/login", &body)
    }
}

#[track_caller]
fn locked(answer: Answer) {
    let refused = answer.refused(401, "M_USER_LOCKED");
    assert_eq!(refused["soft_logout"], json!(true));
}

#[track_caller]
fn suspended(answer: Answer) {
    answer.refused(403, "M_USER_SUSPENDED");
}

#[test]
fn an_account_is_suspended_as_with_synapse() {
    let scene = Moderated::new();
    let line = format!("PUT /_synapse/admin/v1/suspend/{}", encode(&scene.alice.id));
    let suspend = |by, body| scene.scene.call(by, &line, &body);
    suspend(Some(&scene.alice), json!({})).refused(403, "M_FORBIDDEN");
    suspend(Some(&scene.admin), json!({})).refused(400, "M_BAD_JSON");
    for is in [true, false] {
        let answer = suspend(Some(&scene.admin), json!({ "suspend": is })).ok();
        assert_eq!(answer, json!({ format!("user_{}_suspended", scene.alice.id): is }));
        let path = format!("GET v1/admin/suspend/{}", scene.alice.id);
        let shown = scene.ask(&scene.admin, &path, &Value::Null).ok();
        assert_eq!(shown, json!({ "suspended": is }));
    }
}

#[test]
fn a_lock_is_taken_from_who_has_become_an_operator() {
    let scene = Moderated::new();
    scene.moderate("lock", &scene.alice, true);
    scene.moderate("suspend", &scene.alice, true);
    scene.make_admin("alice");
    for (what, name) in [("lock", "locked"), ("suspend", "suspended")] {
        let line = format!("PUT v1/admin/{what}/{}", scene.alice.id);
        let put = |is: bool| scene.ask(&scene.admin, &line, &json!({ name: is }));
        put(true).refused(403, "M_FORBIDDEN");
        assert_eq!(put(false).ok(), json!({ name: false }));
    }
    scene.scene.get(&scene.alice, "/_matrix/client/v3/account/whoami").ok();
}

#[test]
fn only_operators_moderate_and_neither_themselves_nor_each_other() {
    let scene = Moderated::new();
    let (admin, alice) = (&scene.admin, &scene.alice);
    let other = scene.scene.register("other");
    scene.make_admin("other");
    for (what, name) in [("lock", "locked"), ("suspend", "suspended")] {
        let body = json!({ name: true });
        let at = |user: &str| format!("v1/admin/{what}/{user}");
        for user in [&*alice.id, "@nobody:example.org", "@x:elsewhere.test"] {
            for method in ["GET", "PUT"] {
                let line = format!("{method} {}", at(user));
                scene.ask(alice, &line, &body).refused(403, "M_FORBIDDEN");
                scene
                    .scene
                    .call(None, &line.replace(' ', " /_matrix/client/"), &body)
                    .refused(401, "M_MISSING_TOKEN");
            }
        }
        for method in ["GET", "PUT"] {
            let ask = |user: &str| scene.ask(admin, &format!("{method} {}", at(user)), &body);
            ask("@nobody:example.org").refused(404, "M_NOT_FOUND");
            ask("@x:elsewhere.test").refused(400, "M_INVALID_PARAM");
            ask("nobody").refused(400, "M_INVALID_PARAM");
            ask(&other.id).refused(403, "M_FORBIDDEN");
        }
        let own = at(&admin.id);
        scene.ask(admin, &format!("PUT {own}"), &body).refused(403, "M_FORBIDDEN");
        let is = scene.ask(admin, &format!("GET {own}"), &Value::Null).ok();
        assert_eq!(is, json!({ name: false }));
        let put = format!("PUT {}", at(&alice.id));
        scene.ask(admin, &put, &json!({})).refused(400, "M_BAD_JSON");
        scene.ask(admin, &put, &json!({ name: "true" })).refused(400, "M_BAD_JSON");
    }
    let can = |user: &User| {
        let answer = scene.ask(user, "GET v3/capabilities", &Value::Null).ok();
        answer["capabilities"].get("m.account_moderation").cloned()
    };
    assert_eq!(can(admin), Some(json!({ "suspend": true, "lock": true })));
    assert_eq!(can(alice), None);
}

#[test]
fn a_locked_account_can_do_nothing_but_log_out_and_goes_on_afterwards() {
    let scene = Moderated::new();
    let alice = &scene.alice;
    let room = scene.scene.room(alice, &json!({}));
    let refresh = text(&scene.log_in(&json!({ "refresh_token": true })).ok()["refresh_token"]);
    scene.moderate("lock", alice, true);
    for line in [
        "GET v3/sync",
        "GET v3/account/whoami",
        "GET v3/joined_rooms",
        "GET v3/capabilities",
        "POST v3/createRoom",
        "POST v3/keys/upload",
        "PUT v3/sendToDevice/m.test/1",
        "POST v3/account/deactivate",
        "GET v1/media/config",
        "GET v1/media/download/example.org/x",
        "POST v1/login/get_token",
    ] {
        locked(scene.ask(alice, line, &json!({})));
    }
    locked(scene.scene.call(Some(alice), "POST /_matrix/media/v3/upload", &json!({})));
    let room = format!("GET v3/rooms/{}/state", encode(&room));
    locked(scene.ask(alice, &room, &Value::Null));
    locked(scene.log_in(&json!({})));
    let wrong = scene.log_in(&json!({ "password": "wrong" }));
    wrong.refused(403, "M_FORBIDDEN");
    let renew = || {
        let body = json!({ "refresh_token": refresh });
        scene.scene.call(None, "POST /_matrix/client/v3/refresh", &body)
    };
    locked(renew());
    scene.moderate("lock", alice, false);
    renew().ok();
    scene.ask(alice, &room, &Value::Null).ok();
    scene.moderate("lock", alice, true);
    scene.ask(alice, "POST v3/logout", &json!({})).ok();
    scene.moderate("lock", alice, false);
    scene.ask(alice, "GET v3/account/whoami", &Value::Null).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_login_token_outlives_a_lock() {
    let scene = Moderated::new();
    let auth = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" },
        "password": registration("alice")["password"] });
    let given = scene.ask(&scene.alice, "POST v1/login/get_token", &json!({ "auth": auth })).ok();
    let log_in = || {
        let body = json!({ "type": "m.login.token", "token": given["login_token"] });
        scene.scene.call(None, "POST /_matrix/client/v3/login", &body)
    };
    scene.moderate("lock", &scene.alice, true);
    locked(log_in());
    scene.moderate("lock", &scene.alice, false);
    log_in().ok();
}

#[test]
fn a_waiting_sync_ends_with_the_lock() {
    let scene = Moderated::new();
    scene.scene.pass(5000);
    let since = text(&scene.scene.sync(&scene.alice, "")["next_batch"]);
    let path = format!("/_matrix/client/v3/sync?timeout=50000&since={since}");
    let world = scene.scene.server.world();
    let begun = world.now();
    let waiting =
        tombolo_support::ask(&scene.scene.server, scene.alice.request(("GET", &path), ""));
    let body = json!({ "locked": true }).to_string();
    let line = format!("/_matrix/client/v1/admin/lock/{}", scene.alice.id);
    let lock = async {
        world.sleep(std::time::Duration::from_secs(1)).await;
        let put = scene.admin.request(("PUT", &line), body);
        tombolo_support::ask(&scene.scene.server, put).await
    };
    let both = futures_util::future::join(waiting, lock);
    let (answer, locks) = scene.scene.simulation.run(both);
    locks.unwrap().ok();
    locked(answer.unwrap());
    assert!(world.now() - begun < 20_000, "it does not wait to its end");
}

/// Alice's room, which the operator is in, too.
fn shared_room(scene: &Moderated) -> String {
    let room = scene.scene.room(&scene.alice, &json!({ "preset": "public_chat" }));
    scene.scene.act(&scene.admin, &room, "join", &json!({})).ok();
    room
}

#[test]
fn nothing_is_sent_that_was_scheduled_before_an_operator_silenced_the_user() {
    for what in ["lock", "suspend"] {
        let scene = Moderated::new();
        let room = shared_room(&scene);
        let schedule = |txn: &str, delay: u64| {
            let path = format!("v3/rooms/{}/send/org.test/{txn}", encode(&room));
            let line = format!("PUT {path}?org.matrix.msc4140.delay={delay}");
            text(&scene.ask(&scene.alice, &line, &json!({})).ok()["delay_id"])
        };
        let (_, later) = (schedule("a", 5_000), schedule("b", 60_000));
        scene.moderate(what, &scene.alice, true);
        let events = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
        let send = format!("POST {events}/{later}/send");
        let (status, code) = match what {
            "lock" => (401, "M_USER_LOCKED"),
            _ => (403, "M_USER_SUSPENDED"),
        };
        scene.scene.call(None, &send, &json!({})).refused(status, code);
        scene.scene.pass(120_000);
        scene.moderate(what, &scene.alice, false);
        scene.scene.pass(120_000);
        let path = format!("GET v3/rooms/{}/messages?dir=b&limit=50", encode(&room));
        let page = scene.ask(&scene.admin, &path, &Value::Null).ok();
        let chunk = page["chunk"].as_array().unwrap();
        assert!(chunk.iter().all(|event| event["type"] != "org.test"), "{what}: {page}");
    }
}

#[test]
fn a_suspended_user_does_nothing_that_others_see() {
    let scene = Moderated::new();
    let (alice, admin) = (&scene.alice, &scene.admin);
    let open = encode(&scene.scene.room(admin, &json!({ "preset": "public_chat" })));
    let room = shared_room(&scene);
    let other = encode(&scene.scene.say(admin, &room, "other"));
    scene.moderate("suspend", alice, true);
    let room = encode(&room);
    for line in [
        "POST v3/createRoom".to_owned(),
        format!("POST v3/join/{open}"),
        format!("POST v3/rooms/{open}/join"),
        format!("POST v3/knock/{open}"),
        format!("POST v3/rooms/{room}/invite"),
        format!("POST v3/rooms/{room}/kick"),
        format!("POST v3/rooms/{room}/upgrade"),
        format!("PUT v3/rooms/{room}/send/m.room.message/1"),
        format!("PUT v3/rooms/{room}/state/m.room.topic"),
        format!("PUT v3/rooms/{room}/state/m.room.member/{}", alice.id),
        format!("PUT v3/profile/{}/displayname", alice.id),
        format!("DELETE v3/profile/{}/displayname", alice.id),
        format!("PUT v3/rooms/{room}/redact/{other}/2"),
        format!("PUT v3/rooms/{room}/redact/$none/2"),
    ] {
        suspended(scene.ask(alice, &line, &json!({ "displayname": "A" })));
    }
    // Whether they are online is no word of theirs, a status message is.
    let status = format!("PUT v3/presence/{}/status", alice.id);
    let mut presence = json!({ "presence": "online", "status_msg": "spam" });
    suspended(scene.ask(alice, &status, &presence));
    presence["status_msg"] = json!("");
    scene.ask(alice, &status, &presence).ok();
    scene.moderate("suspend", alice, false);
    scene.ask(alice, &format!("POST v3/join/{open}"), &json!({})).ok();
    let line = format!("PUT v3/rooms/{open}/send/m.room.message/1");
    scene.ask(alice, &line, &json!({ "body": "x" })).ok();
}

#[test]
fn a_suspended_user_redacts_their_own_events_alone() {
    let scene = Moderated::new();
    let alice = &scene.alice;
    let room = shared_room(&scene);
    let [one, two] = [(); 2].map(|()| scene.scene.say(alice, &room, "own"));
    let other = scene.scene.say(&scene.admin, &room, "other");
    scene.moderate("suspend", alice, true);
    let room = encode(&room);
    let redact = format!("PUT v3/rooms/{room}/send/m.room.redaction");
    suspended(scene.ask(alice, &format!("{redact}/3"), &json!({ "redacts": other })));
    suspended(scene.ask(alice, &format!("{redact}/3"), &json!({})));
    let twice = format!("{{\"redacts\":\"{one}\",\"redacts\":\"{other}\"}}");
    let line = format!("{redact}/4").replace(' ', " /_matrix/client/");
    suspended(scene.scene.send(Some(alice), &line, twice));
    scene.ask(alice, &format!("{redact}/5"), &json!({ "redacts": two })).ok();
    let line = format!("PUT v3/rooms/{room}/redact/{}/6", encode(&one));
    scene.ask(alice, &line, &json!({})).ok();
}

#[test]
fn a_suspended_user_reads_leaves_and_logs_out() {
    let scene = Moderated::new();
    let alice = &scene.alice;
    let [one, two] = [(); 2].map(|()| encode(&shared_room(&scene)));
    scene.moderate("suspend", alice, true);
    for line in ["GET v3/sync", "GET v3/account/whoami", "GET v3/devices", "GET v3/joined_rooms"] {
        scene.ask(alice, line, &Value::Null).ok();
    }
    scene.ask(alice, &format!("GET v3/rooms/{one}/messages?dir=b"), &Value::Null).ok();
    scene.log_in(&json!({})).ok();
    let keys = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {} });
    scene.ask(alice, "POST v3/room_keys/version", &keys).ok();
    scene.ask(alice, "PUT v3/sendToDevice/m.test/1", &json!({ "messages": {} })).ok();
    scene.ask(alice, &format!("POST v3/rooms/{one}/read_markers"), &json!({})).ok();
    scene.ask(alice, &format!("POST v3/rooms/{one}/leave"), &json!({})).ok();
    let member = format!("PUT v3/rooms/{two}/state/m.room.member/{}", encode(&alice.id));
    suspended(scene.ask(alice, &member, &json!({ "membership": "join", "displayname": "B" })));
    scene.ask(alice, &member, &json!({ "membership": "leave" })).ok();
    scene.ask(alice, "POST v3/logout/all", &json!({})).ok();
}

#[test]
fn a_lock_and_a_suspension_are_apart() {
    let scene = Moderated::new();
    scene.moderate("suspend", &scene.alice, true);
    scene.moderate("lock", &scene.alice, true);
    locked(scene.ask(&scene.alice, "POST v3/createRoom", &json!({})));
    scene.moderate("lock", &scene.alice, false);
    suspended(scene.ask(&scene.alice, "POST v3/createRoom", &json!({})));
}

#[test]
fn an_account_that_nobody_used_can_be_locked() {
    let scene = Moderated::new();
    let body = json!({ "username": "new", "password": "secret", "inhibit_login": true,
        "auth": { "type": "m.login.dummy" } });
    scene.scene.call(None, "POST /_matrix/client/v3/register", &body).ok();
    let user = "@new:example.org";
    let lock = format!("v1/admin/lock/{user}");
    let is = scene.ask(&scene.admin, &format!("GET {lock}"), &Value::Null).ok();
    assert_eq!(is, json!({ "locked": false }));
    scene.ask(&scene.admin, &format!("PUT {lock}"), &json!({ "locked": true })).ok();
    let login = json!({ "type": "m.login.password", "password": "secret",
        "identifier": { "type": "m.id.user", "user": user } });
    locked(scene.scene.call(None, "POST /_matrix/client/v3/login", &login));
    let whois = format!("GET v3/admin/whois/{user}");
    let told = scene.ask(&scene.admin, &whois, &Value::Null).ok();
    assert_eq!(told, json!({ "user_id": user, "devices": {} }));
}

#[test]
fn a_user_looks_at_themselves_and_an_operator_at_everybody() {
    let scene = Moderated::new();
    let (admin, alice) = (&scene.admin, &scene.alice);
    let whois = |by: &User, user: &str| {
        let line = format!("GET v3/admin/whois/{user}");
        scene.ask(by, &line, &Value::Null)
    };
    let own = whois(alice, &alice.id).ok();
    assert_eq!(own["user_id"], json!(alice.id));
    let devices = own["devices"].as_object().unwrap();
    assert_eq!(devices.len(), 1);
    let seen = &devices.values().next().unwrap()["sessions"][0]["connections"][0]["last_seen"];
    assert!(seen.as_u64().unwrap() > 0, "{own}");
    assert_eq!(whois(admin, &alice.id).ok(), own);
    let line = format!("GET /_synapse/admin/v1/whois/{}", alice.id);
    assert_eq!(scene.scene.call(Some(admin), &line, &Value::Null).ok(), own);
    scene
        .scene
        .call(Some(alice), &line.replace("alice", "admin"), &Value::Null)
        .refused(403, "M_FORBIDDEN");
    whois(alice, "@nobody:example.org").refused(403, "M_FORBIDDEN");
    whois(admin, "@nobody:example.org").refused(404, "M_NOT_FOUND");
    whois(admin, "@x:elsewhere.test").refused(400, "M_INVALID_PARAM");
}
