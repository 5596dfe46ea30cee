//! Which texts are admitted as events, and which are dropped or redacted?

use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use super::{Drop, Verified, is_whole, parse};
use crate::{
    canonical_json::{CanonicalJsonObject, to_string},
    event::{FormatFault, MAX_BYTES, content_hash},
    json::JsonFault,
    scene::{SERVER, key, object, version},
    server_keys::{KeyRing, ServerKeys, VerifyKey},
    signing::{SignatureFault, SigningKey, encode},
};

const NOW: i64 = 1_000_000;

fn server(name: &str) -> OwnedServerName {
    ServerName::parse(name).unwrap()
}

fn resident_key() -> SigningKey {
    SigningKey::from_seed("ed25519:r", [9; 32]).unwrap()
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::new();
    for (name, key) in [(SERVER, key()), ("resident.org", resident_key())] {
        let entry = VerifyKey { key: key.public_key(), valid_until_ts: NOW, retired: false };
        let keys = ServerKeys { keys: [(key.key_id().to_owned(), entry)].into() };
        ring.add(server(name), keys, NOW);
    }
    ring
}

fn unsigned_event(kind: &str, content: Value) -> CanonicalJsonObject {
    let id = format!("${}", "a".repeat(43));
    let mut event = object(json!({
        "auth_events": [id], "content": content, "depth": 5, "origin_server_ts": NOW,
        "prev_events": [id], "room_id": "!room:example.org", "sender": "@alice:example.org",
        "type": kind,
    }));
    if kind == "m.room.member" {
        event.insert("state_key".to_owned(), "@alice:example.org".into());
    }
    hash(&mut event);
    event
}

fn hash(event: &mut CanonicalJsonObject) {
    let hashes = json!({ "sha256": encode(content_hash(event)) });
    event.insert("hashes".to_owned(), hashes.try_into().unwrap());
}

fn event(kind: &str, content: Value) -> CanonicalJsonObject {
    let mut event = unsigned_event(kind, content);
    key().sign_event(version("11"), &mut event, SERVER);
    event
}

fn message() -> CanonicalJsonObject {
    event("m.room.message", json!({ "body": "x" }))
}

fn admit(event: &CanonicalJsonObject) -> Result<Verified, Drop> {
    parse(to_string(event).as_bytes(), version("11"))?.verify(&ring())
}

#[track_caller]
fn is_dropped_for_signature(event: &CanonicalJsonObject, fault: SignatureFault) {
    match admit(event) {
        Err(Drop::Signature(found)) => assert_eq!(found, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_event_is_admitted_whole() {
    let verified = admit(&message()).unwrap();
    assert!(!verified.redacted);
    assert_eq!(verified.pdu.json, to_string(&message()));
    let checked = verified.checked().unwrap();
    let crossed = serde_json::from_str::<super::Checked>(&serde_json::to_string(&checked).unwrap());
    let pdu = crossed.unwrap().pdu(version("11")).unwrap();
    assert_eq!((&pdu.event_id, &pdu.json), (&verified.pdu.event_id, &verified.pdu.json));
}

#[test]
fn altered_content_is_redacted_under_the_same_name() {
    let whole = admit(&message()).unwrap();
    let mut altered = message();
    altered.insert("content".to_owned(), json!({ "body": "y" }).try_into().unwrap());
    let verified = admit(&altered).unwrap();
    assert!(verified.redacted);
    assert_eq!(verified.pdu.event_id, whole.pdu.event_id);
    assert_eq!(verified.pdu.content.get(), "{}");

    let mut added = message();
    added.insert("extra".to_owned(), "y".into());
    let verified = admit(&added).unwrap();
    assert!(verified.redacted && !verified.pdu.json.contains("extra"));
}

#[test]
fn a_hash_that_is_no_base64_costs_the_content() {
    let mut event = unsigned_event("m.room.message", json!({ "body": "x" }));
    event.insert("hashes".to_owned(), json!({ "sha256": "!" }).try_into().unwrap());
    key().sign_event(version("11"), &mut event, SERVER);
    assert!(admit(&event).unwrap().redacted);
}

#[test]
fn a_hash_may_be_written_in_any_way() {
    let mut spelt = 0;
    for number in 0..20 {
        let mut event = unsigned_event("m.room.message", json!({ "body": number }));
        let hash = encode(content_hash(&event));
        let urlsafe = hash.replace('+', "-").replace('/', "_");
        spelt += u32::from(urlsafe != hash);
        for hash in [format!("{hash}="), format!("{urlsafe}="), urlsafe] {
            event.insert("hashes".to_owned(), json!({ "sha256": hash }).try_into().unwrap());
            event.remove("signatures");
            key().sign_event(version("11"), &mut event, SERVER);
            let verified = admit(&event).unwrap();
            assert!(!verified.redacted, "{hash}");
            assert!(is_whole(&verified.pdu.json), "{hash}");
        }
    }
    assert!(spelt > 0, "no hash differs between the alphabets");
}

#[test]
fn what_the_signature_covers_cannot_be_altered() {
    let mut altered = message();
    altered.insert("depth".to_owned(), json!(6).try_into().unwrap());
    is_dropped_for_signature(&altered, SignatureFault::Wrong(SERVER.to_owned()));
}

#[test]
fn a_signature_over_the_whole_event_is_none() {
    let mut event = unsigned_event("m.room.message", json!({ "body": "x" }));
    key().sign_json(&mut event, SERVER);
    is_dropped_for_signature(&event, SignatureFault::Wrong(SERVER.to_owned()));
}

#[test]
fn the_senders_server_must_sign() {
    let mut event = unsigned_event("m.room.message", json!({}));
    resident_key().sign_event(version("11"), &mut event, "resident.org");
    is_dropped_for_signature(&event, SignatureFault::NotSigned(SERVER.to_owned()));
}

#[test]
fn a_server_whose_keys_are_unknown_has_not_signed() {
    let event = parse(to_string(&message()).as_bytes(), version("11")).unwrap();
    assert_eq!(event.required_keys(), [(server(SERVER), vec!["ed25519:1".to_owned()])]);
    let verdict = event.verify(&KeyRing::new());
    assert!(matches!(verdict, Err(Drop::Signature(SignatureFault::UnknownKey(_)))));
}

#[test]
fn a_key_must_have_been_valid_when_the_event_was_made() {
    let mut late = unsigned_event("m.room.message", json!({}));
    late.insert("origin_server_ts".to_owned(), json!(NOW + 1).try_into().unwrap());
    hash(&mut late);
    key().sign_event(version("11"), &mut late, SERVER);
    is_dropped_for_signature(&late, SignatureFault::KeyExpired("ed25519:1".to_owned()));
}

#[test]
fn a_restricted_join_needs_its_authorisers_server() {
    let content = json!({
        "membership": "join", "join_authorised_via_users_server": "@mod:resident.org",
    });
    let mut join = event("m.room.member", content.clone());
    is_dropped_for_signature(&join, SignatureFault::NotSigned("resident.org".to_owned()));
    let needed = parse(to_string(&join).as_bytes(), version("11")).unwrap().required_keys();
    assert_eq!(needed[1], (server("resident.org"), vec![]));
    resident_key().sign_event(version("11"), &mut join, "resident.org");
    assert!(admit(&join).is_ok());

    let mut old = unsigned_event("m.room.member", content);
    key().sign_event(version("7"), &mut old, SERVER);
    assert!(parse(to_string(&old).as_bytes(), version("7")).unwrap().verify(&ring()).is_ok());
}

#[test]
fn a_third_party_invite_needs_no_signature_of_its_sender() {
    let invite = json!({ "membership": "invite", "third_party_invite": { "signed": {} } });
    let mut event = unsigned_event("m.room.member", invite);
    event.insert("signatures".to_owned(), json!({}).try_into().unwrap());
    assert!(admit(&event).is_ok());

    for content in [
        json!({ "membership": "invite", "third_party_invite": true }),
        json!({ "membership": "join", "third_party_invite": { "signed": {} } }),
        json!({ "membership": "invite" }),
    ] {
        let mut event = unsigned_event("m.room.member", content);
        event.insert("signatures".to_owned(), json!({}).try_into().unwrap());
        is_dropped_for_signature(&event, SignatureFault::NotSigned(SERVER.to_owned()));
    }
}

#[test]
fn an_altered_third_party_invite_is_an_invite_that_its_sender_must_have_signed() {
    let content = json!({ "membership": "invite", "third_party_invite": {} });
    let mut event = unsigned_event("m.room.member", content);
    event.insert("hashes".to_owned(), json!({ "sha256": "x" }).try_into().unwrap());
    event.insert("signatures".to_owned(), json!({}).try_into().unwrap());
    let parsed = parse(to_string(&event).as_bytes(), version("10")).unwrap();
    assert!(matches!(parsed.verify(&ring()), Err(Drop::Signature(SignatureFault::NotSigned(_)))));

    key().sign_event(version("10"), &mut event, SERVER);
    let parsed = parse(to_string(&event).as_bytes(), version("10")).unwrap();
    assert!(parsed.verify(&ring()).unwrap().redacted);
}

#[test]
fn of_unsigned_only_the_age_is_kept() {
    let smuggled = json!({
        "age": 5, "redacted_because": {}, "prev_content": {}, "m.relations": {},
        "invite_room_state": [], "transaction_id": "x",
    });
    let mut event = message();
    event.insert("unsigned".to_owned(), smuggled.clone().try_into().unwrap());
    let verified = admit(&event).unwrap();
    assert_eq!(to_string(&verified.unsigned), r#"{"age":5}"#);
    assert!(!verified.redacted && !verified.pdu.json.contains("unsigned"));

    let mut invite = self::event("m.room.member", json!({ "membership": "join" }));
    invite.insert("unsigned".to_owned(), smuggled.try_into().unwrap());
    let kept = admit(&invite).unwrap().unsigned;
    assert_eq!(to_string(&kept), r#"{"age":5,"invite_room_state":[]}"#);

    for odd in [json!("x"), json!([]), json!(null), json!({ "age": "5" })] {
        let mut event = message();
        event.insert("unsigned".to_owned(), odd.try_into().unwrap());
        assert!(admit(&event).unwrap().unsigned.is_empty());
    }
}

#[test]
fn the_largest_event_has_65536_bytes() {
    let of_size = |body: usize| event("m.room.message", json!({ "body": "x".repeat(body) }));
    let overhead = to_string(&of_size(0)).len();
    assert!(admit(&of_size(MAX_BYTES - overhead)).is_ok());
    match admit(&of_size(MAX_BYTES - overhead + 1)) {
        Err(Drop::Format(fault)) => assert_eq!(fault, FormatFault::TooLarge(65_537)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_numbers_are_dropped_before_anything_else() {
    let text = to_string(&message()).replace("\"depth\":5", "\"depth\":5.0");
    assert!(matches!(
        parse(text.as_bytes(), version("11")),
        Err(Drop::Json(JsonFault::BadJson(_)))
    ));
}

#[test]
fn other_signatures_and_unsigned_do_not_change_the_name() {
    let mut other = message();
    resident_key().sign_event(version("11"), &mut other, "resident.org");
    other.insert("unsigned".to_owned(), json!({ "age": 1 }).try_into().unwrap());
    assert_eq!(admit(&other).unwrap().pdu.event_id, admit(&message()).unwrap().pdu.event_id);
}

#[test]
fn a_claimed_event_id_is_dropped() {
    let mut event = message();
    event.insert("event_id".to_owned(), "$claimed".into());
    assert!(matches!(admit(&event), Err(Drop::Format(FormatFault::Unexpected("event_id")))));
}
