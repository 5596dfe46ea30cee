//! Are application services registered and removed by who may, and what cannot be meant refused?

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use std::rc::Rc;

use tombolo_support::{Scene, Service, registration_of};

use crate::{app::Tombolo, config::Config};

const ALL: &str = "/_tombolo/admin/v1/appservices";

fn one_server() -> Scene {
    Scene::new(Rc::new(Tombolo), "example.org", &[])
}

fn served() -> Service {
    Service::new(one_server(), &registration_of("irc"))
}

#[test]
fn an_operator_registers_and_removes_a_service() {
    let served = served();
    let Service { scene, admin, .. } = &served;
    let listed = |count: usize| {
        let listed = scene.get(admin, ALL).ok()["appservices"].as_array().unwrap().clone();
        assert_eq!(listed.len(), count);
        listed
    };
    let one = listed(1).remove(0);
    assert_eq!((&one["id"], &one["sender"]), (&json!("irc"), &json!("@irc-sender:example.org")));
    assert!(!one.to_string().contains("token of irc"), "{one}");
    assert_eq!(one["backlog"]["rows"], 0);
    assert_eq!(scene.get(admin, &format!("{ALL}/irc")).ok(), one);
    for deed in ["retry", "purge"] {
        scene.call(Some(admin), &format!("POST {ALL}/irc/{deed}"), &Value::Null).ok();
        let other = format!("POST {ALL}/other/{deed}");
        scene.call(Some(admin), &other, &Value::Null).refused(404, "M_NOT_FOUND");
    }
    scene.call(Some(admin), &format!("DELETE {ALL}/irc"), &Value::Null).ok();
    listed(0);
    scene.get(admin, &format!("{ALL}/irc")).refused(404, "M_NOT_FOUND");
    scene.call(Some(admin), &format!("DELETE {ALL}/irc"), &Value::Null).refused(404, "M_NOT_FOUND");
    served
        .call("GET /_matrix/client/v3/account/whoami", &Value::Null)
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_service_that_is_registered_again_is_as_it_was_said_last() {
    let served = served();
    let Service { scene, admin, .. } = &served;
    let whoami = "GET /_matrix/client/v3/account/whoami";
    served.call(whoami, &Value::Null).ok();
    let mut changed = registration_of("irc");
    changed["as_token"] = json!("another");
    scene.call(Some(admin), &format!("POST {ALL}"), &changed).ok();
    served.call(whoami, &Value::Null).refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(
        served.with_token("another", whoami, &Value::Null).ok()["user_id"],
        "@irc-sender:example.org"
    );
}

#[test]
fn two_services_share_neither_token_nor_sender() {
    let served = served();
    let Service { scene, admin, .. } = &served;
    for (field, value) in [("as_token", "token of irc"), ("sender_localpart", "irc-sender")] {
        let mut other = registration_of("other");
        other[field] = json!(value);
        let refused = scene.call(Some(admin), &format!("POST {ALL}"), &other);
        let refused = refused.refused(400, "M_INVALID_PARAM");
        assert!(refused["error"].as_str().unwrap().contains(field), "{refused}");
    }
    let mut broken = registration_of("other");
    broken["namespaces"] = json!({ "users": [{ "regex": "[", "exclusive": true }] });
    scene.call(Some(admin), &format!("POST {ALL}"), &broken).refused(400, "M_INVALID_PARAM");
    scene.send(Some(admin), &format!("POST {ALL}"), "{".to_owned()).refused(400, "M_INVALID_PARAM");
}

#[test]
fn nobody_else_registers_services() {
    let scene = one_server();
    let alice = scene.register("alice");
    for line in [format!("GET {ALL}"), format!("POST {ALL}"), format!("DELETE {ALL}/a")] {
        scene.call(None, &line, &Value::Null).refused(401, "M_MISSING_TOKEN");
        scene.call(Some(&alice), &line, &Value::Null).refused(403, "M_FORBIDDEN");
    }
}

#[test]
fn who_has_the_servers_secret_registers_without_an_account() {
    let served = served();
    let world = served.scene.server.world();
    let secret = Config::of(&world).unwrap().token_secret.clone();
    let ticket = |until: u64, secret: &[u8]| {
        let claim = format!("tma.{until}");
        let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&claim);
        format!("{claim}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let list = |token: &str| served.with_token(token, &format!("GET {ALL}"), &Value::Null);
    let now = world.now();
    list(&ticket(now + 60_000, &secret)).ok();
    list(&ticket(now, &secret)).refused(401, "M_UNKNOWN_TOKEN");
    list(&ticket(now + 60_000, b"another")).refused(401, "M_UNKNOWN_TOKEN");
    list("tma..").refused(401, "M_UNKNOWN_TOKEN");
    let whoami = "GET /_matrix/client/v3/account/whoami";
    served
        .with_token(&ticket(now + 60_000, &secret), whoami, &Value::Null)
        .refused(401, "M_UNKNOWN_TOKEN");
}
