//! How do clients publish keys, find those of others, and claim them?

use serde_json::{Value, json};
use tombolo_protocol::{canonical_json, json::parse_object, signing::SigningKey};
use tombolo_support::{PASSWORD, Scene, User};

use super::one_server;

const UPLOAD: &str = "POST /_matrix/client/v3/keys/upload";
const QUERY: &str = "POST /_matrix/client/v3/keys/query";
const CLAIM: &str = "POST /_matrix/client/v3/keys/claim";
const CROSS_SIGN: &str = "POST /_matrix/client/v3/keys/device_signing/upload";
const SIGN: &str = "POST /_matrix/client/v3/keys/signatures/upload";

/// A key that signs, by its seed.
fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("ed25519:x", [seed; 32]).unwrap()
}

/// The public half of the key of a seed.
fn public(seed: u8) -> String {
    key(seed).public_key_base64()
}

/// Signs an object by the key of a seed, under a key ID.
fn signed(mut object: Value, user: &User, (key_id, seed): (&str, u8)) -> Value {
    let mut body = object.clone();
    let fields = body.as_object_mut().unwrap();
    fields.remove("signatures");
    fields.remove("unsigned");
    let body = parse_object(body.to_string().as_bytes()).unwrap();
    let text = canonical_json::to_string(&body);
    let signature = key(seed).sign(text.as_bytes());
    object["signatures"][&user.id][key_id] = json!(signature);
    object
}

/// The keys of a user's device, signed by itself.
fn device(user: &User, id: &str, seed: u8) -> Value {
    let name = format!("ed25519:{id}");
    let keys = json!({
        "user_id": user.id,
        "device_id": id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { &name: public(seed), format!("curve25519:{id}"): public(seed) },
        "signatures": {},
    });
    signed(keys, user, (&name, seed))
}

/// A cross-signing key.
fn cross_signing(user: &User, usage: &str, seed: u8) -> Value {
    let name = format!("ed25519:{}", public(seed));
    json!({ "user_id": user.id, "usage": [usage], "keys": { name: public(seed) } })
}

/// Three cross-signing keys, of which the first vouches for the others.
fn three_keys(user: &User, seed: u8) -> Value {
    let master = (&*format!("ed25519:{}", public(seed)), seed);
    json!({
        "master_key": cross_signing(user, "master", seed),
        "self_signing_key": signed(cross_signing(user, "self_signing", seed + 1), user, master),
        "user_signing_key": signed(cross_signing(user, "user_signing", seed + 2), user, master),
    })
}

fn device_id(scene: &Scene, user: &User) -> String {
    let who = scene.get(user, "/_matrix/client/v3/account/whoami").ok();
    who["device_id"].as_str().unwrap().to_owned()
}

/// Publishes the keys of the user's device, and cross-signing keys from seed 10 on; answers the device.
fn published(scene: &Scene, user: &User) -> (String, Value) {
    let id = device_id(scene, user);
    let keys = device(user, &id, 1);
    scene.call(Some(user), UPLOAD, &json!({ "device_keys": keys })).ok();
    scene.call(Some(user), CROSS_SIGN, &three_keys(user, 10)).ok();
    (id, keys)
}

fn query(scene: &Scene, asker: &User, user: &User) -> Value {
    scene.call(Some(asker), QUERY, &json!({ "device_keys": { &user.id: [] } })).ok()
}

fn claim(scene: &Scene, user: &User, device: &str) -> Value {
    let wanted = json!({ "one_time_keys": { &user.id: { device: "signed_curve25519" } } });
    let claimed = scene.call(Some(user), CLAIM, &wanted).ok();
    claimed["one_time_keys"][&user.id][device].clone()
}

#[test]
fn keys_are_found_as_they_were_uploaded() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let id = device_id(&scene, &alice);
    let keys = device(&alice, &id, 1);
    let counts = scene.call(Some(&alice), UPLOAD, &json!({ "device_keys": keys })).ok();
    assert_eq!(counts, json!({ "one_time_key_counts": { "signed_curve25519": 0 } }));
    let found = query(&scene, &bob, &alice);
    assert_eq!(found["device_keys"][&alice.id], json!({ &id: keys }));
    let named = json!({ "display_name": "Phone" });
    scene.call(Some(&alice), &format!("PUT /_matrix/client/v3/devices/{id}"), &named).ok();
    let found = query(&scene, &bob, &alice);
    let unsigned = json!({ "device_display_name": "Phone" });
    assert_eq!(found["device_keys"][&alice.id][&id]["unsigned"], unsigned);
    let nobody = json!({ "device_keys": { "@nobody:example.org": [] } });
    let found = scene.call(Some(&bob), QUERY, &nobody).ok();
    assert_eq!(found["device_keys"], json!({ "@nobody:example.org": {} }));
}

#[test]
fn keys_of_another_device_or_without_form_are_refused() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let id = device_id(&scene, &alice);
    let upload = |keys: Value| scene.call(Some(&alice), UPLOAD, &json!({ "device_keys": keys }));
    upload(device(&alice, "OTHER", 1)).refused(400, "M_INVALID_PARAM");
    upload(device(&bob, &id, 1)).refused(400, "M_INVALID_PARAM");
    upload(json!({ "user_id": alice.id, "device_id": id })).refused(400, "M_BAD_JSON");
    for keys in [
        json!([]),
        json!({ "no_algorithm": "x" }),
        json!({ "a:b": 5 }),
        json!({ "signed_curve25519:a": "text" }),
        json!({ "signed_curve25519:a": { "key": "unsigned" } }),
    ] {
        let body = json!({ "one_time_keys": keys });
        let answer = scene.call(Some(&alice), UPLOAD, &body);
        assert_eq!((answer.status, &answer.body["errcode"]), (400, &json!("M_BAD_JSON")), "{body}");
    }
}

#[test]
fn a_one_time_key_is_given_once_the_oldest_first_and_then_the_fallback() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = device_id(&scene, &alice);
    let one = |name: &str| json!({ name: { "key": name, "signatures": {} } });
    for name in ["signed_curve25519:z", "signed_curve25519:a"] {
        scene.call(Some(&alice), UPLOAD, &json!({ "one_time_keys": one(name) })).ok();
        scene.pass(5);
    }
    let fallback =
        json!({ "signed_curve25519:f": { "key": "f", "fallback": true, "signatures": {} } });
    scene.call(Some(&alice), UPLOAD, &json!({ "fallback_keys": fallback })).ok();
    let counts = |sync: &Value| {
        let count = sync["device_one_time_keys_count"]["signed_curve25519"].clone();
        (count, sync["device_unused_fallback_key_types"].clone())
    };
    assert_eq!(counts(&scene.sync(&alice, "")), (json!(2), json!(["signed_curve25519"])));
    // The same key may come again, another one of its name may not.
    scene.call(Some(&alice), UPLOAD, &json!({ "one_time_keys": one("signed_curve25519:a") })).ok();
    let other =
        json!({ "one_time_keys": { "signed_curve25519:a": { "key": "other", "signatures": {} } } });
    scene.call(Some(&alice), UPLOAD, &other).refused(400, "M_INVALID_PARAM");
    assert_eq!(claim(&scene, &alice, &id), one("signed_curve25519:z"));
    assert_eq!(claim(&scene, &alice, &id), one("signed_curve25519:a"));
    scene.pass(10_000);
    assert_eq!(counts(&scene.sync(&alice, "")), (json!(0), json!(["signed_curve25519"])));
    assert_eq!(claim(&scene, &alice, &id), fallback);
    assert_eq!(claim(&scene, &alice, &id), fallback);
    scene.pass(10_000);
    assert_eq!(counts(&scene.sync(&alice, "")), (json!(0), json!([])));
}

#[test]
fn the_keys_of_a_removed_device_are_gone() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let id = device_id(&scene, &alice);
    let keys = json!({ "device_keys": device(&alice, &id, 1), "one_time_keys": { "a:b": "c" } });
    scene.call(Some(&alice), UPLOAD, &keys).ok();
    scene.call(Some(&alice), "POST /_matrix/client/v3/logout", &json!({})).ok();
    assert_eq!(query(&scene, &bob, &alice)["device_keys"][&alice.id], json!({}));
    // A device of the same name begins anew.
    let identifier = json!({ "type": "m.id.user", "user": alice.id });
    let login = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": id });
    let answer = scene.call(None, "POST /_matrix/client/v3/login", &login);
    let alice = User::of(&scene.server, &answer).unwrap();
    assert_eq!(query(&scene, &bob, &alice)["device_keys"][&alice.id], json!({}));
    let counts = scene.call(Some(&alice), UPLOAD, &json!({})).ok();
    assert_eq!(counts["one_time_key_counts"], json!({ "signed_curve25519": 0 }));
    scene.call(Some(&alice), UPLOAD, &json!({ "device_keys": device(&alice, &id, 2) })).ok();
    assert_eq!(query(&scene, &bob, &alice)["device_keys"][&alice.id][&id], device(&alice, &id, 2));
}

#[test]
fn cross_signing_keys_come_first_without_a_proof_and_then_with_one() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let first = three_keys(&alice, 10);
    scene.call(Some(&alice), CROSS_SIGN, &first).ok();
    // The same keys again replace none.
    scene.call(Some(&alice), CROSS_SIGN, &first).ok();
    let found = query(&scene, &bob, &alice);
    assert_eq!(found["master_keys"][&alice.id], first["master_key"]);
    assert_eq!(found["self_signing_keys"][&alice.id], first["self_signing_key"]);
    assert_eq!(found["user_signing_keys"], json!({}));
    let own = query(&scene, &alice, &alice);
    assert_eq!(own["user_signing_keys"][&alice.id], first["user_signing_key"]);
    let mut second = three_keys(&alice, 20);
    let asked = scene.call(Some(&alice), CROSS_SIGN, &second);
    assert_eq!(asked.status, 401, "{}", asked.body);
    assert_eq!(query(&scene, &bob, &alice)["master_keys"][&alice.id], first["master_key"]);
    let identifier = json!({ "type": "m.id.user", "user": alice.id });
    second["auth"] = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "session": asked.body["session"] });
    scene.call(Some(&alice), CROSS_SIGN, &second).ok();
    assert_eq!(query(&scene, &bob, &alice)["master_keys"][&alice.id], second["master_key"]);
}

#[test]
fn cross_signing_keys_that_nobody_vouches_for_are_refused() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let all = three_keys(&alice, 10);
    let upload = |keys: Value| scene.call(Some(&alice), CROSS_SIGN, &keys);
    let alone = json!({ "self_signing_key": all["self_signing_key"] });
    upload(alone).refused(400, "M_MISSING_PARAM");
    let mut other = all.clone();
    other["self_signing_key"] = cross_signing(&alice, "self_signing", 11);
    upload(other).refused(400, "M_INVALID_SIGNATURE");
    upload(three_keys(&bob, 10)).refused(400, "M_INVALID_PARAM");
    let usage = json!({ "master_key": cross_signing(&alice, "self_signing", 10) });
    upload(usage).refused(400, "M_INVALID_PARAM");
    assert_eq!(query(&scene, &alice, &alice)["master_keys"], json!({}));
}

#[test]
fn signatures_are_shown_to_those_who_may_see_them() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (id, keys) = published(&scene, &alice);
    scene.call(Some(&bob), CROSS_SIGN, &three_keys(&bob, 20)).ok();
    let (self_signing, user_signing) =
        (format!("ed25519:{}", public(11)), format!("ed25519:{}", public(12)));
    let by_self = signed(keys, &alice, (&self_signing, 11));
    let master = query(&scene, &bob, &alice)["master_keys"][&alice.id].clone();
    let by_device = signed(master, &alice, (&format!("ed25519:{id}"), 1));
    let of_bob = query(&scene, &alice, &bob)["master_keys"][&bob.id].clone();
    let by_user = signed(of_bob, &alice, (&user_signing, 12));
    let body = json!({
        &alice.id: { &id: by_self, public(10): by_device },
        &bob.id: { public(20): by_user },
    });
    assert_eq!(scene.call(Some(&alice), SIGN, &body).ok(), json!({ "failures": {} }));
    let seen = query(&scene, &bob, &alice);
    assert_eq!(seen["device_keys"][&alice.id][&id], by_self);
    assert_eq!(seen["master_keys"][&alice.id], by_device);
    // Whom somebody signed is theirs to know.
    assert_eq!(query(&scene, &alice, &bob)["master_keys"][&bob.id], by_user);
    assert_eq!(query(&scene, &bob, &bob)["master_keys"][&bob.id].get("signatures"), None);
}

#[test]
fn a_signature_that_is_wrong_or_of_something_else_is_not_taken() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (id, keys) = published(&scene, &alice);
    let self_signing = format!("ed25519:{}", public(11));
    let wrong = signed(keys.clone(), &alice, (&self_signing, 99));
    let mut changed = keys.clone();
    changed["keys"][format!("ed25519:{id}")] = json!(public(5));
    let changed = signed(changed, &alice, (&self_signing, 11));
    let unknown = signed(device(&alice, "NONE", 3), &alice, (&self_signing, 11));
    for (user, target, object, errcode) in [
        (&alice, &*id, &wrong, "M_INVALID_SIGNATURE"),
        (&alice, &*id, &keys, "M_INVALID_SIGNATURE"),
        (&alice, &*id, &changed, "M_INVALID_PARAM"),
        (&alice, "NONE", &unknown, "M_NOT_FOUND"),
        (&bob, &*id, &wrong, "M_NOT_FOUND"),
    ] {
        let body = json!({ &user.id: { target: object } });
        let failures = scene.call(Some(&alice), SIGN, &body).ok()["failures"].clone();
        assert_eq!(failures[&user.id][target]["errcode"], errcode, "{body}");
    }
    assert_eq!(query(&scene, &bob, &alice)["device_keys"][&alice.id][&id], keys);
}

#[test]
fn a_key_that_was_claimed_does_not_come_again() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = device_id(&scene, &alice);
    let keys = json!({ "signed_curve25519:a": { "key": "a", "signatures": {} } });
    let upload = json!({ "one_time_keys": keys });
    scene.call(Some(&alice), UPLOAD, &upload).ok();
    assert_eq!(claim(&scene, &alice, &id), keys);
    // The answer to the upload was lost, and the client repeats it.
    let counts = scene.call(Some(&alice), UPLOAD, &upload).ok();
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 0);
    assert_eq!(claim(&scene, &alice, &id), Value::Null);
}

#[test]
fn one_fallback_key_of_an_algorithm_comes_at_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let key = json!({ "key": "f", "fallback": true, "signatures": {} });
    let keys = json!({ "signed_curve25519:f": key, "signed_curve25519:g": key });
    let upload = json!({ "fallback_keys": keys });
    scene.call(Some(&alice), UPLOAD, &upload).refused(400, "M_INVALID_PARAM");
}

#[test]
fn no_device_has_the_name_of_a_key() {
    let scene = one_server();
    let alice = scene.register("alice");
    let login = |device: &str| {
        let identifier = json!({ "type": "m.id.user", "user": alice.id });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": device });
        let answer = scene.call(None, "POST /_matrix/client/v3/login", &body);
        User::of(&scene.server, &answer).unwrap()
    };
    // A device without keys has the name already.
    login(&public(20));
    scene.call(Some(&alice), CROSS_SIGN, &three_keys(&alice, 20)).refused(403, "M_FORBIDDEN");
    scene.call(Some(&alice), CROSS_SIGN, &three_keys(&alice, 10)).ok();
    let named = login(&public(11));
    let keys = json!({ "device_keys": device(&named, &public(11), 1) });
    scene.call(Some(&named), UPLOAD, &keys).refused(403, "M_FORBIDDEN");
}

#[test]
fn what_nobody_checked_is_not_shown_as_a_signature() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let first = three_keys(&alice, 10);
    scene.call(Some(&alice), CROSS_SIGN, &first).ok();
    let mut again = json!({ "master_key": first["master_key"] });
    again["master_key"]["signatures"] = json!({ &alice.id: { "ed25519:X": "garbage" } });
    scene.call(Some(&alice), CROSS_SIGN, &again).ok();
    assert_eq!(query(&scene, &bob, &alice)["master_keys"][&alice.id], first["master_key"]);
    let id = device_id(&scene, &alice);
    let keys = device(&alice, &id, 1);
    let mut signed_by_others = keys.clone();
    signed_by_others["signatures"][&bob.id] = json!({ "ed25519:Y": "garbage" });
    scene.call(Some(&alice), UPLOAD, &json!({ "device_keys": signed_by_others })).ok();
    assert_eq!(query(&scene, &bob, &alice)["device_keys"][&alice.id][&id], keys);
}

#[test]
fn each_new_signature_counts_and_a_wrong_one_is_said() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let (id, _) = published(&scene, &alice);
    let identifier = json!({ "type": "m.id.user", "user": alice.id });
    let login = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": "TABLET" });
    let answer = scene.call(None, "POST /_matrix/client/v3/login", &login);
    let tablet = User::of(&scene.server, &answer).unwrap();
    let keys = json!({ "device_keys": device(&tablet, "TABLET", 2) });
    scene.call(Some(&tablet), UPLOAD, &keys).ok();
    let master = query(&scene, &bob, &alice)["master_keys"][&alice.id].clone();
    let once = signed(master.clone(), &alice, (&format!("ed25519:{id}"), 1));
    let twice = signed(once.clone(), &alice, ("ed25519:TABLET", 2));
    let sign = |object: &Value| {
        let body = json!({ &alice.id: { public(10): object } });
        scene.call(Some(&alice), SIGN, &body).ok()["failures"].clone()
    };
    let half = signed(once, &alice, ("ed25519:TABLET", 99));
    assert_eq!(sign(&half)[&alice.id][public(10)]["errcode"], "M_INVALID_SIGNATURE");
    assert_eq!(sign(&twice), json!({}));
    assert_eq!(query(&scene, &bob, &alice)["master_keys"][&alice.id], twice);
    // The signature of a device that is gone goes with it.
    scene.call(Some(&tablet), "POST /_matrix/client/v3/logout", &json!({})).ok();
    let left = query(&scene, &bob, &alice)["master_keys"][&alice.id].clone();
    assert_eq!(left["signatures"][&alice.id].as_object().unwrap().len(), 1);
}
