//! Do keys, changes of devices and messages to devices reach the other server, whatever happens between the two?

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Pair, User};

use crate::servers::two_servers;

const UPLOAD: &str = "POST /_matrix/client/v3/keys/upload";
const QUERY: &str = "POST /_matrix/client/v3/keys/query";
const CLAIM: &str = "POST /_matrix/client/v3/keys/claim";

/// The keys of a device. Nobody checks what the device signs itself.
fn device(user: &User, id: &str, key: &str) -> Value {
    json!({
        "user_id": user.id, "device_id": id, "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": { format!("curve25519:{id}"): key }, "signatures": {},
    })
}

fn device_id(pair: &Pair, user: &User) -> String {
    let who = pair.scene.get(user, "/_matrix/client/v3/account/whoami").ok();
    who["device_id"].as_str().unwrap().to_owned()
}

/// The user on another device.
fn on(pair: &Pair, user: &User, id: &str) -> User {
    let identifier = json!({ "type": "m.id.user", "user": user.id });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": id });
    let stranger = User { token: String::new(), ..user.clone() };
    let answer = pair.scene.call(Some(&stranger), "POST /_matrix/client/v3/login", &body);
    User::of(&user.server, &answer).unwrap()
}

fn upload(pair: &Pair, user: &User, key: &str) -> Value {
    let keys = device(user, &device_id(pair, user), key);
    pair.scene.call(Some(user), UPLOAD, &json!({ "device_keys": keys })).ok();
    keys
}

/// What `asker` is told of the devices of a user, and which servers failed.
fn query(pair: &Pair, asker: &User, user: &User) -> (Value, Value) {
    let body = json!({ "device_keys": { &user.id: [] } });
    let found = pair.scene.call(Some(asker), QUERY, &body).ok();
    (found["device_keys"][&user.id].clone(), found["failures"].clone())
}

fn token(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

/// Syncs until somebody's devices changed, or somebody is left.
fn device_lists(pair: &Pair, user: &User, since: &mut String) -> (Value, Value) {
    let sync = pair.scene.sync(user, &format!("since={since}&timeout=30000"));
    *since = token(&sync);
    (sync["device_lists"]["changed"].clone(), sync["device_lists"]["left"].clone())
}

#[test]
fn keys_of_the_other_server_are_asked_for_and_then_held() {
    let pair = two_servers();
    let first = upload(&pair, &pair.bob, "1");
    let id = device_id(&pair, &pair.bob);
    // They share no room: the other server is asked each time.
    assert_eq!(query(&pair, &pair.alice, &pair.bob).0, json!({ &id: first }));
    pair.cut(60_000);
    let (devices, failures) = query(&pair, &pair.alice, &pair.bob);
    assert_eq!(devices, Value::Null);
    assert_eq!(failures.as_object().unwrap().len(), 1);
    pair.scene.simulation.heal();
    pair.meet(json!({}));
    pair.scene.pass(10_000);
    assert_eq!(query(&pair, &pair.alice, &pair.bob).0, json!({ &id: first }));
    pair.cut(60_000);
    assert_eq!(query(&pair, &pair.alice, &pair.bob), (json!({ &id: first }), json!({})));
}

#[test]
fn a_change_of_a_device_is_told_through_an_outage() {
    let pair = two_servers();
    upload(&pair, &pair.bob, "1");
    pair.meet(json!({}));
    pair.scene.pass(10_000);
    query(&pair, &pair.alice, &pair.bob);
    let mut since = token(&pair.scene.sync(&pair.alice, ""));
    pair.cut(120_000);
    let tablet = on(&pair, &pair.bob, "TABLET");
    let second = upload(&pair, &tablet, "2");
    pair.scene.pass(600_000);
    assert_eq!(device_lists(&pair, &pair.alice, &mut since).0, json!([pair.bob.id]));
    let (devices, failures) = query(&pair, &pair.alice, &pair.bob);
    assert_eq!((&devices["TABLET"], failures), (&second, json!({})));
    // A device that is removed is told of as well.
    pair.scene.call(Some(&tablet), "POST /_matrix/client/v3/logout", &json!({})).ok();
    pair.scene.pass(10_000);
    assert_eq!(device_lists(&pair, &pair.alice, &mut since).0, json!([pair.bob.id]));
    let (devices, _) = query(&pair, &pair.alice, &pair.bob);
    assert_eq!(devices.get("TABLET"), None);
}

#[test]
fn the_keys_of_whom_we_left_are_asked_for_anew() {
    let pair = two_servers();
    upload(&pair, &pair.bob, "1");
    let room = pair.meet(json!({}));
    pair.scene.pass(10_000);
    query(&pair, &pair.alice, &pair.bob);
    let mut since = token(&pair.scene.sync(&pair.alice, ""));
    pair.scene.act(&pair.bob, &room, "leave", &json!({})).ok();
    pair.scene.pass(10_000);
    assert_eq!(device_lists(&pair, &pair.alice, &mut since).1, json!([pair.bob.id]));
    let changed = upload(&pair, &pair.bob, "2");
    let id = device_id(&pair, &pair.bob);
    pair.scene.pass(10_000);
    assert_eq!(query(&pair, &pair.alice, &pair.bob).0, json!({ &id: changed }));
    // Nor is what was held before good again when they meet again.
    let third = upload(&pair, &pair.bob, "3");
    pair.through(&pair.bob, "join", &room).ok();
    pair.scene.pass(10_000);
    assert_eq!(query(&pair, &pair.alice, &pair.bob).0, json!({ &id: third }));
}

#[test]
fn one_time_keys_of_the_other_server_are_claimed_once() {
    let pair = two_servers();
    let id = device_id(&pair, &pair.bob);
    let key = |n: u8| json!({ "key": n.to_string(), "signatures": {} });
    let keys: Value = (0..3)
        .map(|n| (format!("signed_curve25519:{n}"), key(n)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    pair.scene.call(Some(&pair.bob), UPLOAD, &json!({ "one_time_keys": keys })).ok();
    let wanted = json!({ "one_time_keys": { &pair.bob.id: { &id: "signed_curve25519" } } });
    let mut claimed = serde_json::Map::new();
    for _ in 0..4 {
        let answer = pair.scene.call(Some(&pair.alice), CLAIM, &wanted).ok();
        let key = answer["one_time_keys"][&pair.bob.id][&id].as_object().cloned();
        claimed.extend(key.unwrap_or_default());
    }
    assert_eq!(Value::Object(claimed), keys);
}

#[test]
fn a_message_reaches_a_device_of_the_other_server_once_through_an_outage() {
    let pair = two_servers();
    let since = token(&pair.scene.sync(&pair.bob, ""));
    let send = |txn: &str, n: u64| {
        let line = format!("PUT /_matrix/client/v3/sendToDevice/m.test/{txn}");
        let body = json!({ "messages": { &pair.bob.id: { "*": { "n": n } } } });
        pair.scene.call(Some(&pair.alice), &line, &body).ok();
    };
    send("a", 1);
    pair.scene.pass(10_000);
    pair.cut(120_000);
    for (txn, n) in [("b", 2), ("c", 3), ("c", 3), ("a", 1)] {
        send(txn, n);
    }
    // What is owed is not only in memory.
    pair.scene.server.crash();
    pair.scene.pass(600_000);
    let sync = pair.scene.sync(&pair.bob, &format!("since={since}"));
    let got: Vec<&Value> = sync["to_device"]["events"].as_array().unwrap().iter().collect();
    let numbers: Vec<&Value> = got.iter().map(|event| &event["content"]["n"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2), &json!(3)]);
    assert!(got.iter().all(|event| event["sender"] == pair.alice.id));
}

#[test]
fn a_server_speaks_only_for_the_devices_of_its_own_users() {
    let pair = two_servers();
    let room = pair.meet(json!({}));
    pair.scene.pass(10_000);
    let mut since = token(&pair.scene.sync(&pair.alice, ""));
    let signer = pair.signer();
    let (alice, bob) = (&pair.alice.id, &pair.bob.id);
    let to_device = |sender: &str| {
        json!({ "edu_type": "m.direct_to_device", "content": {
            "sender": sender, "type": "m.test", "message_id": "1", "messages": { alice: { "*": {} } } } })
    };
    let edus = json!([
        to_device(alice), to_device("@nobody:elsewhere"), to_device("junk"), 5, null, [], {},
        { "edu_type": "m.direct_to_device", "content": { "sender": bob, "type": "m.test", "message_id": "2", "messages": [] } },
        { "edu_type": "m.direct_to_device", "content": { "sender": bob, "type": "m.test", "message_id": "2", "messages": { alice: { "*": "text" } } } },
        { "edu_type": "m.device_list_update", "content": { "user_id": alice, "device_id": "X", "stream_id": 1, "prev_id": [] } },
        { "edu_type": "m.device_list_update", "content": { "device_id": "X", "stream_id": 1 } },
        { "edu_type": "m.signing_key_update", "content": { "user_id": alice, "master_key": {} } },
    ]);
    let body = json!({ "origin": signer.name(), "origin_server_ts": 1, "pdus": [], "edus": edus });
    let line = "PUT /_matrix/federation/v1/send/junk";
    pair.scene.signed(&signer, line, Some(&body)).ok();
    pair.scene.say(&pair.alice, &room, "done");
    let sync = pair.scene.sync(&pair.alice, &format!("since={since}"));
    assert_eq!((sync.get("to_device"), sync.get("device_lists")), (None, None), "{sync}");
    since = token(&sync);
    let good = json!({ "origin": signer.name(), "origin_server_ts": 1, "pdus": [], "edus": [to_device(bob)] });
    for txn in ["1", "2"] {
        let line = format!("PUT /_matrix/federation/v1/send/{txn}");
        pair.scene.signed(&signer, &line, Some(&good)).ok();
    }
    let sync = pair.scene.sync(&pair.alice, &format!("since={since}"));
    assert_eq!(sync["to_device"]["events"].as_array().unwrap().len(), 1);
}

/// How often somebody is told that a user's devices changed, until nothing comes any more.
fn times_told(pair: &Pair, asker: &User, of: &User, mut since: String) -> usize {
    let mut times = 0;
    for _ in 0..5 {
        let (changed, _) = device_lists(pair, asker, &mut since);
        times += usize::from(changed.as_array().is_some_and(|users| users.contains(&json!(of.id))));
    }
    times
}

#[test]
fn who_is_invited_and_joins_is_told_of_once_and_their_introduction_is_no_change() {
    // The telling of the invite comes after its answer, that of the join after the next sync.
    for after_invite in [0, 50, 150, 1_000] {
        let pair = two_servers();
        upload(&pair, &pair.bob, "1");
        let room = pair.scene.room(&pair.alice, &json!({ "invite": [pair.bob.id] }));
        let since = token(&pair.scene.sync(&pair.alice, ""));
        pair.scene.pass(after_invite);
        pair.through(&pair.bob, "join", &room).ok();
        let sync = pair.scene.sync(&pair.alice, &format!("since={since}"));
        let first = sync["device_lists"]["changed"].as_array().map_or(0, Vec::len);
        query(&pair, &pair.alice, &pair.bob);
        let more = times_told(&pair, &pair.alice, &pair.bob, token(&sync));
        assert_eq!(first + more, 1, "{after_invite} ms after the invite: {first} and {more}");
    }
}
