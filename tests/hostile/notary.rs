//! What do we vouch for, as a notary? (KEY)

use std::cell::Cell;

use serde_json::{Value, json};
use tombolo_support::{Peer, ok};

use crate::{
    keys::published_then,
    scene::{HostileScene, OURS},
};

/// What we answer as a notary.
fn vouched(scene: &HostileScene, names: &Value) -> Vec<Value> {
    let line = "POST /_matrix/key/v2/query";
    let answer = scene.call(None, line, &json!({ "server_keys": names }));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["server_keys"].as_array().unwrap().clone()
}

#[test]
fn as_a_notary_we_answer_for_ourselves() {
    let scene = HostileScene::new("11");
    let line = "GET /_matrix/key/v2/server";
    let published = scene.call(None, line, &Value::Null).body;
    assert_eq!(published["server_name"], json!(OURS));
    assert_eq!(vouched(&scene, &json!({ OURS: {} })), std::slice::from_ref(&published));
    let line = format!("GET /_matrix/key/v2/query/{OURS}");
    let answer = scene.call(None, &line, &Value::Null);
    assert_eq!(answer.body["server_keys"], json!([published]));
    scene.goes_on();
}

#[test]
fn as_a_notary_we_give_the_keys_that_a_server_lists_no_more() {
    let scene = HostileScene::new("11");
    let peer = Peer::new(&scene.simulation, "rotating.test:8448", 58);
    let (now, hour) = (scene.simulation.now(), 3_600_000);
    let publishes = |key: (&'static str, u8), until: u64| {
        let publishing = peer.clone();
        peer.on("server", move |_| ok(&published_then(&publishing, key, until)));
    };
    let given = |keys: Value| -> Vec<String> {
        let vouched = vouched(&scene, &json!({ peer.name(): keys }));
        let listed =
            |answer: &Value| answer["verify_keys"].as_object().unwrap().keys().next().cloned();
        vouched.iter().filter_map(listed).collect()
    };
    publishes(("ed25519:a", 1), now + hour);
    assert_eq!(given(json!({})), ["ed25519:a"]);
    scene.wait(2 * 3600);
    publishes(("ed25519:b", 2), now + 3 * hour);
    assert_eq!(given(json!({})), ["ed25519:b", "ed25519:a"]);
    assert_eq!(given(json!({ "ed25519:b": {} })), ["ed25519:b"]);
    let then = json!({ "ed25519:a": { "minimum_valid_until_ts": now } });
    assert_eq!(given(then), ["ed25519:b", "ed25519:a"]);
    scene.wait(2 * 3600);
    publishes(("ed25519:b", 2), now + 9 * hour);
    assert_eq!(given(json!({})), ["ed25519:b", "ed25519:a"], "what is listed again is given once");
    for number in 0..12_u64 {
        scene.wait(9 * 3600);
        let key_id: &'static str = format!("ed25519:n{number}").leak();
        publishes((key_id, 3), scene.simulation.now() + hour);
        given(json!({}));
    }
    assert_eq!(given(json!({})).len(), 9, "not every key is kept for ever");
    scene.goes_on();
}

#[test]
fn as_a_notary_we_fetch_what_does_not_hold_long_enough() {
    let scene = HostileScene::new("11");
    let peer = Peer::new(&scene.simulation, "asked.test:8448", 56);
    let (now, hour) = (scene.simulation.now(), 3_600_000);
    let (publishing, count) = (peer.clone(), Cell::new(0));
    peer.on("server", move |_| {
        count.set(count.get() + 1);
        ok(&serde_json::to_value(publishing.published(now + count.get() * hour)).unwrap())
    });
    let until = |names: Value| {
        vouched(&scene, &json!({ peer.name(): names }))[0]["valid_until_ts"].as_u64().unwrap()
    };
    let at_least = |time: u64| json!({ "ed25519:k": { "minimum_valid_until_ts": time } });
    assert_eq!(until(json!({})), now + hour);
    assert_eq!(until(json!({ "ed25519:k": {} })), now + hour, "what holds now is not asked for");
    assert_eq!(until(at_least(now - hour)), now + hour);
    assert_eq!(until(at_least(now + hour + 1)), now + 2 * hour, "longer than what was held");
    let path = format!("/_matrix/key/v2/query/{}", peer.name());
    let later = format!("{path}?minimum_valid_until_ts={}", now + 2 * hour + 1);
    let answer = scene.call(None, &format!("GET {later}"), &Value::Null);
    assert_eq!(answer.body["server_keys"][0]["valid_until_ts"], json!(now + 3 * hour));
    assert_eq!(peer.times_asked("server"), 3);
    scene.wait(2 * 3600 + 1800);
    assert_eq!(until(json!({})), now + 3 * hour, "the default is now");
    scene.wait(3600);
    assert_eq!(until(json!({})), now + 4 * hour, "the default is now");
    for names in [json!({ "ed25519:k": { "minimum_valid_until_ts": "x" } }), json!(5)] {
        let body = json!({ "server_keys": { peer.name(): names } });
        let answer = scene.call(None, "POST /_matrix/key/v2/query", &body);
        assert_eq!(answer.status, 400, "KEY5 {body}: {answer:?}");
    }
    let answer = scene.call(None, &format!("GET {path}?minimum_valid_until_ts=x"), &Value::Null);
    assert_eq!(answer.status, 400, "{answer:?}");
    scene.goes_on();
}
