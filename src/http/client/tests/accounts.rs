//! How do users register, log in and log out?

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, User, registration};

use super::{one_server, one_server_with};

const REGISTER: &str = "POST /_matrix/client/v3/register";
const LOGIN: &str = "POST /_matrix/client/v3/login";

fn password_login(user: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password })
}

#[test]
fn registration_asks_for_the_dummy_stage_and_then_opens_a_session() {
    let scene = one_server();
    let asked = scene.call(None, REGISTER, &json!({}));
    assert_eq!(asked.status, 401);
    let auth = json!({ "type": "m.login.dummy", "session": asked.body["session"] });
    let body = json!({ "password": "secret", "auth": auth });
    let user = User::of(&scene.server, &scene.call(None, REGISTER, &body)).unwrap();
    assert_eq!(scene.get(&user, "/_matrix/client/v3/account/whoami").ok()["user_id"], user.id);
}

#[test]
fn a_taken_or_malformed_name_is_refused() {
    let scene = one_server();
    scene.register("alice");
    scene.call(None, REGISTER, &registration("Alice")).refused(400, "M_USER_IN_USE");
    scene.call(None, REGISTER, &registration("a b")).refused(400, "M_INVALID_USERNAME");
    let available = "GET /_matrix/client/v3/register/available?username=";
    scene.call(None, &format!("{available}alice"), &Value::Null).refused(400, "M_USER_IN_USE");
    assert_eq!(scene.call(None, &format!("{available}bob"), &Value::Null).ok()["available"], true);
}

#[test]
fn closed_registration_and_guests_are_refused() {
    for closed in ["closed", ""] {
        let scene = one_server_with(&[("REGISTRATION", closed)]);
        scene.call(None, REGISTER, &registration("alice")).refused(403, "M_FORBIDDEN");
    }
    one_server()
        .call(None, &format!("{REGISTER}?kind=guest"), &json!({}))
        .refused(403, "M_FORBIDDEN");
}

#[test]
fn inhibit_login_opens_no_session() {
    let scene = one_server();
    let mut body = registration("alice");
    body["inhibit_login"] = json!(true);
    assert!(scene.call(None, REGISTER, &body).ok().get("access_token").is_none());
}

#[test]
fn a_password_opens_a_session_on_the_device_it_names() {
    let scene = one_server();
    scene.register("alice");
    for name in ["alice", "@alice:example.org", "ALICE"] {
        let mut body = password_login(name, PASSWORD);
        body["device_id"] = json!("PHONE");
        assert_eq!(scene.call(None, LOGIN, &body).ok()["device_id"], "PHONE");
    }
}

#[test]
fn unknown_users_and_wrong_passwords_look_alike() {
    let scene = one_server();
    scene.register("alice");
    let wrong =
        scene.call(None, LOGIN, &password_login("alice", "wrong")).refused(403, "M_FORBIDDEN");
    let unknown =
        scene.call(None, LOGIN, &password_login("bob", "wrong")).refused(403, "M_FORBIDDEN");
    assert_eq!(wrong, unknown);
    scene
        .call(None, LOGIN, &password_login("@alice:elsewhere.org", PASSWORD))
        .refused(403, "M_FORBIDDEN");
}

#[test]
fn a_malformed_login_is_the_clients_mistake() {
    let scene = one_server();
    scene.call(None, LOGIN, &json!({})).refused(400, "M_BAD_JSON");
    scene.call(None, LOGIN, &json!({ "type": "m.login.sso" })).refused(400, "M_UNKNOWN");
    scene.send(None, LOGIN, "not json".to_owned()).refused(400, "M_NOT_JSON");
    for kind in ["m.id.thirdparty", "m.id.phone"] {
        let body =
            json!({ "type": "m.login.password", "identifier": { "type": kind }, "password": "x" });
        scene.call(None, LOGIN, &body).refused(403, "M_FORBIDDEN");
    }
}

#[test]
fn what_no_device_is_called_makes_no_account() {
    let scene = one_server();
    let line = "POST /_matrix/client/v3/register";
    let mut body = tombolo_support::registration("alice");
    for (field, value, status, errcode) in [
        ("device_id", String::new(), 400, "M_INVALID_PARAM"),
        ("device_id", "x".repeat(256), 400, "M_INVALID_PARAM"),
        ("initial_device_display_name", "x".repeat(1025), 413, "M_TOO_LARGE"),
    ] {
        let whole = body.clone();
        body[field] = json!(value);
        scene.call(None, line, &body).refused(status, errcode);
        body = whole;
    }
    scene.call(None, line, &body).ok();
}

#[test]
fn logout_ends_one_session_or_all() {
    let scene = one_server();
    let first = scene.register("alice");
    let answer = scene.call(None, LOGIN, &password_login("alice", PASSWORD));
    let second = User::of(&scene.server, &answer).unwrap();
    assert_eq!(
        scene.get(&first, "/_matrix/client/v3/devices").ok()["devices"].as_array().unwrap().len(),
        2
    );
    scene.call(Some(&first), "POST /_matrix/client/v3/logout", &Value::Null).ok();
    scene.get(&first, "/_matrix/client/v3/account/whoami").refused(401, "M_UNKNOWN_TOKEN");
    scene.call(Some(&second), "POST /_matrix/client/v3/logout/all", &Value::Null).ok();
    scene.get(&second, "/_matrix/client/v3/account/whoami").refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_nonce_of_the_operators_registration_serves_once() {
    let path = "/_synapse/admin/v1/register";
    let scene =
        one_server_with(&[("REGISTRATION", "closed"), ("REGISTRATION_SHARED_SECRET", "shared")]);
    let nonce = scene.call(None, &format!("GET {path}"), &Value::Null).ok()["nonce"].clone();
    let body = json!({ "nonce": nonce, "username": "alice", "password": "secret", "admin": true, "mac": "00" });
    scene.call(None, &format!("POST {path}"), &body).refused(403, "M_FORBIDDEN");
    scene.call(None, &format!("POST {path}"), &body).refused(400, "M_UNKNOWN");
    one_server().call(None, &format!("GET {path}"), &Value::Null).refused(400, "M_UNKNOWN");
}

#[test]
fn versions_are_told_whatever_the_token() {
    let scene = one_server();
    let server = scene.server.clone();
    let nobody = User { server, id: String::new(), token: "garbage".to_owned() };
    assert!(scene.get(&nobody, "/_matrix/client/versions").ok()["versions"].is_array());
    scene.get(&nobody, "/_matrix/client/v3/capabilities").refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn capabilities_name_the_room_versions_and_what_users_may_change() {
    let scene = one_server();
    let alice = scene.register("alice");
    let capabilities = &scene.get(&alice, "/_matrix/client/v3/capabilities").ok()["capabilities"];
    assert_eq!(capabilities["m.room_versions"]["default"], "11");
    assert_eq!(capabilities["m.room_versions"]["available"]["12"], "stable");
    for (capability, enabled) in [
        ("m.change_password", true),
        ("m.get_login_token", true),
        ("m.3pid_changes", false),
        ("m.profile_fields", true),
    ] {
        assert_eq!(capabilities[capability]["enabled"], enabled, "{capability}");
    }
}

#[test]
fn nobody_has_an_address_of_a_third_party() {
    let scene = one_server();
    let alice = scene.register("alice");
    let at = "/_matrix/client/v3/account/3pid";
    assert_eq!(scene.get(&alice, at).ok(), json!({ "threepids": [] }));
    for deed in ["", "/add", "/bind"] {
        scene
            .call(Some(&alice), &format!("POST {at}{deed}"), &json!({}))
            .refused(403, "M_THREEPID_DENIED");
        scene.call(None, &format!("POST {at}{deed}"), &json!({})).refused(401, "M_MISSING_TOKEN");
    }
    for path in ["account/3pid", "account/password", "register"] {
        for medium in ["email", "msisdn"] {
            let line = format!("POST /_matrix/client/v3/{path}/{medium}/requestToken");
            scene.call(None, &line, &json!({})).refused(403, "M_THREEPID_DENIED");
        }
    }
    let address = json!({ "medium": "email", "address": "alice@example.org" });
    for deed in ["delete", "unbind"] {
        let gone = scene.call(Some(&alice), &format!("POST {at}/{deed}"), &address).ok();
        assert_eq!(gone, json!({ "id_server_unbind_result": "no-support" }));
    }
}

#[test]
fn a_page_logs_in_who_knows_no_flow() {
    let page =
        one_server().call(None, "GET /_matrix/static/client/login/?device_id=X", &Value::Null);
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
}

#[test]
fn a_client_finds_the_server_and_what_it_has_beyond_the_specification() {
    let found = "GET /.well-known/matrix/client";
    one_server().call(None, found, &Value::Null).refused(404, "M_NOT_FOUND");
    let url = "https://matrix.example.org";
    let scene = one_server_with(&[("PUBLIC_BASEURL", url)]);
    let expected = json!({ "m.homeserver": { "base_url": url }, "org.matrix.msc3814": true });
    assert_eq!(scene.call(None, found, &Value::Null).ok(), expected);
}
