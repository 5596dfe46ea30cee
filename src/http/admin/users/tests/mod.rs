//! Do operators see who is there, and does what they change have its effect?

mod further;

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Scene, User, encode, text};

use crate::app::Tombolo;

/// A server with an operator and a user.
struct Served {
    scene: Scene,
    admin: User,
    alice: User,
}

impl Served {
    fn new() -> Self {
        Self::with(&[])
    }

    /// The same; `variables` are of the server.
    fn with(variables: &[(&str, &str)]) -> Self {
        let scene = Scene::new(Rc::new(Tombolo), "example.org", variables);
        let (admin, alice) = (scene.register("admin"), scene.register("alice"));
        let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
        scene.server.d1().run(update, values![]).unwrap();
        Self { scene, admin, alice }
    }

    fn ask(&self, line: &str, body: &Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        self.scene.call(Some(&self.admin), &format!("{method} /_synapse/admin/{path}"), body)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &Value::Null)
    }

    /// The names of a list, what it says of the next page, and the total.
    fn list(&self, path: &str) -> (Vec<String>, Value, Value) {
        let list = self.get(path).ok();
        let names = list["users"].as_array().unwrap().iter().map(|user| text(&user["name"]));
        (names.collect(), list["next_token"].clone(), list["total"].clone())
    }

    fn at(&self, version: &str, rest: &str) -> String {
        format!("{version}/users/{}{rest}", encode(&self.alice.id))
    }

    fn log_in(&self, user: &str, password: &str) -> Answer {
        let identifier = json!({ "type": "m.id.user", "user": user });
        let body =
            json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        self.scene.call(None, "POST /_matrix/client/v3/login", &body)
    }
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("@{name}:example.org")).collect()
}

#[test]
fn only_operators_ask() {
    let server = Served::new();
    let user = encode(&server.alice.id);
    for line in [
        "GET v2/users".to_owned(),
        "GET v3/users".to_owned(),
        format!("GET v2/users/{user}"),
        format!("PUT v2/users/{user}"),
        format!("GET v1/users/{user}/admin"),
        format!("PUT v1/users/{user}/admin"),
        format!("GET v1/users/{user}/joined_rooms"),
        format!("GET v2/users/{user}/devices"),
        format!("GET v2/users/{user}/devices/X"),
        format!("DELETE v2/users/{user}/devices/X"),
        format!("POST v2/users/{user}/delete_devices"),
        format!("POST v1/deactivate/{user}"),
        format!("POST v1/reset_password/{user}"),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let line = format!("{method} /_synapse/admin/{path}");
        let body = json!({ "admin": true, "new_password": "x", "devices": [] });
        server.scene.call(Some(&server.alice), &line, &body).refused(403, "M_FORBIDDEN");
        server.scene.call(None, &line, &body).refused(401, "M_MISSING_TOKEN");
    }
    for (path, status, errcode) in [
        ("v2/users/@nobody:example.org", 404, "M_NOT_FOUND"),
        ("v2/users/@alice:other.test", 400, "M_INVALID_PARAM"),
        ("v2/users?limit=-1", 400, "M_INVALID_PARAM"),
        ("v2/users?from=9007199254740992", 400, "M_INVALID_PARAM"),
        ("v2/users?order_by=password", 400, "M_INVALID_PARAM"),
        ("v3/users?deactivated=maybe", 400, "M_INVALID_PARAM"),
        ("v3/users?dir=x", 400, "M_INVALID_PARAM"),
    ] {
        server.get(path).refused(status, errcode);
    }
}

#[test]
fn accounts_are_listed_as_they_are_asked_for() {
    let server = Served::new();
    let bob = server.scene.register("bob");
    let path = format!("PUT /_matrix/client/v3/profile/{}/displayname", encode(&bob.id));
    server.scene.call(Some(&bob), &path, &json!({ "displayname": "Al Fine" })).ok();
    server.scene.register("carol");
    server.ask(&format!("POST v1/deactivate/{}", encode("@carol:example.org")), &json!({})).ok();
    let all = ["admin", "alice", "bob", "carol"];
    for (query, names) in [
        ("v2/users", &all[..3]),
        ("v2/users?deactivated=true", &all),
        ("v3/users", &all),
        ("v3/users?deactivated=true", &all[3..]),
        ("v3/users?deactivated=false", &all[..3]),
        ("v2/users?admins=true", &all[..1]),
        ("v2/users?admins=false", &all[1..3]),
        ("v2/users?name=AL", &all[1..3]),
        ("v2/users?user_id=ice:ex", &all[1..2]),
        ("v2/users?name=nobody", &[]),
        ("v2/users?name=%25", &[]),
        ("v2/users?name=a_ice", &[]),
        ("v2/users?dir=b", &["bob", "alice", "admin"]),
        ("v2/users?order_by=displayname", &["bob", "admin", "alice"]),
        ("v2/users?order_by=is_guest", &all[..3]),
    ] {
        let (found, next, total) = server.list(query);
        assert_eq!((found, next), (ids(names), Value::Null), "{query}");
        assert_eq!(total, json!(names.len()), "{query}");
    }
    assert_eq!(server.list("v2/users?limit=2"), (ids(&all[..2]), json!("2"), json!(3)));
    assert_eq!(server.list("v2/users?limit=2&from=2"), (ids(&all[2..3]), Value::Null, json!(3)));
    assert_eq!(server.list("v2/users?from=5"), (Vec::new(), Value::Null, json!(3)));
    let far = format!("v2/users?from={}&limit={0}", u32::MAX);
    assert_eq!(server.list(&far), (Vec::new(), Value::Null, json!(3)));
    assert_eq!(server.list("v2/users?limit=0"), (Vec::new(), Value::Null, json!(3)));
}

#[test]
fn an_account_is_made_and_changed() {
    let server = Served::new();
    let path = format!("PUT v2/users/{}", encode("@dora:example.org"));
    let made = json!({ "password": "open sesame", "displayname": "Dora", "admin": true });
    let made = server.ask(&path, &made);
    assert_eq!((made.status, &made.body["displayname"]), (201, &json!("Dora")));
    assert_eq!((&made.body["admin"], &made.body["locked"]), (&json!(true), &json!(false)));
    let session = server.log_in("dora", "open sesame").ok();
    let changed = json!({ "password": "another one", "displayname": "", "admin": false });
    let changed = server.ask(&path, &changed).ok();
    assert_eq!((&changed["displayname"], &changed["admin"]), (&Value::Null, &json!(false)));
    server.log_in("dora", "open sesame").refused(403, "M_FORBIDDEN");
    let dora = User { token: text(&session["access_token"]), ..server.alice.clone() };
    server.scene.get(&dora, "/_matrix/client/v3/account/whoami").refused(401, "M_UNKNOWN_TOKEN");
    let session = server.log_in("dora", "another one").ok();
    let kept = json!({ "password": "a third one", "logout_devices": false, "locked": true });
    assert_eq!(server.ask(&path, &kept).ok()["locked"], true);
    server.ask(&path, &json!({ "locked": false })).ok();
    let dora = User { token: text(&session["access_token"]), ..server.alice.clone() };
    server.scene.get(&dora, "/_matrix/client/v3/account/whoami").ok();
    // Without a password nobody logs in.
    let emil = encode("@emil:example.org");
    assert_eq!(
        server.ask(&format!("PUT v2/users/{emil}"), &json!({ "threepids": null })).status,
        201
    );
    server.log_in("emil", "").refused(403, "M_FORBIDDEN");
    assert_eq!(server.get("v2/users/@emil:example.org").ok()["last_seen_ts"], Value::Null);
    // An account ends that nobody ever used.
    server.ask(&format!("POST v1/deactivate/{emil}"), &json!({})).ok();
    assert_eq!(server.get("v2/users/@emil:example.org").ok()["deactivated"], true);
    for body in [
        json!({ "user_type": "bot" }),
        json!({ "threepids": [{ "medium": "email", "address": "a@b.c" }] }),
        json!({ "external_ids": [{ "auth_provider": "x", "external_id": "y" }] }),
    ] {
        server.ask(&path, &body).refused(400, "M_INVALID_PARAM");
    }
    for name in ["@Not Possible:example.org", "@Frida:example.org"] {
        let path = format!("PUT v2/users/{}", encode(name));
        server.ask(&path, &json!({ "password": "x" })).refused(400, "M_INVALID_USERNAME");
    }
    // What is refused changes nothing.
    let body = json!({ "password": "x", "admin": true, "displayname": "x".repeat(1025) });
    server.ask(&path, &body).refused(400, "M_TOO_LARGE");
    server.log_in("dora", "x").refused(403, "M_FORBIDDEN");
    let body = json!({ "admin": true, "locked": true });
    server.ask(&path, &body).refused(403, "M_FORBIDDEN");
    assert_eq!(server.get("v2/users/@dora:example.org").ok()["admin"], false);
}

#[test]
fn a_new_name_is_seen_in_the_users_rooms() {
    let server = Served::new();
    let room = server.scene.room(&server.alice, &json!({}));
    server.ask(&format!("PUT {}", server.at("v2", "")), &json!({ "displayname": "Lis" })).ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    let joined = server.scene.get(&server.alice, &path).ok();
    assert_eq!(joined["joined"][&server.alice.id]["display_name"], "Lis");
    let rooms = server.get(&server.at("v1", "/joined_rooms")).ok();
    assert_eq!(rooms, json!({ "joined_rooms": [room], "total": 1 }));
}

#[test]
fn devices_are_listed_and_logged_out() {
    let server = Served::new();
    let path = server.at("v2", "/devices");
    let devices = server.get(&path).ok();
    assert_eq!(
        (&devices["total"], &devices["devices"][0]["user_id"]),
        (&json!(1), &json!(server.alice.id))
    );
    let device = text(&devices["devices"][0]["device_id"]);
    assert_eq!(server.get(&format!("{path}/{device}")).ok()["device_id"], json!(device));
    server.get(&format!("{path}/OTHER")).refused(404, "M_NOT_FOUND");
    server.ask(&format!("DELETE {path}/{device}"), &Value::Null).ok();
    let whoami = "/_matrix/client/v3/account/whoami";
    server.scene.get(&server.alice, whoami).refused(401, "M_UNKNOWN_TOKEN");
    let password = text(&tombolo_support::registration("alice")["password"]);
    let session = server.log_in("alice", &password).ok();
    let body = json!({ "devices": [session["device_id"]] });
    server.ask(&format!("POST {}", server.at("v2", "/delete_devices")), &body).ok();
    assert_eq!(server.get(&path).ok()["total"], 0);
}

#[test]
fn operators_come_and_go_and_none_demotes_themselves() {
    let server = Served::new();
    let path = server.at("v1", "/admin");
    assert_eq!(server.get(&path).ok(), json!({ "admin": false }));
    server.ask(&format!("PUT {path}"), &json!({ "admin": true })).ok();
    assert_eq!(server.get(&path).ok(), json!({ "admin": true }));
    let own = encode(&server.admin.id);
    for (line, body) in [
        (format!("PUT v1/users/{own}/admin"), json!({ "admin": false })),
        (format!("PUT v2/users/{own}"), json!({ "admin": false })),
        (format!("PUT v2/users/{own}"), json!({ "deactivated": true })),
        (format!("PUT v2/users/{own}"), json!({ "locked": true })),
    ] {
        server.ask(&line, &body).refused(400, "M_INVALID_PARAM");
    }
    server.ask(&format!("POST v1/deactivate/{own}"), &json!({})).refused(400, "M_INVALID_PARAM");
    // With a new password an operator stays where they are.
    server.ask(&format!("POST v1/reset_password/{own}"), &json!({ "new_password": "new" })).ok();
    let other = format!("PUT {}", server.at("v2", ""));
    server.ask(&other, &json!({ "locked": true })).refused(403, "M_FORBIDDEN");
    server.ask(&other, &json!({ "admin": false })).ok();
    server.ask(&other, &json!({ "locked": true })).ok();
}

#[test]
fn a_password_is_reset_and_an_account_ended_for_good() {
    let server = Served::new();
    let user = encode(&server.alice.id);
    let reset = format!("POST v1/reset_password/{user}");
    server.ask(&reset, &json!({ "new_password": "open sesame" })).ok();
    let whoami = "/_matrix/client/v3/account/whoami";
    server.scene.get(&server.alice, whoami).refused(401, "M_UNKNOWN_TOKEN");
    server.log_in("alice", "open sesame").ok();
    let ended = server.ask(&format!("POST v1/deactivate/{user}"), &json!({ "erase": true })).ok();
    assert_eq!(ended["id_server_unbind_result"], "success");
    server.log_in("alice", "open sesame").refused(403, "M_FORBIDDEN");
    assert_eq!(server.get(&server.at("v2", "")).ok()["deactivated"], true);
    server.ask(&reset, &json!({ "new_password": "again" })).refused(400, "M_INVALID_PARAM");
    let back = json!({ "deactivated": false, "password": "again" });
    let line = format!("PUT {}", server.at("v2", ""));
    server.ask(&line, &back).refused(400, "M_INVALID_PARAM");
    // To end what has ended is no mistake, and what was erased stays so.
    let ended = server.ask(&line, &json!({ "deactivated": true })).ok();
    assert_eq!((&ended["deactivated"], &ended["erased"]), (&json!(true), &json!(true)));
    server.ask(&format!("POST v1/deactivate/{user}"), &json!({})).ok();
    assert_eq!(server.get(&server.at("v2", "")).ok()["erased"], true);
    for more in [json!({ "password": "x" }), json!({ "locked": false }), json!({ "admin": true })] {
        let mut body = json!({ "deactivated": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.ask(&line, &body).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn who_was_erased_is_in_no_room_and_found_nowhere() {
    let server = Served::new();
    let bob = server.scene.register("bob");
    let room = server.scene.room(&server.alice, &json!({ "preset": "public_chat" }));
    server.scene.act(&bob, &room, "join", &json!({})).ok();
    let found = || {
        let line = "POST /_matrix/client/v3/user_directory/search";
        let found = server.scene.call(Some(&bob), line, &json!({ "search_term": "alice" })).ok();
        found["results"].as_array().unwrap().len()
    };
    server.scene.pass(10_000);
    assert_eq!(found(), 1);
    assert_eq!(server.get(&server.at("v2", "")).ok()["erased"], false);
    let line = format!("POST v1/deactivate/{}", encode(&server.alice.id));
    server.ask(&line, &json!({ "erase": true })).ok();
    server.scene.pass(10_000);
    assert_eq!(found(), 0);
    let joined = server.scene.get(&bob, &format!("/_matrix/client/v3/rooms/{room}/joined_members"));
    assert_eq!(joined.ok()["joined"].as_object().unwrap().keys().collect::<Vec<_>>(), [&bob.id]);
    assert_eq!(server.get(&server.at("v1", "/joined_rooms")).ok()["total"], 0);
    assert_eq!(server.get(&server.at("v2", "")).ok()["displayname"], Value::Null);
}

#[test]
fn a_user_is_found_by_any_way_to_write_them_or_not_at_all() {
    let server = Served::new();
    let made = server.ask("PUT v2/users/%40a%2fb%3D.c%3aexample.org", &json!({}));
    assert_eq!((made.status, &made.body["name"]), (201, &json!("@a/b=.c:example.org")));
    for path in ["v1/users/{}/admin", "v1/users/{}/joined_rooms", "v2/users/{}/devices"] {
        server.get(&path.replace("{}", "@a%2Fb=.c:example.org")).ok();
    }
    let body = json!({ "admin": true, "new_password": "x", "devices": [] });
    for line in [
        "GET v2/users/{}",
        "GET v1/users/{}/admin",
        "PUT v1/users/{}/admin",
        "GET v1/users/{}/joined_rooms",
        "GET v2/users/{}/devices",
        "GET v2/users/{}/devices/X",
        "DELETE v2/users/{}/devices/X",
        "POST v2/users/{}/delete_devices",
        "POST v1/deactivate/{}",
        "POST v1/reset_password/{}",
    ] {
        for (user, status) in
            [("@nobody:example.org", 404), ("@ALICE:example.org", 404), ("@alice:other.test", 400)]
        {
            let answer = server.ask(&line.replace("{}", &encode(user)), &body);
            assert_eq!(answer.status, status, "{line} {user} {}", answer.body);
        }
        assert_eq!(server.ask(&line.replace("{}", "alice"), &body).status, 400, "{line}");
    }
    server.log_in("alice", "x").refused(403, "M_FORBIDDEN");
}
