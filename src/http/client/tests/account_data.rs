//! What becomes of account data that is removed?
//! ([MSC3391](https://github.com/matrix-org/matrix-spec-proposals/pull/3391))

use serde_json::{Value, json};
use tombolo_support::{Answer, PASSWORD, Scene, User, text};

use super::one_server;

const KIND: &str = "org.example.x";

/// The path of an item, of a room or of none.
fn path(version: &str, user: &User, room: Option<&str>, kind: &str) -> String {
    let room = room.map(|room| format!("/rooms/{room}")).unwrap_or_default();
    format!("/_matrix/client/{version}/user/{}{room}/account_data/{kind}", user.id)
}

fn set(scene: &Scene, user: &User, room: Option<&str>, content: &str) -> Answer {
    let line = format!("PUT {}", path("v3", user, room, KIND));
    scene.send(Some(user), &line, content.to_owned())
}

fn remove(scene: &Scene, user: &User, room: Option<&str>, kind: &str) -> Answer {
    let line = format!("DELETE {}", path("unstable/org.matrix.msc3391", user, room, kind));
    scene.call(Some(user), &line, &Value::Null)
}

/// The contents of the item in a sync.
fn told(scene: &Scene, user: &User, room: Option<&str>, since: Option<&str>) -> Vec<Value> {
    let query = since.map(|since| format!("since={since}")).unwrap_or_default();
    let sync = scene.sync(user, &query);
    let section = room.map_or(&sync, |room| &sync["rooms"]["join"][room]);
    let items = section["account_data"]["events"].as_array().cloned().unwrap_or_default();
    let own = items.into_iter().filter(|item| item["type"] == KIND);
    own.map(|item| item["content"].clone()).collect()
}

#[test]
fn what_is_removed_is_told_to_who_held_it_and_to_nobody_else() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    for place in [None, Some(&*room)] {
        let content = json!({ "a": 1 });
        let item = path("v3", &alice, place, KIND);
        for deed in ["DELETE", "{}", " { \n } "] {
            set(&scene, &alice, place, &content.to_string()).ok();
            scene.pass(5000);
            let since = text(&scene.sync(&alice, "")["next_batch"]);
            assert_eq!(told(&scene, &alice, place, None), std::slice::from_ref(&content));
            let answer = match deed {
                "DELETE" => remove(&scene, &alice, place, KIND).ok(),
                _ => set(&scene, &alice, place, deed).ok(),
            };
            assert_eq!(answer, json!({}), "{deed}");
            scene.get(&alice, &item).refused(404, "M_NOT_FOUND");
            assert_eq!(told(&scene, &alice, place, Some(&since)), [json!({})], "{deed}");
            assert!(told(&scene, &alice, place, None).is_empty(), "{deed}");
        }
        set(&scene, &alice, place, &content.to_string()).ok();
        assert_eq!(scene.get(&alice, &item).ok(), content);
    }
}

#[test]
fn who_removes_what_is_not_there_changes_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    scene.pass(5000);
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    for place in [None, Some(&*room)] {
        remove(&scene, &alice, place, KIND).ok();
        set(&scene, &alice, place, "{}").ok();
        remove(&scene, &alice, place, KIND).ok();
        assert!(told(&scene, &alice, place, Some(&since)).is_empty());
    }
}

#[test]
fn nobody_removes_what_the_server_keeps_or_what_is_anothers() {
    let scene = one_server();
    let (alice, eve) = (scene.register("alice"), scene.register("eve"));
    let room = scene.room(&alice, &json!({}));
    for place in [None, Some(&*room)] {
        for kind in ["m.push_rules", "m.fully_read"] {
            remove(&scene, &alice, place, kind).refused(405, "M_BAD_JSON");
        }
        let line = format!("DELETE {}", path("unstable/org.matrix.msc3391", &alice, place, KIND));
        scene.call(Some(&eve), &line, &Value::Null).refused(403, "M_FORBIDDEN");
        scene.call(None, &line, &Value::Null).refused(401, "M_MISSING_TOKEN");
        let stable = format!("DELETE {}", path("v3", &alice, place, KIND));
        scene.call(Some(&alice), &stable, &Value::Null).refused(405, "M_UNRECOGNIZED");
    }
}

#[test]
fn who_removes_the_list_of_whom_they_ignore_hears_all() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let line = format!("PUT {}", path("v3", &alice, None, "m.ignored_user_list"));
    scene.call(Some(&alice), &line, &json!({ "ignored_users": { &bob.id: {} } })).ok();
    let room = scene.room(&bob, &json!({ "invite": [alice.id] }));
    scene.pass(5000);
    let invites = || scene.sync(&alice, "")["rooms"]["invite"].clone();
    assert!(invites().get(&room).is_none());
    remove(&scene, &alice, None, "m.ignored_user_list").ok();
    assert!(invites().get(&room).is_some());
}

#[test]
fn what_is_set_for_a_device_goes_with_it() {
    let scene = one_server();
    let alice = scene.register("alice");
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": PASSWORD,
        "device_id": "PHONE",
    });
    let answer = scene.call(None, "POST /_matrix/client/v3/login", &login);
    let phone = User::of(&scene.server, &answer).unwrap();
    let kind = |device: &str| format!("org.matrix.msc3890.local_notification_settings.{device}");
    for device in ["PHONE", "PHONE2"] {
        let line = format!("PUT {}", path("v3", &alice, None, &kind(device)));
        scene.call(Some(&alice), &line, &json!({ "is_silenced": true })).ok();
    }
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    scene.call(Some(&phone), "POST /_matrix/client/v3/logout", &json!({})).ok();
    let get = |device: &str| scene.get(&alice, &path("v3", &alice, None, &kind(device)));
    get("PHONE").refused(404, "M_NOT_FOUND");
    assert_eq!(get("PHONE2").ok(), json!({ "is_silenced": true }));
    let sync = scene.sync(&alice, &format!("since={since}"));
    let told = json!([{ "type": kind("PHONE"), "content": {} }]);
    assert_eq!(sync["account_data"]["events"], told);
}
