//! Does a dehydrated device receive what others send to it, until it is replaced or removed?

use ruma::UserId;
use serde_json::{Value, json, value::RawValue};
use tombolo_platform::AskError;
use tombolo_support::{Answer, PASSWORD, Scene, User, encode, text};

use super::one_server;
use crate::objects::{
    user_object,
    user_sync::messages::{AddDevice, Dehydrate, Refusal},
};

const DEVICE: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
/// Device IDs are public keys, in base64.
const ONE: &str = "a/b+c";
const TWO: &str = "d/e+f";

/// What a client puts there.
fn dehydrated(user: &User, id: &str) -> Value {
    json!({
        "device_id": id,
        "device_data": { "algorithm": "org.matrix.msc3814.v2", "device_pickle": id, "nonce": "x" },
        "initial_device_display_name": "Dehydrated device",
        "device_keys": {
            "user_id": user.id, "device_id": id, "dehydrated": true,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": { format!("curve25519:{id}"): id }, "signatures": {},
        },
        "one_time_keys": { "signed_curve25519:a": { "key": id, "signatures": {} } },
        "fallback_keys": { "signed_curve25519:f": { "key": "fallback", "fallback": true, "signatures": {} } },
    })
}

fn put(scene: &Scene, user: &User, id: &str) -> Answer {
    scene.call(Some(user), &format!("PUT {DEVICE}"), &dehydrated(user, id))
}

/// The dehydrated device, if there is one.
fn held(scene: &Scene, user: &User) -> Option<String> {
    let answer = scene.get(user, DEVICE);
    match answer.status {
        200 => Some(text(&answer.body["device_id"])),
        _ => {
            answer.refused(404, "M_NOT_FOUND");
            None
        }
    }
}

/// The devices that have keys, and those that the user has.
fn devices(scene: &Scene, user: &User) -> (Vec<String>, Vec<String>) {
    let line = "POST /_matrix/client/v3/keys/query";
    let keys = scene.call(Some(user), line, &json!({ "device_keys": { &user.id: [] } })).ok();
    let keys = keys["device_keys"][&user.id].as_object().unwrap().keys().cloned().collect();
    let devices = scene.get(user, "/_matrix/client/v3/devices").ok()["devices"].clone();
    let devices = devices.as_array().unwrap().iter().map(|device| text(&device["device_id"]));
    (keys, devices.collect())
}

fn send(scene: &Scene, sender: &User, to: (&User, &str), number: u64) {
    let line = format!("PUT /_matrix/client/v3/sendToDevice/m.test/{}", scene.number());
    let body = json!({ "messages": { &to.0.id: { to.1: { "n": number } } } });
    scene.call(Some(sender), &line, &body).ok();
}

/// A batch of messages: the numbers in them, and the next token.
#[track_caller]
fn events(scene: &Scene, user: &User, id: &str, from: Option<&str>) -> (Vec<u64>, Option<String>) {
    let from = from.map_or(String::new(), |from| format!("?from={from}"));
    batch(scene.get(user, &format!("{DEVICE}/{}/events{from}", encode(id))))
}

/// The same, as clients asked before.
fn events_by_post(scene: &Scene, user: &User, body: &Value) -> (Vec<u64>, Option<String>) {
    let line = format!("POST {DEVICE}/{}/events", encode(ONE));
    batch(scene.call(Some(user), &line, body))
}

#[track_caller]
fn batch(answer: Answer) -> (Vec<u64>, Option<String>) {
    let next_batch = answer.text("next_batch");
    let events = answer.ok()["events"].clone();
    let numbers = events.as_array().unwrap().iter().map(|event| event["content"]["n"].as_u64());
    (numbers.map(Option::unwrap).collect(), next_batch)
}

/// The same user on another device.
fn on(scene: &Scene, user: &User, device: &str) -> User {
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": device });
    let answer = scene.call(None, "POST /_matrix/client/v3/login", &body);
    User::of(&scene.server, &answer).unwrap()
}

/// Does what only the owner of the account may.
fn proven(scene: &Scene, user: &User, line: &str, mut body: Value) {
    let session = scene.call(Some(user), line, &body).body["session"].clone();
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    body["auth"] = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "session": session });
    scene.call(Some(user), line, &body).ok();
}

#[test]
fn a_dehydrated_device_takes_the_place_of_the_one_before() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let before = devices(&scene, &alice);
    assert_eq!((held(&scene, &alice), before.1.len()), (None, 1));
    for id in [ONE, TWO] {
        assert_eq!(put(&scene, &alice, id).ok(), json!({ "device_id": id }));
        let device = scene.get(&alice, DEVICE).ok();
        assert_eq!(device["device_data"], dehydrated(&alice, id)["device_data"]);
        assert_eq!(device["device_id"], id);
        let (keys, all) = devices(&scene, &alice);
        assert_eq!((keys, all.len()), (vec![id.to_owned()], 2));
        assert!(all.iter().any(|device| device == id));
        let shown = scene.get(&alice, &format!("/_matrix/client/v3/devices/{}", encode(id))).ok();
        assert_eq!(shown, json!({ "device_id": id, "display_name": "Dehydrated device" }));
    }
    let wanted = json!({ "one_time_keys": { &alice.id: { TWO: "signed_curve25519" } } });
    let claim = || {
        let line = "POST /_matrix/client/v3/keys/claim";
        let claimed = scene.call(Some(&bob), line, &wanted).ok();
        text(
            &claimed["one_time_keys"][&alice.id][TWO].as_object().unwrap().values().next().unwrap()
                ["key"],
        )
    };
    assert_eq!([claim(), claim(), claim()], [TWO, "fallback", "fallback"]);
    let deleted = scene.call(Some(&alice), &format!("DELETE {DEVICE}"), &Value::Null);
    assert_eq!(deleted.ok(), json!({ "device_id": TWO }));
    assert_eq!((held(&scene, &alice), devices(&scene, &alice)), (None, before));
    let again = scene.call(Some(&alice), &format!("DELETE {DEVICE}"), &Value::Null);
    again.refused(404, "M_NOT_FOUND");
}

#[test]
fn its_messages_are_read_in_batches_and_stay() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    put(&scene, &alice, ONE).ok();
    assert_eq!(events(&scene, &alice, ONE, None), (vec![], None));
    let (none, begin) = events_by_post(&scene, &alice, &Value::Null);
    assert_eq!(none, Vec::<u64>::new());
    (0..150).for_each(|number| send(&scene, &bob, (&alice, "*"), number));
    let (first, rest): (Vec<u64>, Vec<u64>) = (0..150).partition(|number| *number < 100);
    let phone = on(&scene, &alice, "PHONE");
    // Whatever was read before, by whichever device.
    for user in [&alice, &phone] {
        let (numbers, next) = events(&scene, user, ONE, None);
        assert_eq!(numbers, first);
        let next = next.unwrap();
        assert_eq!(events(&scene, user, ONE, Some(&next)), (rest.clone(), None));
        let (numbers, same) = events_by_post(&scene, user, &json!({ "next_batch": begin }));
        assert_eq!((numbers, same.as_ref()), (first.clone(), Some(&next)));
        let (numbers, end) = events_by_post(&scene, user, &json!({ "next_batch": next }));
        assert_eq!(numbers, rest);
        assert_eq!(events_by_post(&scene, user, &json!({ "next_batch": end })), (vec![], end));
    }
    put(&scene, &alice, TWO).ok();
    assert_eq!(events(&scene, &alice, TWO, None), (vec![], None));
}

#[test]
fn the_messages_of_other_devices_are_not_read() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    on(&scene, &alice, "PHONE");
    let of = |user: &User, id: &str, from: &str| {
        scene.get(user, &format!("{DEVICE}/{}/events{from}", encode(id)))
    };
    of(&alice, ONE, "").refused(403, "M_FORBIDDEN");
    put(&scene, &alice, ONE).ok();
    for (user, id) in [(&alice, "PHONE"), (&alice, TWO), (&bob, ONE)] {
        of(user, id, "").refused(403, "M_FORBIDDEN");
        let line = format!("POST {DEVICE}/{}/events", encode(id));
        scene.call(Some(user), &line, &json!({})).refused(403, "M_FORBIDDEN");
    }
    for from in ["s1", "d", "d-1", "dx", ""] {
        of(&alice, ONE, &format!("?from={from}")).refused(400, "M_INVALID_PARAM");
    }
    let line = format!("POST {DEVICE}/{}/events", encode(ONE));
    let wrong = json!({ "next_batch": "s1" });
    scene.call(Some(&alice), &line, &wrong).refused(400, "M_INVALID_PARAM");
    scene.call(None, &format!("GET {DEVICE}"), &Value::Null).refused(401, "M_MISSING_TOKEN");
}

#[test]
fn what_is_refused_changes_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    let phone = on(&scene, &alice, "PHONE");
    put(&scene, &alice, ONE).ok();
    let before = devices(&scene, &alice);
    let long = "x".repeat(70_000);
    for (field, value, status, errcode) in [
        ("device_id", json!("PHONE"), 400, "M_INVALID_PARAM"),
        ("device_id", json!(""), 400, "M_INVALID_PARAM"),
        ("device_id", json!("x".repeat(256)), 400, "M_INVALID_PARAM"),
        ("device_id", json!("OTHER"), 400, "M_INVALID_PARAM"),
        ("device_id", json!(null), 400, "M_BAD_JSON"),
        ("device_data", json!(null), 400, "M_BAD_JSON"),
        ("device_data", json!({}), 400, "M_BAD_JSON"),
        ("device_data", json!(["x"]), 400, "M_BAD_JSON"),
        ("device_data", json!({ "algorithm": long }), 413, "M_TOO_LARGE"),
        ("device_keys", json!(null), 400, "M_BAD_JSON"),
        ("device_keys", json!([]), 400, "M_BAD_JSON"),
        ("device_keys", json!({ "user_id": alice.id, "device_id": TWO }), 400, "M_BAD_JSON"),
        ("device_keys", dehydrated(&alice, ONE)["device_keys"].clone(), 400, "M_INVALID_PARAM"),
        ("one_time_keys", json!({ "x": {} }), 400, "M_BAD_JSON"),
        ("fallback_keys", json!({ "a:b": 1 }), 400, "M_BAD_JSON"),
        ("initial_device_display_name", json!("x".repeat(2000)), 413, "M_TOO_LARGE"),
    ] {
        let mut body = dehydrated(&alice, TWO);
        body[field] = value;
        scene.call(Some(&phone), &format!("PUT {DEVICE}"), &body).refused(status, errcode);
        assert_eq!(devices(&scene, &alice), before, "{body}");
        assert_eq!(held(&scene, &alice).as_deref(), Some(ONE));
    }
    // Not even of the device itself.
    let mut body = dehydrated(&alice, ONE);
    body["device_keys"]["user_id"] = json!("@bob:example.org");
    body["device_data"]["nonce"] = json!("other");
    scene.call(Some(&alice), &format!("PUT {DEVICE}"), &body).refused(400, "M_INVALID_PARAM");
    let device = scene.get(&alice, DEVICE).ok();
    assert_eq!(device["device_data"], dehydrated(&alice, ONE)["device_data"]);
    assert_eq!(devices(&scene, &alice), before);
}

#[test]
fn what_a_request_has_left_goes_with_the_next() {
    let scene = one_server();
    let alice = scene.register("alice");
    let object = user_object(&UserId::parse(alice.id.as_str()).unwrap());
    let (world, run) = (scene.server.world(), &scene.simulation);
    let add = AddDevice { device_id: "LEFT".to_owned(), display_name: None };
    run.run(world.ask(&object, &add)).unwrap();
    assert_eq!(devices(&scene, &alice).1.len(), 2);
    put(&scene, &alice, ONE).ok();
    let (_, all) = devices(&scene, &alice);
    assert!(all.len() == 2 && all.contains(&ONE.to_owned()), "{all:?}");
    // It comes too late, should it still come.
    let device_data = RawValue::from_string("{}".to_owned()).unwrap();
    let dehydrate = Dehydrate { device_id: "LEFT".to_owned(), device_data };
    let late = run.run(world.ask(&object, &dehydrate));
    assert!(matches!(late, Err(AskError::Refused(Refusal::Forbidden(_)))), "{late:?}");
    assert_eq!(held(&scene, &alice).as_deref(), Some(ONE));
}

#[test]
fn it_goes_as_other_devices_go_and_stays_when_its_user_logs_out() {
    let one = format!("DELETE /_matrix/client/v3/devices/{}", encode(ONE));
    let some = "POST /_matrix/client/v3/delete_devices";
    let password = "POST /_matrix/client/v3/account/password";
    let new_password = |logout: bool| json!({ "new_password": PASSWORD, "logout_devices": logout });
    for (line, body, goes) in [
        (&*one, Some(json!({})), true),
        (some, Some(json!({ "devices": [ONE] })), true),
        (password, Some(new_password(true)), true),
        (password, Some(new_password(false)), false),
        ("POST /_matrix/client/v3/logout/all", None, true),
        ("POST /_matrix/client/v3/logout", None, false),
    ] {
        let scene = one_server();
        let alice = scene.register("alice");
        put(&scene, &alice, ONE).ok();
        match body {
            Some(body) => proven(&scene, &alice, line, body),
            None => drop(scene.call(Some(&alice), line, &Value::Null).ok()),
        }
        let again = on(&scene, &alice, "AGAIN");
        assert_eq!(held(&scene, &again).is_none(), goes, "{line}");
        assert_eq!(devices(&scene, &again).0.is_empty(), goes, "{line}");
    }
}

#[test]
fn who_logs_in_on_it_makes_it_a_device_like_others() {
    let scene = one_server();
    let alice = scene.register("alice");
    put(&scene, &alice, ONE).ok();
    let one = on(&scene, &alice, ONE);
    assert_eq!(held(&scene, &alice), None);
    put(&scene, &alice, ONE).refused(400, "M_INVALID_PARAM");
    put(&scene, &alice, TWO).ok();
    scene.get(&one, "/_matrix/client/v3/account/whoami").ok();
    assert_eq!(devices(&scene, &alice).1.len(), 3);
}
