//! Is a service asked for the users and aliases that it has and nobody made yet?

use http::Request;
use serde_json::{Value, json};
use tombolo_support::{Manner, encode};

use super::Bridged;

/// The paths at which the bridge was asked, but for transactions.
fn asked(bridged: &Bridged) -> Vec<String> {
    let pushed = bridged.bridge.pushed().into_iter().map(|pushed| pushed.path);
    pushed.filter(|path| !path.contains("/transactions/")).collect()
}

#[test]
fn who_is_invited_and_not_there_is_asked_for() {
    let bridged = Bridged::new();
    let Bridged { scene, alice, .. } = &bridged;
    let room = scene.room(alice, &json!({}));
    let server = alice.id.split_once(':').unwrap().1;
    let invite = |name: &str| {
        let user = json!({ "user_id": format!("@{name}:{server}") });
        scene.act(alice, &room, "invite", &user).ok()
    };
    invite("slack_new");
    let path = format!("/_matrix/app/v1/users/%40slack_new%3A{}", server.replace(':', "%3A"));
    assert_eq!(asked(&bridged), [path]);
    assert_eq!(bridged.bridge.pushed()[0].authorization, "Bearer hs-slack");
    // Who is there, whom the service has nothing to do with, and who the service itself is, is not asked for.
    invite("slack_ghost");
    invite("nobody");
    invite("slack-bot");
    assert_eq!(asked(&bridged).len(), 1);
    // A service that does not answer keeps nobody from inviting.
    bridged.bridge.is(Manner::Answers(500));
    invite("slack_other");
    // Nor is it asked again at once.
    invite("slack_third");
    assert_eq!(asked(&bridged).len(), 2);
    bridged.bridge.is(Manner::Lacks);
    scene.pass(30_000);
    invite("slack_another");
    assert_eq!(asked(&bridged).len(), 3);
}

#[test]
fn an_alias_that_is_not_there_is_asked_for() {
    let aliases = json!([{ "regex": "#slack_.*", "exclusive": false }]);
    let bridged = Bridged::with(&json!({ "namespaces": { "aliases": aliases } }));
    let Bridged { scene, alice, .. } = &bridged;
    let server = alice.id.split_once(':').unwrap().1;
    let find = |name: &str| {
        let alias = encode(&format!("#{name}:{server}"));
        scene.get(alice, &format!("/_matrix/client/v3/directory/room/{alias}"))
    };
    // It says that it is there, and has made none.
    find("slack_new").refused(404, "M_NOT_FOUND");
    let path = format!("/_matrix/app/v1/rooms/%23slack_new%3A{}", server.replace(':', "%3A"));
    assert_eq!(asked(&bridged), [path]);
    find("other").refused(404, "M_NOT_FOUND");
    assert_eq!(asked(&bridged).len(), 1);
    bridged.bridge.is(Manner::Lacks);
    find("slack_new").refused(404, "M_NOT_FOUND");
    assert_eq!(asked(&bridged).len(), 2);
    // Whether there is one is not known where the service does not answer, nor until it is asked again.
    bridged.bridge.is(Manner::Answers(500));
    find("slack_new").refused(408, "M_UNKNOWN");
    find("slack_new").refused(408, "M_UNKNOWN");
    assert_eq!(asked(&bridged).len(), 3);
    // An alias that is there is nobody's question.
    let room = scene.room(alice, &json!({}));
    let alias = encode(&format!("#slack_new:{server}"));
    let line = format!("PUT /_matrix/client/v3/directory/room/{alias}");
    scene.call(Some(alice), &line, &json!({ "room_id": room })).ok();
    assert_eq!(find("slack_new").ok()["room_id"], Value::from(room));
    assert_eq!(asked(&bridged).len(), 3);
}

#[test]
fn what_a_service_makes_while_it_is_asked_is_there() {
    let aliases = json!([{ "regex": "#slack_.*", "exclusive": true }]);
    let bridged = Bridged::with(&json!({ "namespaces": {
        "aliases": aliases, "users": [{ "regex": "@slack_.*", "exclusive": true }],
    } }));
    let Bridged { scene, alice, bridge, .. } = &bridged;
    let server = scene.server.name();
    let makes = |path: &str, body: &Value| {
        let request = Request::post(format!("https://{server}/_matrix/client/v3/{path}"));
        let request = request.header("authorization", "Bearer as-slack");
        bridge.makes(request.body(body.to_string().into()).unwrap());
    };
    makes("createRoom", &json!({ "room_alias_name": "slack_new" }));
    let alias = encode(&format!("#slack_new:{server}"));
    let found = scene.get(alice, &format!("/_matrix/client/v3/directory/room/{alias}")).ok();
    assert_eq!(found["servers"], json!([server]));
    let kind = "m.login.application_service";
    let user = json!({ "type": kind, "username": "slack_new", "inhibit_login": true });
    makes("register", &user);
    let user = format!("@slack_new:{server}");
    let room = scene.room(alice, &json!({ "invite": [user] }));
    let path = format!("/_matrix/client/v3/profile/{user}");
    assert_eq!(scene.get(alice, &path).ok(), json!({ "displayname": "slack_new" }));
    scene.pass(10_000);
    let invite = bridge.events().pop().unwrap();
    assert_eq!((&invite["room_id"], &invite["state_key"]), (&json!(room), &json!(user)));
}
