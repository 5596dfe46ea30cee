//! Do users find each other's keys, and get messages, whatever other servers and their own clients send?

mod copies;

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo_support::{Peer, Reply, encode, ok, refusal};

use crate::flows::tests::{Guest, OURS};

const QUERY: &str = "POST /_matrix/client/v3/keys/query";
const CLAIM: &str = "POST /_matrix/client/v3/keys/claim";

fn token(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

/// The keys of a device of the guest.
fn device(guest: &Guest, id: &str) -> Value {
    json!({ "user_id": guest.user, "device_id": id, "keys": {}, "algorithms": [], "signatures": {} })
}

/// What alice is told of the guest's devices.
fn query(guest: &Guest) -> Value {
    let wanted = json!({ "device_keys": { &guest.user: [] } });
    let found = guest.scene.call(Some(&guest.alice), QUERY, &wanted).ok();
    found["device_keys"][&guest.user].clone()
}

/// Whose devices changed, as alice is told it.
fn changed(guest: &Guest, since: &mut String) -> Value {
    let sync = guest.scene.sync(&guest.alice, &format!("since={since}"));
    *since = token(&sync);
    sync["device_lists"]["changed"].clone()
}

/// The guest's server sends EDUs.
fn tell(guest: &Guest, edus: &[Value]) {
    let txn_id = guest.scene.number();
    let line = format!("PUT /_matrix/federation/v1/send/{txn_id}");
    let body =
        json!({ "origin": guest.peer.name(), "origin_server_ts": 1, "pdus": [], "edus": edus });
    guest.scene.signed(&guest.peer, &line, Some(&body)).ok();
}

fn send(guest: &Guest, kind: &str, to: &str, content: &str) -> tombolo_support::Answer {
    let txn_id = guest.scene.number();
    let line = format!("PUT /_matrix/client/v3/sendToDevice/{kind}/{txn_id}");
    let body = format!(r#"{{ "messages": {{ "{to}": {{ "*": {content} }} }} }}"#);
    guest.scene.send(Some(&guest.alice), &line, body)
}

#[test]
fn a_message_that_some_server_cannot_read_is_not_sent() {
    let guest = Guest::new();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    for content in ["[]", "5", r#"{"a":1e400}"#, &deep] {
        send(&guest, "m.test", &guest.user, content).refused(400, "M_BAD_JSON");
    }
    send(&guest, &"x".repeat(256), &guest.user, "{}").refused(413, "M_TOO_LARGE");
    send(&guest, "m.test", &guest.user, r#"{"a":1.5}"#).ok();
}

#[test]
fn what_a_server_does_not_take_holds_up_nothing_else() {
    let guest = Guest::new();
    let taken = Rc::new(RefCell::new(Vec::new()));
    let takes = taken.clone();
    guest.peer.on("send", move |asked| {
        let edus = asked.body["edus"].as_array().unwrap();
        let kinds = edus.iter().map(|edu| edu["content"]["type"].as_str().unwrap().to_owned());
        let kinds: Vec<String> = kinds.collect();
        if kinds.iter().any(|kind| kind == "m.bad") {
            return refusal(400, "M_BAD_JSON");
        }
        takes.borrow_mut().extend(kinds);
        ok(&json!({ "pdus": {} }))
    });
    for kind in ["m.one", "m.bad", "m.two"] {
        send(&guest, kind, &guest.user, "{}").ok();
    }
    guest.scene.simulation.settle(600_000);
    assert_eq!(*taken.borrow(), ["m.one", "m.two"]);
    // It is not tried for ever.
    guest.peer.forget_asked();
    guest.scene.simulation.settle(86_400_000);
    assert_eq!(guest.peer.times_asked("send"), 0);
}

#[test]
fn what_a_server_says_wrongly_of_a_device_spoils_no_other() {
    let guest = Guest::new();
    let good = device(&guest, "GOOD");
    let other = json!({ "user_id": "@other:peer.test:8448", "device_id": "OTHER" });
    let odd = format!(r#"{{"user_id":"{}","device_id":"ODD","a":1e400}}"#, guest.user);
    let (user, first) = (guest.user.clone(), good.clone());
    guest.peer.on("user", move |asked| {
        let listed = |id: &str, keys: &str| {
            format!(r#"{{"device_id":"{id}","device_display_name":"n","keys":{keys}}}"#)
        };
        let devices = [
            listed("ODD", &odd),
            listed("OTHER", &other.to_string()),
            listed("LIST", "[]"),
            "null".to_owned(),
            listed("GOOD", &first.to_string()),
        ];
        let body = if asked.arguments[0] == "devices" {
            format!(r#"{{"user_id":"{user}","stream_id":1,"devices":[{}],"master_key":[1]}}"#, devices.join(","))
        } else {
            format!(r#"{{"device_keys":{{"{user}":{{"ODD":{odd},"GOOD":{first},"LIST":null}},"@x":5}},"master_keys":null}}"#)
        };
        Reply { status: 200, body: Bytes::from(body) }
    });
    let mut named = good.clone();
    named["unsigned"] = json!({ "device_display_name": "n" });
    assert_eq!(query(&guest), json!({ "GOOD": named }));
    // Somebody with whom nobody shares a room is asked for in another way.
    let leave = json!({ "user_id": guest.user });
    guest.scene.act(&guest.alice, &guest.room, "kick", &leave).ok();
    guest.scene.pass(10_000);
    assert_eq!(query(&guest), json!({ "GOOD": good }));
}

#[test]
fn a_claim_gives_what_was_asked_for_and_can_be_read() {
    let guest = Guest::new();
    let user = guest.user.clone();
    guest.peer.on("user", move |_| {
        let body = format!(
            r#"{{"one_time_keys":{{"{user}":{{
                "A":{{"signed_curve25519:1":{{"key":"a"}},"other:2":{{"key":"b"}}}},
                "B":{{"signed_curve25519:1":{{"key":1e400}}}},
                "C":null, "D":{{"signed_curve25519:1":{{"key":"d"}}}}
            }}, "@x:y":5}}}}"#
        );
        Reply { status: 200, body: Bytes::from(body) }
    });
    let of = "signed_curve25519";
    let wanted = json!({ "one_time_keys": { &guest.user: { "A": of, "B": of, "C": of } } });
    let claimed = guest.scene.call(Some(&guest.alice), CLAIM, &wanted).ok();
    let expected = json!({ &guest.user: { "A": { "signed_curve25519:1": { "key": "a" } } } });
    assert_eq!(claimed["one_time_keys"], expected);
}

#[test]
fn a_change_that_cannot_be_read_has_the_list_asked_for_again() {
    let guest = Guest::new();
    let keys = device(&guest, "PHONE");
    let (user, listed) = (guest.user.clone(), keys.clone());
    guest.peer.on("user", move |_| {
        let devices = json!([{ "device_id": "PHONE", "keys": listed }]);
        ok(&json!({ "user_id": user, "stream_id": 1, "devices": devices }))
    });
    let mut since = token(&guest.scene.sync(&guest.alice, ""));
    let update = |content: Value| {
        let mut content = content;
        content["user_id"] = json!(guest.user);
        json!({ "edu_type": "m.device_list_update", "content": content })
    };
    let odd = [
        update(json!({ "device_id": "X", "stream_id": "x" })),
        update(json!({ "device_id": "X", "stream_id": 9_007_199_254_740_992_u64, "prev_id": [1] })),
        update(json!({ "stream_id": 2, "prev_id": [1] })),
        // The keys are somebody else's.
        update(json!({ "device_id": "X", "stream_id": 2, "prev_id": [1], "keys": keys })),
    ];
    for edu in odd {
        assert_eq!(query(&guest), json!({ "PHONE": keys }));
        guest.peer.forget_asked();
        query(&guest);
        assert_eq!(guest.peer.times_asked("user"), 0, "the list is held");
        // It is told once, however often it comes.
        tell(&guest, &[edu.clone(), edu.clone()]);
        assert_eq!(changed(&guest, &mut since), json!([guest.user]), "{edu}");
        tell(&guest, std::slice::from_ref(&edu));
        assert_eq!(changed(&guest, &mut since), Value::Null, "{edu}");
        assert_eq!(query(&guest), json!({ "PHONE": keys }));
        assert_eq!(guest.peer.times_asked("user"), 1, "{edu}");
    }
}

#[test]
fn of_many_names_those_are_answered_that_exist_and_too_many_are_refused() {
    let guest = Guest::new();
    let bob = guest.scene.register("bob");
    let names: Vec<String> = (0..50).map(|n| format!("@nobody{n}:{}", OURS)).collect();
    let everybody = || names.iter().chain([&bob.id]);
    let wanted: serde_json::Map<_, _> = everybody().map(|name| (name.clone(), json!([]))).collect();
    let found = guest.scene.call(Some(&guest.alice), QUERY, &json!({ "device_keys": wanted })).ok();
    assert_eq!(found["device_keys"].as_object().unwrap().len(), 51);
    let messages: serde_json::Map<_, _> =
        everybody().map(|name| (name.clone(), json!({ "*": {} }))).collect();
    let line = "PUT /_matrix/client/v3/sendToDevice/m.test/1";
    guest.scene.call(Some(&guest.alice), line, &json!({ "messages": messages })).ok();
    let sync = guest.scene.sync(&bob, "");
    assert_eq!(sync["to_device"]["events"].as_array().unwrap().len(), 1);
    let many: serde_json::Map<_, _> = (0..5_001).map(|n| (format!("@n{n}:x"), json!([]))).collect();
    let many = json!({ "device_keys": many });
    guest.scene.call(Some(&guest.alice), QUERY, &many).refused(413, "M_TOO_LARGE");
}

#[test]
fn a_server_that_asked_for_a_list_is_told_of_changes_for_a_day_whatever_room_it_is_in() {
    let guest = Guest::new();
    let stranger = Peer::new(&guest.scene.simulation, "stranger.test", 9);
    let upload = |key: u8| {
        let keys = json!({ format!("signed_curve25519:{key}"): { "key": "a", "signatures": {} } });
        let who = guest.scene.get(&guest.alice, "/_matrix/client/v3/account/whoami").ok();
        let device_keys = json!({
            "user_id": guest.alice.id, "device_id": who["device_id"], "keys": { "a:b": key.to_string() },
            "algorithms": [], "signatures": {},
        });
        let body = json!({ "device_keys": device_keys, "one_time_keys": keys });
        let line = "POST /_matrix/client/v3/keys/upload";
        guest.scene.call(Some(&guest.alice), line, &body).ok();
        guest.scene.pass(10_000);
        stranger.times_asked("send")
    };
    assert_eq!(upload(1), 0);
    let line = format!("GET /_matrix/federation/v1/user/devices/{}", encode(&guest.alice.id));
    guest.scene.signed(&stranger, &line, None).ok();
    assert_eq!(upload(2), 1);
    guest.scene.pass(86_400_000);
    assert_eq!(upload(3), 1);
}

#[test]
fn who_gives_up_on_a_list_is_in_nobodys_way() {
    let guest = Guest::new();
    let keys = device(&guest, "PHONE");
    let (user, listed) = (guest.user.clone(), keys.clone());
    guest.peer.on("user", move |_| {
        let devices = json!([{ "device_id": "PHONE", "keys": listed }]);
        ok(&json!({ "user_id": user, "stream_id": 1, "devices": devices }))
    });
    let hasty = json!({ "device_keys": { &guest.user: [] }, "timeout": 1 });
    let found = guest.scene.call(Some(&guest.alice), QUERY, &hasty).ok();
    assert_eq!(found["failures"].as_object().unwrap().len(), 1, "{found}");
    let patient = json!({ "device_keys": { &guest.user: [] }, "timeout": 1000 });
    let found = guest.scene.call(Some(&guest.alice), QUERY, &patient).ok();
    assert_eq!(found["device_keys"][&guest.user], json!({ "PHONE": keys }));
}
