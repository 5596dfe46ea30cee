//! What may a user do with their devices, their password and their account, once they have proved who they are?

use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::AskError;
use tombolo_support::{PASSWORD, Scene, User};

use super::{one_server, one_server_with};
use crate::objects::{
    user_object,
    user_sync::messages::{LogoutOthers, Refusal},
};

const LOGIN: &str = "POST /_matrix/client/v3/login";

/// The body of a login on a device.
fn login(user: &User, password: &str, device: &str) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    json!({ "type": "m.login.password", "identifier": identifier, "password": password, "device_id": device })
}

/// The same user on another device.
fn on(scene: &Scene, user: &User, device: &str) -> User {
    let answer = scene.call(None, LOGIN, &login(user, PASSWORD, device));
    User::of(&scene.server, &answer).unwrap()
}

/// What proves, in this session, that the password is known.
fn proof(user: &User, password: &str, session: &Value) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    json!({ "type": "m.login.password", "identifier": identifier, "password": password, "session": session })
}

/// Asks for something until it asks for a proof; answers the session.
#[track_caller]
fn asked(scene: &Scene, user: &User, line: &str, body: &Value) -> Value {
    let asked = scene.call(Some(user), line, body);
    assert_eq!((asked.status, asked.body.get("errcode")), (401, None), "{}", asked.body);
    assert_eq!(asked.body["flows"], json!([{ "stages": ["m.login.password"] }]));
    asked.body["session"].clone()
}

fn devices(scene: &Scene, user: &User) -> Vec<String> {
    let devices = scene.get(user, "/_matrix/client/v3/devices").ok()["devices"].clone();
    let devices = devices.as_array().unwrap().iter();
    devices.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect()
}

fn is_logged_in(scene: &Scene, user: &User) -> bool {
    scene.get(user, "/_matrix/client/v3/account/whoami").status == 200
}

#[test]
fn a_device_is_removed_by_who_knows_the_password() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (phone, tablet) = (on(&scene, &alice, "PHONE"), on(&scene, &alice, "TABLET"));
    let line = "DELETE /_matrix/client/v3/devices/PHONE";
    let session = asked(&scene, &alice, line, &json!({}));
    // Nothing was tried yet.
    for auth in [json!(null), json!({}), json!({ "session": session })] {
        asked(&scene, &alice, line, &json!({ "auth": auth }));
    }
    for password in ["wrong", ""] {
        let body = json!({ "auth": proof(&alice, password, &session) });
        scene.call(Some(&alice), line, &body).refused(401, "M_FORBIDDEN");
    }
    assert!(is_logged_in(&scene, &phone));
    scene.call(Some(&alice), line, &json!({ "auth": proof(&alice, PASSWORD, &session) })).ok();
    assert!(!is_logged_in(&scene, &phone) && is_logged_in(&scene, &tablet));
    assert!(!devices(&scene, &alice).contains(&"PHONE".to_owned()));
}

#[test]
fn a_proof_is_for_one_request_of_one_session() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let phone = on(&scene, &alice, "PHONE");
    let line = "POST /_matrix/client/v3/delete_devices";
    let session = asked(&scene, &alice, line, &json!({ "devices": ["A"] }));
    let proved =
        |devices: &[&str]| json!({ "devices": devices, "auth": proof(&alice, PASSWORD, &session) });
    // Another body, another path, another access token, another user.
    scene.call(Some(&alice), line, &proved(&["PHONE"])).refused(401, "M_FORBIDDEN");
    let other = "DELETE /_matrix/client/v3/devices/PHONE";
    scene.call(Some(&alice), other, &proved(&["A"])).refused(401, "M_FORBIDDEN");
    scene.call(Some(&phone), line, &proved(&["A"])).refused(401, "M_FORBIDDEN");
    scene.call(Some(&bob), line, &proved(&["A"])).refused(401, "M_FORBIDDEN");
    scene.pass(600_001);
    scene.call(Some(&alice), line, &proved(&["A"])).refused(401, "M_FORBIDDEN");
    let session = asked(&scene, &alice, line, &json!({ "devices": ["PHONE", "GONE"] }));
    // The password of somebody else proves nothing, and is not even looked at: nobody tries many here.
    for (user, password) in [(&bob, PASSWORD), (&bob, "wrong")] {
        let body = json!({ "devices": ["PHONE", "GONE"], "auth": proof(user, password, &session) });
        for _ in 0..10 {
            scene.call(Some(&alice), line, &body).refused(403, "M_FORBIDDEN");
        }
    }
    scene.call(None, LOGIN, &login(&bob, PASSWORD, "OWN")).ok();
    for (field, value, status, errcode) in [
        ("password", json!(null), 400, "M_MISSING_PARAM"),
        ("password", json!(1), 400, "M_BAD_JSON"),
        ("identifier", json!(null), 400, "M_MISSING_PARAM"),
        ("identifier", json!({ "type": "m.id.thirdparty", "medium": "email" }), 403, "M_FORBIDDEN"),
        ("identifier", json!({ "type": "x.own" }), 400, "M_UNKNOWN"),
    ] {
        let mut auth = proof(&alice, PASSWORD, &session);
        auth[field] = value;
        let body = json!({ "devices": ["PHONE", "GONE"], "auth": auth });
        scene.call(Some(&alice), line, &body).refused(status, errcode);
    }
    let body = json!({ "devices": ["PHONE", "GONE"], "auth": proof(&alice, PASSWORD, &session) });
    scene.call(Some(&alice), line, &body).ok();
    assert!(!is_logged_in(&scene, &phone));
}

#[test]
fn a_device_is_named_by_its_user() {
    let scene = one_server();
    let alice = scene.register("alice");
    on(&scene, &alice, "PHONE");
    let line = "PUT /_matrix/client/v3/devices/PHONE";
    scene.call(Some(&alice), line, &json!({ "display_name": "my phone" })).ok();
    scene.call(Some(&alice), line, &json!({})).ok();
    let phone = scene.get(&alice, "/_matrix/client/v3/devices/PHONE").ok();
    assert_eq!(phone["display_name"], "my phone");
    let long = json!({ "display_name": "x".repeat(2000) });
    scene.call(Some(&alice), line, &long).refused(413, "M_TOO_LARGE");
    // A login changes no name, whether or not the device has one.
    on(&scene, &alice, "TABLET");
    for device in ["PHONE", "TABLET"] {
        let mut again = login(&alice, PASSWORD, device);
        again["initial_device_display_name"] = json!("other");
        scene.call(None, LOGIN, &again).ok();
        let shown = scene.get(&alice, &format!("/_matrix/client/v3/devices/{device}")).ok();
        assert_ne!(shown["display_name"], "other");
        assert!(shown.as_object().unwrap().values().all(|field| !field.is_null()), "{shown}");
    }
    let unknown = "PUT /_matrix/client/v3/devices/NONE";
    for body in [json!({ "display_name": "x" }), json!({})] {
        scene.call(Some(&alice), unknown, &body).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn a_new_password_logs_the_other_devices_out_unless_they_may_stay() {
    for stay in [true, false] {
        let scene = one_server();
        let alice = scene.register("alice");
        let phone = on(&scene, &alice, "PHONE");
        let line = "POST /_matrix/client/v3/account/password";
        let mut body = json!({ "new_password": "another" });
        if stay {
            body["logout_devices"] = json!(false);
        }
        let session = asked(&scene, &alice, line, &body);
        body["auth"] = proof(&alice, PASSWORD, &session);
        scene.call(Some(&alice), line, &body).ok();
        assert!(is_logged_in(&scene, &alice));
        assert_eq!(is_logged_in(&scene, &phone), stay);
        let old = login(&alice, PASSWORD, "PHONE");
        scene.call(None, LOGIN, &old).refused(403, "M_FORBIDDEN");
        scene.call(None, LOGIN, &login(&alice, "another", "PHONE")).ok();
    }
}

#[test]
fn a_password_is_not_changed_without_a_session() {
    let scene = one_server();
    scene.register("alice");
    let body = json!({ "new_password": "another" });
    let line = "POST /_matrix/client/v3/account/password";
    scene.call(None, line, &body).refused(401, "M_MISSING_TOKEN");
}

/// Gives up the account; with `erase`, what was said is hidden from who comes later.
#[track_caller]
fn give_up(scene: &Scene, user: &User, erase: bool) {
    let line = "POST /_matrix/client/v3/account/deactivate";
    let mut body = json!({ "erase": erase });
    let session = asked(scene, user, line, &body);
    body["auth"] = proof(user, PASSWORD, &session);
    let answer = scene.call(Some(user), line, &body).ok();
    assert_eq!(answer["id_server_unbind_result"], "success");
}

#[test]
fn a_deactivated_account_is_out_of_everything_for_good() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let invited = scene.room(&alice, &json!({ "invite": [bob.id] }));
    let phone = on(&scene, &bob, "PHONE");
    let name = format!("PUT /_matrix/client/v3/profile/{}/displayname", bob.id);
    scene.call(Some(&bob), &name, &json!({ "displayname": "Bob" })).ok();
    give_up(&scene, &bob, false);
    assert!(!is_logged_in(&scene, &bob) && !is_logged_in(&scene, &phone));
    scene.call(None, LOGIN, &login(&bob, PASSWORD, "PHONE")).refused(403, "M_FORBIDDEN");
    let register = "POST /_matrix/client/v3/register";
    scene.call(None, register, &tombolo_support::registration("bob")).refused(400, "M_USER_IN_USE");
    scene.pass(10_000);
    for room in [&room, &invited] {
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", bob.id);
        assert_eq!(scene.get(&alice, &path).ok()["membership"], "leave", "{room}");
    }
    let profile = format!("/_matrix/client/v3/profile/{}", bob.id);
    assert_eq!(scene.get(&alice, &profile).ok(), json!({}));
}

#[test]
fn who_comes_after_an_erasure_is_not_shown_what_was_said() {
    for erase in [true, false] {
        let scene = one_server();
        let (alice, bob, carol) =
            (scene.register("alice"), scene.register("bob"), scene.register("carol"));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        scene.act(&bob, &room, "join", &json!({})).ok();
        scene.say(&bob, &room, "a secret");
        let gone = scene.say(&bob, &room, "gone");
        let reason = json!({ "reason": "it was a secret" });
        scene.put(&bob, &room, &format!("redact/{gone}/1"), &reason).ok();
        scene.say(&alice, &room, "no secret");
        give_up(&scene, &bob, erase);
        scene.pass(10_000);
        scene.act(&carol, &room, "join", &json!({})).ok();
        let history = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
        let sees = |user: &User| {
            let page = scene.get(user, &history).ok().to_string();
            assert!(page.contains("no secret"), "{page}");
            page.contains("a secret")
        };
        assert!(sees(&alice), "who was there keeps it");
        assert_eq!(sees(&carol), !erase);
    }
}

#[test]
fn another_device_logs_in_once_with_a_token() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = "POST /_matrix/client/v1/login/get_token";
    let token = || {
        let session = asked(&scene, &alice, line, &json!({}));
        let body = json!({ "auth": proof(&alice, PASSWORD, &session) });
        scene.call(Some(&alice), line, &body).ok()["login_token"].clone()
    };
    let with = |token: &Value| {
        let body = json!({ "type": "m.login.token", "token": token });
        scene.call(None, LOGIN, &body)
    };
    let (first, late) = (token(), token());
    assert_eq!(with(&first).ok()["user_id"], alice.id);
    with(&first).refused(403, "M_FORBIDDEN");
    scene.pass(120_000);
    with(&late).refused(403, "M_FORBIDDEN");
    // An access token is no login token.
    with(&json!(alice.token)).refused(403, "M_FORBIDDEN");
    with(&json!(null)).refused(400, "M_MISSING_PARAM");
}

#[test]
fn whoever_ends_the_sessions_of_others_ends_their_login_tokens() {
    let scene = one_server();
    let alice = scene.register("alice");
    let phone = on(&scene, &alice, "PHONE");
    let line = "POST /_matrix/client/v1/login/get_token";
    let ways = [
        ("POST /_matrix/client/v3/account/password", json!({ "new_password": PASSWORD })),
        ("DELETE /_matrix/client/v3/devices/PHONE", json!({})),
    ];
    for (way, mut body) in ways {
        let session = asked(&scene, &alice, line, &json!({}));
        let auth = json!({ "auth": proof(&alice, PASSWORD, &session) });
        let token = scene.call(Some(&alice), line, &auth).ok()["login_token"].clone();
        let session = asked(&scene, &alice, way, &body);
        body["auth"] = proof(&alice, PASSWORD, &session);
        scene.call(Some(&alice), way, &body).ok();
        let login = json!({ "type": "m.login.token", "token": token });
        scene.call(None, LOGIN, &login).refused(403, "M_FORBIDDEN");
        scene.pass(60_000);
    }
    assert!(!is_logged_in(&scene, &phone));
}

#[test]
fn strangers_use_up_no_attempts_of_a_session() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let alice = scene.register("alice");
    let (line, mut body) = ("DELETE /_matrix/client/v3/devices/GONE", json!({}));
    let session = asked(&scene, &alice, line, &body);
    let guesses = |password: &str| {
        let guess = login(&alice, password, "PHONE");
        (0..10).map(|_| scene.call(None, LOGIN, &guess).status).collect::<Vec<_>>()
    };
    assert!(guesses("wrong").contains(&429));
    body["auth"] = proof(&alice, PASSWORD, &session);
    scene.call(Some(&alice), line, &body).ok();
    body["auth"] = proof(&alice, "wrong", &session);
    let tries: Vec<u16> = (0..10).map(|_| scene.call(Some(&alice), line, &body).status).collect();
    assert!(tries.contains(&401) && tries.contains(&429), "{tries:?}");
}

#[test]
fn a_device_that_was_removed_ends_no_others() {
    let scene = one_server();
    let alice = scene.register("alice");
    let phone = on(&scene, &alice, "PHONE");
    let user = UserId::parse(alice.id.as_str()).unwrap();
    let others = LogoutOthers { session: "gone".to_owned(), device: Some("GONE".to_owned()) };
    let answer = scene.simulation.run(scene.server.world().ask(&user_object(&user), &others));
    assert!(matches!(answer, Err(AskError::Refused(Refusal::NoSession))), "{answer:?}");
    assert!(is_logged_in(&scene, &alice) && is_logged_in(&scene, &phone));
}
