//! Does a ping tell whether a service answers, and end its back-off?

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Manner, request};

use super::Bridged;

const PING: &str = "/_matrix/client/v1/appservice/slack/ping";

fn ping_with(bridged: &Bridged, token: &str, path: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let body = json!({ "transaction_id": "meow" }).to_string();
    let request = request(Some(&authorization), ("POST", path), body);
    let answered = tombolo_support::ask(&bridged.scene.server, request);
    bridged.scene.simulation.run(answered).unwrap()
}

fn ping(bridged: &Bridged) -> Answer {
    ping_with(bridged, "as-slack", PING)
}

#[test]
fn a_service_that_answers_is_up() {
    let bridged = Bridged::new();
    assert!(ping(&bridged).ok()["duration_ms"].is_u64());
    let pushed = bridged.bridge.pushed().pop().unwrap();
    assert_eq!(
        (pushed.path.as_str(), &*pushed.body),
        ("/_matrix/app/v1/ping", r#"{"transaction_id":"meow"}"#)
    );
    assert_eq!(pushed.authorization, "Bearer hs-slack");
}

#[test]
fn a_service_that_answers_has_its_backlog_sent_at_once() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.bridge.is(Manner::Answers(502));
    bridged.say(&room, "hello");
    bridged.scene.pass(600_000);
    bridged.bridge.is(Manner::Takes);
    bridged.scene.pass(1_000);
    assert_eq!(bridged.bridge.heard(), <[&str; 0]>::default());
    ping(&bridged).ok();
    bridged.scene.pass(1_000);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
}

#[test]
fn what_a_service_answers_instead_is_shown() {
    let bridged = Bridged::new();
    bridged.bridge.is(Manner::Answers(401));
    let body = ping(&bridged).refused(502, "M_BAD_STATUS");
    assert_eq!((&body["status"], &body["body"]), (&json!(401), &json!("{}")));
}

#[test]
fn a_service_that_says_nothing_in_time_is_down() {
    let bridged = Bridged::new();
    bridged.bridge.is(Manner::Works(70_000));
    ping(&bridged).refused(504, "M_CONNECTION_TIMEOUT");
}

#[test]
fn a_service_that_is_not_there_is_down() {
    let bridged = Bridged::with(&json!({ "url": "http://nowhere.test" }));
    ping(&bridged).refused(502, "M_CONNECTION_FAILED");
}

#[test]
fn a_service_without_a_url_cannot_be_pinged() {
    let bridged = Bridged::with(&json!({ "url": Value::Null }));
    ping(&bridged).refused(400, "M_URL_NOT_SET");
}

#[test]
fn only_the_service_itself_has_itself_pinged() {
    let bridged = Bridged::new();
    ping_with(&bridged, "as-slack", "/_matrix/client/v1/appservice/discord/ping")
        .refused(403, "M_FORBIDDEN");
    ping_with(&bridged, &bridged.alice.token, PING).refused(403, "M_FORBIDDEN");
    ping_with(&bridged, "nonsense", PING).refused(401, "M_UNKNOWN_TOKEN");
    bridged.scene.call(None, &format!("POST {PING}"), &json!({})).refused(401, "M_MISSING_TOKEN");
    assert!(bridged.bridge.pushed().is_empty());
}

#[test]
fn a_service_whose_token_cannot_be_read_keeps_its_names_and_is_not_asked() {
    let bridged = Bridged::new();
    let exclusive =
        json!({ "namespaces": { "users": [{ "regex": "@slack_.*", "exclusive": true }] } });
    bridged.register(&bridged.bridge.registration("slack", "slack_", &exclusive));
    let d1 = bridged.scene.server.d1();
    d1.run("UPDATE appservices SET hs_token = 'of another secret'", values![]).unwrap();
    bridged.scene.pass(60_000);
    let failed = ping(&bridged).refused(502, "M_CONNECTION_FAILED");
    assert!(failed["error"].as_str().unwrap().contains("register it anew"), "{failed}");
    let line = "GET /_matrix/client/v3/register/available?username=slack_new";
    bridged.scene.call(None, line, &Value::Null).refused(400, "M_EXCLUSIVE");
    bridged.register(&bridged.bridge.registration("slack", "slack_", &exclusive));
    ping(&bridged).ok();
}
