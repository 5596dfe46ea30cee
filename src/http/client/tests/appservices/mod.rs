//! What may an application service do, as whom, and what may others not?

mod devices;

use serde_json::{Value, json};
use tombolo_support::{Service, encode, registration, registration_of, text};

use super::one_server;

const REGISTER: &str = "POST /_matrix/client/v3/register";
const LOGIN: &str = "POST /_matrix/client/v3/login";
const WHOAMI: &str = "GET /_matrix/client/v3/account/whoami";
const GHOST: &str = "@irc_bob:example.org";

fn service() -> Service {
    Service::new(one_server(), &registration_of("irc"))
}

/// A service with these fields in its registration.
fn service_with(fields: Value) -> Service {
    let mut registration = registration_of("irc");
    registration.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Service::new(one_server(), &registration)
}

fn by_service(username: &str) -> Value {
    json!({ "type": "m.login.application_service", "username": username, "inhibit_login": true })
}

#[test]
fn a_service_is_its_sender_or_a_registered_user_of_its_own() {
    let service = service();
    let whoami = service.call(WHOAMI, &Value::Null).ok();
    assert_eq!(whoami["user_id"], "@irc-sender:example.org");
    assert!(whoami.get("device_id").is_none(), "{whoami}");
    assert_eq!(service.call_as("@irc-sender:example.org", WHOAMI, &Value::Null).ok(), whoami);
    service.call_as(GHOST, WHOAMI, &Value::Null).refused(403, "M_FORBIDDEN");
    assert_eq!(service.register("irc_bob"), GHOST);
    assert_eq!(service.call_as(GHOST, WHOAMI, &Value::Null).ok()["user_id"], GHOST);
    for other in ["@admin:example.org", "@irc_bob:elsewhere.org", "@Irc_bob:example.org"] {
        service.call_as(other, WHOAMI, &Value::Null).refused(403, "M_FORBIDDEN");
    }
    service.call_as("bob", WHOAMI, &Value::Null).refused(400, "M_INVALID_PARAM");
    service.with_token("guess", WHOAMI, &Value::Null).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn with_an_ordinary_token_nobody_is_anybody_else() {
    let service = service();
    service.register("irc_bob");
    let path = format!("/_matrix/client/v3/account/whoami?user_id={}", encode(GHOST));
    assert_eq!(service.scene.get(&service.admin, &path).ok()["user_id"], "@admin:example.org");
}

#[test]
fn names_of_a_service_are_for_it_alone() {
    let service = service();
    service.add(&registration_of("xmpp"));
    let Service { scene, admin, .. } = &service;
    for name in ["irc_bob", "IRC_Bob", "irc-sender"] {
        scene.call(None, REGISTER, &registration(name)).refused(400, "M_EXCLUSIVE");
        let available = format!("GET /_matrix/client/v3/register/available?username={name}");
        scene.call(None, &available, &Value::Null).refused(400, "M_EXCLUSIVE");
    }
    let line = format!("PUT /_synapse/admin/v2/users/{}", encode(GHOST));
    scene.call(Some(admin), &line, &json!({ "password": "x" })).refused(400, "M_EXCLUSIVE");
    for name in ["bob", "xmpp_bob", "xmpp-sender"] {
        service.call(REGISTER, &by_service(name)).refused(400, "M_EXCLUSIVE");
    }
    for name in ["", "irc_bob:example.org", "irc_b\u{0}b"] {
        service.call(REGISTER, &by_service(name)).refused(400, "M_INVALID_USERNAME");
    }
    scene.call(None, REGISTER, &by_service("irc_bob")).refused(401, "M_MISSING_TOKEN");
    service.with_token("guess", REGISTER, &by_service("irc_bob")).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_service_makes_users_though_registration_is_closed() {
    let scene = super::one_server_with(&[("RATE_LIMITS", "on")]);
    let service = Service::new(scene, &registration_of("irc"));
    for number in 0..30 {
        // Capitals stay, and so do characters that no other user has any more.
        let name = format!("irc_Bob!{number}");
        assert_eq!(service.register(&name), format!("@{name}:example.org"));
    }
    service.call(REGISTER, &by_service("irc_Bob!1")).refused(400, "M_USER_IN_USE");
    service
        .call(REGISTER, &json!({ "type": "m.login.application_service" }))
        .refused(400, "M_MISSING_PARAM");
    assert_eq!(service.register("irc-sender"), "@irc-sender:example.org");
}

#[test]
fn ghosts_live_in_rooms_and_have_names() {
    let service = service();
    service.register("irc_bob");
    let room = service.scene.room(&service.admin, &json!({ "preset": "public_chat" }));
    let name = format!("PUT /_matrix/client/v3/profile/{GHOST}/displayname");
    service.call_as(GHOST, &name, &json!({ "displayname": "Bob" })).ok();
    service.call(&name, &json!({ "displayname": "x" })).refused(403, "M_FORBIDDEN");
    service.call_as(GHOST, &format!("POST /_matrix/client/v3/join/{room}"), &json!({})).ok();
    let send = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let body = json!({ "msgtype": "m.text", "body": "hi" });
    let sent = service.call_as(GHOST, &send, &body).ok();
    assert_eq!(service.call_as(GHOST, &send, &body).ok(), sent);
    service.call(&send, &body).refused(403, "M_FORBIDDEN");
    let event = text(&sent["event_id"]);
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
    let seen = service.scene.get(&service.admin, &path).ok();
    assert_eq!(seen["sender"], GHOST);
    let own = service.call_as(GHOST, &format!("GET {path}"), &Value::Null).ok();
    assert_eq!(own["unsigned"]["transaction_id"], "1");
    assert!(seen["unsigned"].get("transaction_id").is_none());
}

#[test]
fn a_service_says_when_its_events_were_sent() {
    let service = service();
    let room = service.call("POST /_matrix/client/v3/createRoom", &json!({})).ok();
    let room = text(&room["room_id"]);
    let at = |event: &Value| {
        let path =
            format!("GET /_matrix/client/v3/rooms/{room}/event/{}", text(&event["event_id"]));
        service.call(&path, &Value::Null).ok()["origin_server_ts"].clone()
    };
    let path = format!("/_matrix/client/v3/rooms/{room}");
    let message = json!({ "msgtype": "m.text", "body": "old" });
    let sent = service.call(&format!("PUT {path}/send/m.room.message/1?ts=12345"), &message).ok();
    assert_eq!(at(&sent), 12345);
    let topic = json!({ "topic": "old" });
    let set = service.call(&format!("PUT {path}/state/m.room.topic/?ts=0"), &topic).ok();
    assert_eq!(at(&set), 0);
    let far = format!("PUT {path}/send/m.room.message/2?ts=9007199254740991");
    assert_eq!(at(&service.call(&far, &message).ok()), 9_007_199_254_740_991_u64);
    service
        .call(&format!("PUT {path}/send/m.room.message/3?ts=-1"), &message)
        .refused(400, "M_INVALID_PARAM");
    // Nobody else does.
    let own = service.scene.room(&service.admin, &json!({}));
    let line = format!("PUT /_matrix/client/v3/rooms/{own}/send/m.room.message/1?ts=12345");
    let sent = service.scene.call(Some(&service.admin), &line, &message).ok();
    let path = format!("/_matrix/client/v3/rooms/{own}/event/{}", text(&sent["event_id"]));
    assert_ne!(service.scene.get(&service.admin, &path).ok()["origin_server_ts"], 12345);
}

#[test]
fn aliases_of_a_service_are_for_it_alone() {
    let service = service();
    let room = service.call("POST /_matrix/client/v3/createRoom", &json!({})).ok();
    let room = text(&room["room_id"]);
    let own = service.scene.room(&service.admin, &json!({}));
    let alias = |name: &str| format!("/_matrix/client/v3/directory/room/{}", encode(name));
    let theirs = alias("#irc_chan:example.org");
    let leads = |room: &str| json!({ "room_id": room });
    let put = format!("PUT {theirs}");
    let admin = Some(&service.admin);
    service.scene.call(admin, &put, &leads(&own)).refused(400, "M_EXCLUSIVE");
    service.call(&put, &leads(&room)).ok();
    let delete = format!("DELETE {theirs}");
    service.scene.call(admin, &delete, &Value::Null).refused(400, "M_EXCLUSIVE");
    let other = format!("PUT {}", alias("#chan:example.org"));
    service.call(&other, &leads(&room)).refused(400, "M_EXCLUSIVE");
    // The service has full control, whichever of its users made an alias, and in whatever room.
    service.register("irc_bob");
    service.call(&delete, &Value::Null).ok();
    service.call_as(GHOST, &put, &leads(&own)).ok();
    service.call(&delete, &Value::Null).ok();
    let named = json!({ "room_alias_name": "irc_chan" });
    let create = "POST /_matrix/client/v3/createRoom";
    service.scene.call(admin, create, &named).refused(400, "M_EXCLUSIVE");
    service.call(create, &named).ok();
}

#[test]
fn a_service_is_held_to_limits_as_its_registration_says() {
    for (limited, refused) in [(json!({}), true), (json!({ "rate_limited": false }), false)] {
        let mut registration = registration_of("irc");
        registration.as_object_mut().unwrap().extend(limited.as_object().unwrap().clone());
        let scene = super::one_server_with(&[("RATE_LIMITS", "on")]);
        let service = Service::new(scene, &registration);
        service.register("irc_bob");
        let create = "POST /_matrix/client/v3/createRoom";
        let room = text(&service.call_as(GHOST, create, &json!({})).ok()["room_id"]);
        let body = json!({ "msgtype": "m.text", "body": "hi" });
        let sent = |number: u32| {
            let line = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
            service.call_as(GHOST, &line, &body).status
        };
        assert_eq!((0..200).any(|number| sent(number) == 429), refused);
        // The sender never is.
        assert!((0..50).all(|_| service.call(create, &json!({})).status == 200));
    }
}

#[test]
fn a_service_acts_as_whom_it_shares_and_ends_whom_it_has() {
    let users = json!([{ "regex": "@.*:example\\.org", "exclusive": false }]);
    let service = service_with(json!({ "namespaces": { "users": users } }));
    let alice = service.scene.register("alice");
    assert_eq!(service.call_as(&alice.id, WHOAMI, &Value::Null).ok()["user_id"], alice.id);
    let deactivate = "POST /_matrix/client/v3/account/deactivate";
    service.call_as(&alice.id, deactivate, &json!({})).refused(403, "M_FORBIDDEN");
    let service = self::service();
    service.register("irc_bob");
    service.call_as(GHOST, deactivate, &json!({})).ok();
    service.call_as(GHOST, WHOAMI, &Value::Null).refused(403, "M_USER_DEACTIVATED");
}

#[test]
fn a_service_is_no_operator_as_whomever_it_acts() {
    let users = json!([{ "regex": "@.*:example\\.org", "exclusive": false }]);
    let service = service_with(json!({ "namespaces": { "users": users } }));
    let admin = &service.admin.id;
    for line in ["GET /_synapse/admin/v2/users", "GET /_tombolo/admin/v1/appservices"] {
        service.call_as(admin, line, &Value::Null).refused(403, "M_FORBIDDEN");
    }
    let identifier = json!({ "type": "m.id.user", "user": admin });
    let login = json!({ "type": "m.login.application_service", "identifier": identifier });
    service.call(LOGIN, &login).refused(403, "M_FORBIDDEN");
    let mut taken = registration_of("other");
    taken["sender_localpart"] = json!("admin");
    let line = "POST /_tombolo/admin/v1/appservices";
    let refused = service.scene.call(Some(&service.admin), line, &taken);
    refused.refused(400, "M_INVALID_PARAM");
}

#[test]
fn bridges_find_the_words_that_they_look_for() {
    let service = service();
    service.register("irc_bob");
    let name = format!("/_matrix/client/v3/profile/{GHOST}");
    for (field, value) in
        [("displayname", json!({ "displayname": "irc_bob" })), ("avatar_url", json!({}))]
    {
        let held = service.call_as(GHOST, &format!("GET {name}/{field}"), &Value::Null).ok();
        assert_eq!(held, value);
    }
    service.call(&format!("GET {name}/other"), &Value::Null).refused(404, "M_NOT_FOUND");
    let nobody = "GET /_matrix/client/v3/profile/@irc_none:example.org/displayname";
    service.call(nobody, &Value::Null).refused(404, "M_NOT_FOUND");
    let room = service.scene.room(&service.admin, &json!({ "preset": "public_chat" }));
    // A membership that a user sets of themselves is a join like any other.
    let member = format!("PUT /_matrix/client/v3/rooms/{room}/state/m.room.member/{GHOST}");
    service.call_as(GHOST, &member, &json!({ "membership": "join" })).ok();
    let invited = service.scene.act(&service.admin, &room, "invite", &json!({ "user_id": GHOST }));
    let refused = invited.refused(403, "M_FORBIDDEN");
    assert!(refused["error"].as_str().unwrap().contains("is already in the room"), "{refused}");
    let stranger = service.scene.register("stranger");
    let invited = service.scene.act(&stranger, &room, "invite", &json!({ "user_id": GHOST }));
    let refused = invited.refused(403, "M_FORBIDDEN");
    assert!(!refused["error"].as_str().unwrap().contains("already"), "{refused}");
    let versions =
        service.call_as("@irc_none:example.org", "GET /_matrix/client/versions", &Value::Null);
    versions.ok();
}

#[test]
fn services_share_users_but_not_those_of_one_alone() {
    let service = service();
    let users = json!([{ "regex": "@.*:example\\.org", "exclusive": false }]);
    let mut double = registration_of("double");
    double["namespaces"] = json!({ "users": users });
    service.add(&double);
    service.register("irc_bob");
    service.call_as(GHOST, WHOAMI, &Value::Null).ok();
    let as_ghost = format!("{WHOAMI}?user_id={}", encode(GHOST));
    let shared = service.with_token("token of double", &as_ghost, &Value::Null).ok();
    assert_eq!(shared["user_id"], GHOST);
    let taken = service.with_token("token of double", REGISTER, &by_service("irc_eve"));
    taken.refused(400, "M_EXCLUSIVE");
    let free = service.with_token("token of double", REGISTER, &by_service("_carol")).ok();
    assert_eq!(free["user_id"], "@_carol:example.org");
}

#[test]
fn users_of_a_service_have_transactions_of_their_own() {
    let service = service();
    let room = service.scene.room(&service.admin, &json!({ "preset": "public_chat" }));
    let join = format!("POST /_matrix/client/v3/join/{room}");
    let send = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let body = json!({ "msgtype": "m.text", "body": "hi" });
    let sent = ["irc_bob", "irc_eve"].map(|name| {
        let ghost = service.register(name);
        service.call_as(&ghost, &join, &json!({})).ok();
        service.call_as(&ghost, &send, &body).ok()
    });
    assert_ne!(sent[0], sent[1]);
    // The service sees who is there by any of them, also where its sender is not.
    let joined = |room: &str| format!("GET /_matrix/client/v3/rooms/{room}/joined_members");
    let members = service.call_as(GHOST, &joined(&room), &Value::Null).ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 3);
    assert_eq!(service.call(&joined(&room), &Value::Null).ok(), members);
    let own = service.scene.room(&service.admin, &json!({}));
    service.call(&joined(&own), &Value::Null).refused(403, "M_FORBIDDEN");
    service.call(&joined("!none:example.org"), &Value::Null).refused(403, "M_FORBIDDEN");
}

#[test]
fn what_two_services_have_alone_neither_makes() {
    let service = service();
    let mut overlapping = registration_of("other");
    overlapping["namespaces"]["users"][0]["regex"] = json!("@irc_b.*");
    service.add(&overlapping);
    service.call(REGISTER, &by_service("irc_bob")).refused(400, "M_EXCLUSIVE");
    let other = service.with_token("token of other", REGISTER, &by_service("irc_bob"));
    other.refused(400, "M_EXCLUSIVE");
    service.register("irc_eve");
}

#[test]
fn a_service_has_full_control_of_aliases_that_others_make_too() {
    let aliases = json!([{ "regex": "#irc_.*", "exclusive": false }]);
    let service = service_with(json!({ "namespaces": { "users": [], "aliases": aliases } }));
    let own = service.scene.room(&service.admin, &json!({}));
    let line = format!("/_matrix/client/v3/directory/room/{}", encode("#irc_chan:example.org"));
    let put = || {
        let leads = json!({ "room_id": own });
        service.scene.call(Some(&service.admin), &format!("PUT {line}"), &leads).ok();
    };
    put();
    service.call(&format!("DELETE {line}"), &Value::Null).ok();
    put();
    service.scene.call(Some(&service.admin), &format!("DELETE {line}"), &Value::Null).ok();
}
