//! Which signatures verify, and do ours match the test vectors?

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};

use super::{SignatureFault, SigningKey, decode, encode, is_key_id, is_signature, verify_json};
use crate::{
    canonical_json::{CanonicalJsonObject, to_string},
    event::content_hash,
    scene::{object, version},
    server_keys::{ServerKeys, VerifyKey},
};

/// The key of the spec's test vectors, whose seed ends in `1` there: its last two bits mean nothing.
fn key() -> SigningKey {
    let seed = decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0").unwrap();
    SigningKey::from_seed("ed25519:1", seed).unwrap()
}

fn keys_of(key: &SigningKey, valid_until_ts: i64) -> ServerKeys {
    let entry = VerifyKey { key: key.public_key(), valid_until_ts, retired: false };
    ServerKeys { keys: [(key.key_id().to_owned(), entry)].into() }
}

fn signed(value: Value) -> CanonicalJsonObject {
    let mut object = object(value);
    key().sign_json(&mut object, "domain");
    object
}

#[track_caller]
fn verifies(object: &CanonicalJsonObject, expected: Result<(), SignatureFault>) {
    assert_eq!(verify_json(object, "domain", &keys_of(&key(), 1000), Some(1000)), expected);
}

#[test]
fn the_vectors_for_json_are_met() {
    for (value, signature) in [
        (
            json!({}),
            "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
        ),
        (
            json!({ "one": 1, "two": "Two" }),
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut expected = object(value.clone());
        let signatures = json!({ "domain": { "ed25519:1": signature } });
        expected.insert("signatures".to_owned(), signatures.try_into().unwrap());
        assert_eq!(signed(value), expected);
        verifies(&expected, Ok(()));
    }
}

#[test]
fn the_vectors_for_events_are_met() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "signatures": {}, "hashes": {}, "type": "X", "content": {},
        "prev_events": [], "auth_events": [], "depth": 3, "unsigned": { "age_ts": 1_000_000 }
    });
    let with_content = json!({
        "content": { "body": "Here is the message content" }, "event_id": "$0:domain",
        "origin": "domain", "origin_server_ts": 1_000_000, "type": "m.room.message",
        "room_id": "!r:domain", "sender": "@u:domain", "signatures": {},
        "unsigned": { "age_ts": 1_000_000 }
    });
    for (value, hash, signature) in [
        (
            minimal,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            with_content,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        let mut event = object(value);
        assert_eq!(encode(content_hash(&event)), hash);
        let hashes = json!({ "sha256": hash });
        event.insert("hashes".to_owned(), hashes.try_into().unwrap());
        key().sign_event(version("6"), &mut event, "domain");
        let text = to_string(&event);
        assert!(text.contains(&format!(r#"{{"domain":{{"ed25519:1":"{signature}"}}}}"#)), "{text}");
    }
}

#[test]
fn a_changed_or_missing_signature_is_refused() {
    let good = signed(json!({ "a": 1 }));
    let mut changed = good.clone();
    changed.insert("a".to_owned(), json!(2).try_into().unwrap());
    verifies(&changed, Err(SignatureFault::Wrong("domain".to_owned())));

    for signatures in [
        json!({}),
        json!("x"),
        json!({ "domain": "x" }),
        json!({ "domain": {} }),
        json!({ "other": { "ed25519:1": "x" } }),
        json!({ "domain": { "rsa:1": "x" } }),
    ] {
        let mut object = good.clone();
        object.insert("signatures".to_owned(), signatures.try_into().unwrap());
        verifies(&object, Err(SignatureFault::NotSigned("domain".to_owned())));
    }
    let mut none = good;
    none.remove("signatures");
    verifies(&none, Err(SignatureFault::NotSigned("domain".to_owned())));
}

#[test]
fn signatures_of_unknown_keys_and_other_servers_are_skipped() {
    let mut object = signed(json!({ "a": 1 }));
    super::add_signature(&mut object, "domain", "ed25519:other", "garbage".to_owned());
    super::add_signature(&mut object, "domain", "ed25519:policy_server", "garbage".to_owned());
    super::add_signature(&mut object, "third", "ed25519:1", "garbage".to_owned());
    verifies(&object, Ok(()));
}

#[test]
fn only_an_unknown_key_is_told_apart() {
    let mut object = object(json!({ "a": 1 }));
    SigningKey::from_seed("ed25519:2", [1; 32]).unwrap().sign_json(&mut object, "domain");
    verifies(&object, Err(SignatureFault::UnknownKey("domain".to_owned())));
}

#[test]
fn a_key_counts_until_its_validity_ends() {
    let object = signed(json!({}));
    let keys = keys_of(&key(), 1000);
    assert_eq!(verify_json(&object, "domain", &keys, Some(1000)), Ok(()));
    let expired = Err(SignatureFault::KeyExpired("ed25519:1".to_owned()));
    assert_eq!(verify_json(&object, "domain", &keys, Some(1001)), expired);
    assert_eq!(verify_json(&object, "domain", &keys, None), Ok(()));
}

/// The same bytes in other letters: padded, in the alphabet of URLs, and with each of the bits that mean nothing.
fn spellings(canonical: &str) -> Vec<String> {
    let urlsafe = canonical.replace('+', "-").replace('/', "_");
    let mut spellings =
        vec![format!("{canonical}=="), format!("{canonical}="), format!("{urlsafe}=="), urlsafe];
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (rest, last) = canonical.split_at(canonical.len() - 1);
    let last = letters.find(last).unwrap();
    // The last of 86 letters has four bits that belong to no byte, the last of 43 has two.
    let free = if canonical.len() % 4 == 2 { 16 } else { 4 };
    spellings.extend((1..free).map(|bits| format!("{rest}{}", &letters[last + bits..][..1])));
    spellings
}

#[test]
fn base64_may_be_written_in_any_way() {
    let signature = key().sign(b"message");
    assert!(signature.contains(['+', '/']), "both alphabets write it alike");
    let public = key().public_key();
    for spelling in spellings(&signature) {
        assert!(is_signature(&public, b"message", &spelling), "{spelling}");
    }
    for spelling in spellings(&key().public_key_base64()) {
        assert_eq!(decode(&spelling), Some(public), "{spelling}");
    }
}

#[test]
fn what_is_no_base64_of_so_many_bytes_is_no_signature() {
    let (public, signature) = (key().public_key(), key().sign(b"message"));
    for wrong in [
        format!(" {signature}"),
        format!("{signature}\n"),
        format!("={signature}"),
        format!("{signature}A"),
        format!("{signature}AA"),
        signature[..85].to_owned(),
        signature.replacen(signature.get(..1).unwrap(), ".", 1),
        String::new(),
    ] {
        assert!(!is_signature(&public, b"message", &wrong), "{wrong}");
    }
}

#[test]
fn a_malleable_signature_is_refused() {
    // The order of the group, little-endian: S + L verifies wherever S does, unless refused.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes: [u8; 64] = decode(&key().sign(b"message")).unwrap();
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!is_signature(&key().public_key(), b"message", &encode(bytes)));
}

#[test]
fn keys_of_small_order_verify_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    for key in [[0; 32], identity] {
        assert!(!is_signature(&key, b"message", &encode(signature)));
        assert!(!is_signature(&key, b"message", &encode([0; 64])));
    }
}

#[test]
fn key_ids_are_letters_digits_and_underscores() {
    for good in ["ed25519:1", "ed25519:a_B9", "ed25519:_"] {
        assert!(is_key_id(good), "{good}");
    }
    for bad in
        ["", "ed25519", "ed25519:", "rsa:1", "ed25519:a-b", "ed25519:a b", "ed25519:é", "ED25519:1"]
    {
        assert!(!is_key_id(bad), "{bad}");
        assert!(SigningKey::from_seed(bad, [0; 32]).is_err());
    }
}

#[test]
fn a_second_signature_leaves_the_first() {
    let mut object = signed(json!({ "a": 1 }));
    SigningKey::from_seed("ed25519:x", [1; 32]).unwrap().sign_json(&mut object, "resident");
    verifies(&object, Ok(()));
    assert!(to_string(&object).contains("\"resident\":{\"ed25519:x\":"));
}

#[test]
fn the_secret_is_not_printed() {
    let printed = format!("{:?}", key());
    assert_eq!(printed, "SigningKey { key_id: \"ed25519:1\", .. }");
    assert_eq!(STANDARD_NO_PAD.encode(key().public_key()), key().public_key_base64());
}
