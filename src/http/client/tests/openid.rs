//! Can a user prove to another service who they are?
//! ([OpenID](https://spec.matrix.org/v1.19/client-server-api/#openid))

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Scene};

use super::one_server;

fn ask(scene: &Scene, query: &str) -> tombolo_support::Answer {
    scene.call(None, &format!("GET /_matrix/federation/v1/openid/userinfo{query}"), &Value::Null)
}

#[test]
fn a_token_proves_its_user_for_an_hour() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let line = format!("POST /_matrix/client/v3/user/{}/openid/request_token", alice.id);
    scene.call(Some(&bob), &line, &json!({})).refused(403, "M_FORBIDDEN");
    let given = scene.call(Some(&alice), &line, &json!({})).ok();
    let token = given["access_token"].as_str().unwrap().to_owned();
    let expected = json!({
        "access_token": token, "token_type": "Bearer", "matrix_server_name": "example.org",
        "expires_in": 3600,
    });
    assert_eq!(given, expected);
    let query = format!("?access_token={token}");
    assert_eq!(ask(&scene, &query).ok(), json!({ "sub": alice.id }));
    // It opens nothing else, and what opens all else is no such token.
    let line = "GET /_matrix/client/v3/account/whoami";
    let other = tombolo_support::User { token: token.clone(), ..alice.clone() };
    scene.call(Some(&other), line, &Value::Null).refused(401, "M_UNKNOWN_TOKEN");
    for token in [&alice.token, "", "tmo.YWxpY2U.99999999999999.AAAA", &format!("{token}A")] {
        ask(&scene, &format!("?access_token={token}")).refused(401, "M_UNKNOWN_TOKEN");
    }
    ask(&scene, "").refused(401, "M_MISSING_TOKEN");
    scene.pass(3_600_000);
    ask(&scene, &query).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn nobody_is_a_user_who_is_deactivated() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = format!("POST /_matrix/client/v3/user/{}/openid/request_token", alice.id);
    let given = scene.call(Some(&alice), &line, &json!({})).ok();
    let query = format!("?access_token={}", given["access_token"].as_str().unwrap());
    let line = "POST /_matrix/client/v3/account/deactivate";
    let session = scene.call(Some(&alice), line, &json!({})).body["session"].clone();
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD, "session": session,
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    scene.call(Some(&alice), line, &json!({ "auth": auth })).ok();
    ask(&scene, &query).refused(401, "M_UNKNOWN_TOKEN");
}
