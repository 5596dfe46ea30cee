//! Which keys are believed, and until when?

use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use super::{KeyRing, KeysFault, MAX_VALIDITY, ServerKeys, VerifyKey, publish};
use crate::{
    canonical_json::CanonicalJsonObject,
    scene::object,
    signing::{SignatureFault, SigningKey, encode},
};

const NOW: i64 = 1_000_000_000;

fn name(text: &str) -> OwnedServerName {
    ServerName::parse(text).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("ed25519:k", [seed; 32]).unwrap()
}

/// An answer of `origin.org`, changed and then signed by its key.
fn answer(change: impl Fn(&mut Value)) -> CanonicalJsonObject {
    let mut value = json!({
        "server_name": "origin.org", "valid_until_ts": NOW + 1000, "old_verify_keys": {},
        "verify_keys": { "ed25519:k": { "key": key(1).public_key_base64() } },
    });
    change(&mut value);
    let mut answer = object(value);
    key(1).sign_json(&mut answer, "origin.org");
    answer
}

#[track_caller]
fn is_refused(answer: &CanonicalJsonObject, fault: KeysFault) {
    assert_eq!(ServerKeys::from_origin(answer, &name("origin.org"), NOW), Err(fault));
}

#[test]
fn a_good_answer_is_believed_until_its_time() {
    let keys = ServerKeys::from_origin(&answer(|_| {}), &name("origin.org"), NOW).unwrap();
    let expected =
        VerifyKey { key: key(1).public_key(), valid_until_ts: NOW + 1000, retired: false };
    assert_eq!(keys.keys["ed25519:k"], expected);
    assert!(keys.covers("ed25519:k", NOW + 1000) && !keys.covers("ed25519:k", NOW + 1001));
    assert!(!keys.covers("ed25519:other", NOW));
}

#[test]
fn no_answer_is_believed_for_more_than_a_week() {
    let far = answer(|value| value["valid_until_ts"] = 253_370_764_800_000_i64.into());
    let keys = ServerKeys::from_origin(&far, &name("origin.org"), NOW).unwrap();
    assert_eq!(keys.keys["ed25519:k"].valid_until_ts, NOW + MAX_VALIDITY);
}

#[test]
fn an_answer_whose_time_is_over_verifies_what_is_older() {
    let over = answer(|value| {
        value["valid_until_ts"] = (NOW - 1).into();
        let old = json!({ "key": key(2).public_key_base64(), "expired_ts": 500 });
        value["old_verify_keys"] = json!({ "ed25519:old": old });
    });
    let keys = ServerKeys::from_origin(&over, &name("origin.org"), NOW).unwrap();
    assert!(keys.covers("ed25519:k", NOW - 1) && !keys.covers("ed25519:k", NOW));
    assert!(keys.covers("ed25519:old", 500) && !keys.covers("ed25519:old", 501));
}

#[test]
fn malformed_answers_are_refused() {
    is_refused(
        &answer(|value| value["server_name"] = "evil.org".into()),
        KeysFault::OtherServer("evil.org".to_owned()),
    );
    is_refused(&answer(|value| value["server_name"] = 5.into()), KeysFault::Field("server_name"));
    is_refused(
        &answer(|value| value["valid_until_ts"] = "5".into()),
        KeysFault::Field("valid_until_ts"),
    );
    is_refused(&answer(|value| value["verify_keys"] = json!([])), KeysFault::Field("verify_keys"));
    is_refused(&answer(|value| value["verify_keys"] = json!({})), KeysFault::NoKey);
    is_refused(
        &answer(|value| value["old_verify_keys"] = json!([])),
        KeysFault::Field("old_verify_keys"),
    );
    for unusable in [
        json!({ "ed25519:k": { "key": encode([1; 31]) } }),
        json!({ "ed25519:k": { "key": 5 } }),
        json!({ "ed25519:k": "x" }),
        json!({ "ed25519:a-b": { "key": key(1).public_key_base64() } }),
        json!({ "rsa:k": { "key": key(1).public_key_base64() } }),
        json!({ "ed25519:k": { "key": "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og" } }),
        json!({ "ed25519:k": { "key": "l_O9hxMVKB6Lg-3Hqf0FQQZhVESQcMzbPN1Cz2nM3og=" } }),
        json!({ "ed25519:k": { "key": "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3oh" } }),
    ] {
        is_refused(&answer(|value| value["verify_keys"] = unusable.clone()), KeysFault::NoKey);
    }
}

#[test]
fn an_answer_must_be_signed_by_its_own_key() {
    let mut unsigned = answer(|_| {});
    unsigned.remove("signatures");
    is_refused(&unsigned, SignatureFault::NotSigned("origin.org".to_owned()).into());
    let foreign = answer(|value| {
        value["verify_keys"]["ed25519:k"]["key"] = key(2).public_key_base64().into();
    });
    is_refused(&foreign, SignatureFault::Wrong("origin.org".to_owned()).into());
}

#[test]
fn retired_keys_verify_what_is_older() {
    let old = answer(|value| {
        value["old_verify_keys"] = json!({
            "ed25519:old": { "key": key(2).public_key_base64(), "expired_ts": 500 },
            "ed25519:k": { "key": key(3).public_key_base64(), "expired_ts": 500 },
            "ed25519:junk": { "key": key(2).public_key_base64(), "expired_ts": "500" },
            "ed25519:none": 5,
        });
    });
    let keys = ServerKeys::from_origin(&old, &name("origin.org"), NOW).unwrap();
    assert!(keys.covers("ed25519:old", 500) && !keys.covers("ed25519:old", 501));
    assert!(keys.keys["ed25519:old"].retired && !keys.keys["ed25519:k"].retired);
    assert_eq!(keys.keys["ed25519:k"].key, key(1).public_key());
    assert_eq!(keys.keys.len(), 2);
}

#[test]
fn a_notarys_answer_needs_both_signatures_and_may_be_of_the_past() {
    let notary_key = SigningKey::from_seed("ed25519:n", [9; 32]).unwrap();
    let entry = VerifyKey { key: notary_key.public_key(), valid_until_ts: NOW, retired: false };
    let notary_keys = ServerKeys { keys: [("ed25519:n".to_owned(), entry)].into() };
    let ask = |answer: &CanonicalJsonObject| {
        ServerKeys::from_notary(answer, &name("notary.org"), &notary_keys, NOW)
    };
    let mut past = answer(|value| value["valid_until_ts"] = 5.into());
    assert!(matches!(ask(&past), Err(KeysFault::Signature(SignatureFault::NotSigned(_)))));
    notary_key.sign_json(&mut past, "notary.org");
    let (server, keys) = ask(&past).unwrap();
    assert_eq!(server, name("origin.org"));
    assert!(keys.covers("ed25519:k", 5) && !keys.covers("ed25519:k", 6));

    let mut alone = answer(|_| {});
    alone.remove("signatures");
    notary_key.sign_json(&mut alone, "notary.org");
    assert!(matches!(ask(&alone), Err(KeysFault::Signature(SignatureFault::NotSigned(_)))));
}

#[test]
fn a_live_key_is_never_silently_replaced() {
    let one = |seed: u8, valid_until_ts: i64, retired: bool| ServerKeys {
        keys: [(
            "ed25519:k".to_owned(),
            VerifyKey { key: key(seed).public_key(), valid_until_ts, retired },
        )]
        .into(),
    };
    let mut keys = one(1, NOW + 10, false);
    assert_eq!(keys.merge(one(2, NOW + 99, false), NOW), ["ed25519:k"]);
    assert_eq!(keys, one(1, NOW + 10, false));

    assert!(keys.merge(one(1, NOW + 99, false), NOW).is_empty());
    assert!(keys.merge(one(1, NOW + 5, false), NOW).is_empty());
    assert_eq!(keys, one(1, NOW + 99, false));

    assert!(keys.merge(one(1, NOW - 5, true), NOW).is_empty());
    assert_eq!(keys, one(1, NOW - 5, true));
    assert!(keys.merge(one(2, NOW + 5, false), NOW).is_empty());
    assert_eq!(keys, one(2, NOW + 5, false));
}

#[test]
fn an_older_answer_adds_keys_and_changes_none() {
    let entry = |seed: u8, valid_until_ts: i64, retired: bool| VerifyKey {
        key: key(seed).public_key(),
        valid_until_ts,
        retired,
    };
    let keys = |entries: &[(&str, VerifyKey)]| ServerKeys {
        keys: entries.iter().map(|(key_id, key)| ((*key_id).to_owned(), *key)).collect(),
    };
    let mut known = keys(&[
        ("ed25519:retired", entry(1, 500, true)),
        ("ed25519:live", entry(2, NOW, false)),
        ("ed25519:expired", entry(3, 600, false)),
    ]);
    known.complete(keys(&[
        ("ed25519:retired", entry(1, NOW, false)),
        ("ed25519:live", entry(9, NOW + 9, false)),
        ("ed25519:expired", entry(3, 700, false)),
        ("ed25519:first", entry(4, 300, true)),
    ]));
    let expected = keys(&[
        ("ed25519:retired", entry(1, 500, true)),
        ("ed25519:live", entry(2, NOW, false)),
        ("ed25519:expired", entry(3, 700, false)),
        ("ed25519:first", entry(4, 300, true)),
    ]);
    assert_eq!(known, expected);
}

#[test]
fn no_key_is_forgotten() {
    let mut ring = KeyRing::new();
    let entry =
        |seed: u8| VerifyKey { key: key(seed).public_key(), valid_until_ts: NOW, retired: false };
    for (key_id, seed) in [("ed25519:a", 1), ("ed25519:b", 2)] {
        ring.add(
            name("x.org"),
            ServerKeys { keys: [(key_id.to_owned(), entry(seed))].into() },
            NOW,
        );
    }
    assert_eq!(ring.of(&name("x.org")).unwrap().keys.len(), 2);
    assert!(ring.of(&name("y.org")).is_none());
}

#[test]
fn what_we_publish_others_believe() {
    let retired_key = VerifyKey { key: key(2).public_key(), valid_until_ts: 500, retired: true };
    let retired = ServerKeys { keys: [("ed25519:old".to_owned(), retired_key)].into() };
    let published = publish(&name("origin.org"), &key(1), &retired, NOW + 1000);
    let keys = ServerKeys::from_origin(&published, &name("origin.org"), NOW).unwrap();
    assert_eq!(keys.keys["ed25519:old"], retired_key);
    assert_eq!(keys.keys["ed25519:k"].key, key(1).public_key());
}

#[test]
fn the_cached_form_is_read_back() {
    let keys = ServerKeys::from_origin(&answer(|_| {}), &name("origin.org"), NOW).unwrap();
    let text = serde_json::to_string(&keys).unwrap();
    assert_eq!(serde_json::from_str::<ServerKeys>(&text).unwrap(), keys);
    assert!(
        serde_json::from_str::<ServerKeys>(&text.replace(&key(1).public_key_base64(), "x"))
            .is_err()
    );
}
