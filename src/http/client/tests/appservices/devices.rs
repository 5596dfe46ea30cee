//! How are the users of an application service logged in, and what do their devices need?

use serde_json::{Value, json};
use tombolo_support::text;

use super::{GHOST, LOGIN, REGISTER, WHOAMI, by_service, service, service_with};

#[test]
fn a_service_logs_its_users_in() {
    let service = service();
    let mut body = by_service("irc_Bob");
    body["inhibit_login"] = json!(false);
    let made = service.call(REGISTER, &body).ok();
    let whoami = service.with_token(&text(&made["access_token"]), WHOAMI, &Value::Null).ok();
    assert_eq!((&whoami["user_id"], &whoami["device_id"]), (&made["user_id"], &made["device_id"]));
    let login = |user: &str| {
        let identifier = json!({ "type": "m.id.user", "user": user });
        json!({ "type": "m.login.application_service", "identifier": identifier, "device_id": "D" })
    };
    for user in ["irc_Bob", "@irc_Bob:example.org"] {
        assert_eq!(service.call(LOGIN, &login(user)).ok()["device_id"], "D");
    }
    service.call(LOGIN, &login("irc_nobody")).refused(403, "M_FORBIDDEN");
    service.call(LOGIN, &login("admin")).refused(400, "M_EXCLUSIVE");
    service.scene.call(None, LOGIN, &login("irc_Bob")).refused(401, "M_MISSING_TOKEN");
    let flows = service.scene.call(None, "GET /_matrix/client/v3/login", &Value::Null).ok();
    assert!(flows.to_string().contains("m.login.application_service"), "{flows}");
}

#[test]
fn a_service_that_makes_devices_does_not_log_in() {
    let service = service_with(json!({ "io.element.msc4190": true }));
    let mut body = by_service("irc_bob");
    body["inhibit_login"] = json!(false);
    service.call(REGISTER, &body).refused(400, "M_APPSERVICE_LOGIN_UNSUPPORTED");
    service.register("irc_bob");
    let identifier = json!({ "type": "m.id.user", "user": GHOST });
    let login = json!({ "type": "m.login.application_service", "identifier": identifier });
    service.call(LOGIN, &login).refused(400, "M_APPSERVICE_LOGIN_UNSUPPORTED");
}

#[test]
fn a_service_makes_names_and_removes_devices_without_proof() {
    let service = service();
    service.register("irc_bob");
    let device = "/_matrix/client/v3/devices/BRIDGE";
    let put = |name: Value| service.call_as(GHOST, &format!("PUT {device}"), &name);
    assert_eq!(put(json!({ "display_name": "a" })).status, 201);
    assert_eq!(put(json!({ "display_name": "b" })).status, 200);
    let shown = service.call_as(GHOST, &format!("GET {device}"), &Value::Null).ok();
    assert_eq!(shown["display_name"], "b");
    for name in ["device_id", "org.matrix.msc3202.device_id"] {
        let whoami = service.call_as(GHOST, &format!("{WHOAMI}?{name}=BRIDGE"), &Value::Null).ok();
        assert_eq!(whoami["device_id"], "BRIDGE");
    }
    let other = format!("{WHOAMI}?device_id=OTHER");
    service.call_as(GHOST, &other, &Value::Null).refused(400, "M_UNKNOWN_DEVICE");
    service.call_as(GHOST, &format!("DELETE {device}"), &json!({})).ok();
    service.call_as(GHOST, &format!("GET {device}"), &Value::Null).refused(404, "M_NOT_FOUND");
    // Nobody else makes devices so.
    let line = format!("PUT {device}");
    let named = json!({ "display_name": "a" });
    service.scene.call(Some(&service.admin), &line, &named).refused(404, "M_NOT_FOUND");
}

#[test]
fn what_only_a_device_or_a_session_does_a_service_does_not() {
    let service = service();
    let upload = "POST /_matrix/client/v3/keys/upload";
    service.call(upload, &json!({})).refused(400, "M_MISSING_PARAM");
    let password = "POST /_matrix/client/v3/account/password";
    service.call(password, &json!({ "new_password": "x" })).refused(403, "M_FORBIDDEN");
    let token = "POST /_matrix/client/v1/login/get_token";
    service.call(token, &json!({})).refused(403, "M_FORBIDDEN");
    for line in ["GET /_matrix/client/v3/sync", "POST /_matrix/client/v3/logout"] {
        service.call(line, &Value::Null).refused(403, "M_FORBIDDEN");
    }
}

#[test]
fn devices_of_a_service_need_no_proof_and_no_login() {
    let service = service();
    service.register("irc_bob");
    for device in ["ONE", "TWO"] {
        let line = format!("PUT /_matrix/client/v3/devices/{device}");
        assert_eq!(service.call_as(GHOST, &line, &json!({})).status, 201);
        let (one_time, upload) = (
            json!({ "signed_curve25519:AAAA": { "key": "a", "signatures": {} } }),
            "POST /_matrix/client/v3/keys/upload",
        );
        let line = format!("{upload}?device_id={device}");
        let counts = service.call_as(GHOST, &line, &json!({ "one_time_keys": one_time })).ok();
        assert_eq!(counts["one_time_key_counts"], json!({ "signed_curve25519": 1 }));
    }
    let delete = "POST /_matrix/client/v3/delete_devices";
    service.call_as(GHOST, delete, &json!({ "devices": ["ONE", "TWO"] })).ok();
    let left = service.call_as(GHOST, "GET /_matrix/client/v3/devices", &Value::Null).ok();
    assert_eq!(left, json!({ "devices": [] }));
    // The sender has no devices.
    let whoami = format!("{WHOAMI}?device_id=ONE");
    service.call(&whoami, &Value::Null).refused(400, "M_UNKNOWN_DEVICE");
}

#[test]
fn a_service_replaces_keys_without_proof() {
    let service = service();
    service.register("irc_bob");
    for key in [
        "nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk",
        "Hq6gL+utB4ET+UvD5ci0kgAwsX6qP/zvf8v6OInU5iw",
    ] {
        let keys = json!({ format!("ed25519:{key}"): key });
        let master = json!({ "user_id": GHOST, "usage": ["master"], "keys": keys });
        let upload = "POST /_matrix/client/v3/keys/device_signing/upload";
        service.call_as(GHOST, upload, &json!({ "master_key": master })).ok();
        let query = json!({ "device_keys": { GHOST: [] } });
        let known = service.call_as(GHOST, "POST /_matrix/client/v3/keys/query", &query).ok();
        assert_eq!(known["master_keys"][GHOST]["keys"], keys);
    }
}
