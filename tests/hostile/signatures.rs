//! What becomes of events that are not signed or hashed as they say? (SIG and HASH)

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};
use tombolo::objects::room::Verdict;
use tombolo_protocol::x_matrix::Authorization;
use tombolo_support::{Peer, canonical, encode, hash, ok};

use crate::scene::{HostileScene, OURS};

/// The order of the group of Ed25519, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same event with other signatures of the peer.
fn with_signatures(scene: &HostileScene, signatures: &Value) -> Value {
    let mut pdu = scene.message();
    pdu["signatures"] = signatures.clone();
    pdu
}

fn own_signature(scene: &HostileScene, pdu: &Value) -> String {
    pdu["signatures"][scene.evil.name()]["ed25519:k"].as_str().unwrap().to_owned()
}

#[test]
fn an_event_without_a_right_signature_is_dropped() {
    let scene = HostileScene::new("11");
    let evil = scene.evil.name().to_owned();
    for (what, signatures) in [
        ("SIG1 empty", json!({})),
        ("SIG1 a text", json!("x")),
        ("SIG1 null", json!(null)),
        ("SIG1 a list", json!([])),
        ("SIG1 the server's is a text", json!({ &evil: "x" })),
        ("SIG1 no base64", json!({ &evil: { "ed25519:k": "?" } })),
        ("SIG1 a number", json!({ &evil: { "ed25519:k": 5 } })),
        ("SIG1 too short", json!({ &evil: { "ed25519:k": "AAAA" } })),
        ("SIG12 zeros", json!({ &evil: { "ed25519:k": STANDARD_NO_PAD.encode([0; 64]) } })),
    ] {
        scene.dropped(what, &with_signatures(&scene, &signatures));
    }
    let mut unsigned = scene.message();
    unsigned.as_object_mut().unwrap().remove("signatures");
    scene.dropped("SIG1 missing", &unsigned);
    scene.goes_on();
}

#[test]
fn an_altered_signature_is_dropped() {
    let scene = HostileScene::new("11");
    let pdu = scene.message();
    let right = own_signature(&scene, &pdu);
    let bytes = STANDARD_NO_PAD.decode(&right).unwrap();
    let mut flipped = bytes.clone();
    flipped[3] ^= 1;
    let (mut malleable, mut carry) = (bytes.clone(), 0);
    for (index, order) in ORDER.iter().enumerate() {
        let sum = u16::from(bytes[32 + index]) + u16::from(*order) + carry;
        malleable[32 + index] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    for (what, signature) in [
        ("SIG1 one bit", STANDARD_NO_PAD.encode(flipped)),
        ("SIG12 S + L", STANDARD_NO_PAD.encode(malleable)),
        ("SIG14 no base64", format!("{right}?")),
    ] {
        let mut pdu = pdu.clone();
        pdu["signatures"][scene.evil.name()]["ed25519:k"] = json!(signature);
        scene.dropped(what, &pdu);
    }
    scene.accepted("the event itself", &pdu);
    scene.goes_on();
}

/// The same bytes of base64 in other letters, if that can be said in another way.
type Respell = fn(&str) -> String;

const SPELLINGS: [(&str, Respell); 4] = [
    ("padded", |text| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))),
    ("in the alphabet of URLs", |text| text.replace('+', "-").replace('/', "_")),
    ("both", |text| format!("{}==", text.replace('+', "-").replace('/', "_"))),
    ("with bits that belong to no byte", |text| {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (rest, last) = text.split_at(text.len() - 1);
        let next = letters.find(last).unwrap() + 1;
        format!("{rest}{}", &letters[next..=next])
    }),
];

#[test]
fn a_signature_may_be_written_in_any_base64() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        for (how, respell) in SPELLINGS {
            let signed = || (0..50).map(|_| scene.message());
            let other = |pdu: &Value| respell(&own_signature(&scene, pdu));
            let mut pdu = signed().find(|pdu| other(pdu) != own_signature(&scene, pdu)).unwrap();
            pdu["signatures"][scene.evil.name()]["ed25519:k"] = json!(other(&pdu));
            scene.accepted(&format!("SIG14 {version} {how}"), &pdu);
        }
        scene.goes_on();
    }
}

#[test]
fn a_content_hash_may_be_written_in_any_base64() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        for (how, respell) in SPELLINGS {
            let hash = |pdu: &Value| pdu["hashes"]["sha256"].as_str().unwrap().to_owned();
            let mut messages = (0..50).map(|_| scene.message());
            let mut pdu = messages.find(|pdu| respell(&hash(pdu)) != hash(pdu)).unwrap();
            pdu["hashes"]["sha256"] = json!(respell(&hash(&pdu)));
            let pdu = resigned(&scene, &pdu);
            scene.accepted(&format!("SIG14 {version} {how}"), &pdu);
            let seen = scene.seen(&scene.id(&pdu)).body;
            assert_eq!(seen["content"], pdu["content"], "SIG14 {version} {how}");
        }
        scene.goes_on();
    }
}

#[test]
fn keys_and_requests_may_be_written_in_any_base64() {
    let scene = HostileScene::new("11");
    let mut seed = 150;
    for (how, respell) in SPELLINGS {
        let differs = |text: &str| respell(text) != text;
        let peer = loop {
            seed += 1;
            let peer = Peer::unlisted(&format!("b{seed}.test:8448"), seed);
            if differs(&peer.key().public_key_base64()) {
                break Peer::new(&scene.simulation, &format!("b{seed}.test:8448"), seed);
            }
        };
        let (publishing, until) = (peer.clone(), scene.simulation.now() + 3_600_000);
        peer.on("server", move |_| {
            let mut keys = serde_json::to_value(publishing.published(until)).unwrap();
            let key = respell(&publishing.key().public_key_base64());
            keys["verify_keys"]["ed25519:k"]["key"] = json!(key);
            keys.as_object_mut().unwrap().remove("signatures");
            let mut keys = canonical(&keys);
            publishing.key().sign_json(&mut keys, publishing.name());
            let mut keys = serde_json::to_value(&keys).unwrap();
            let signature = keys["signatures"][publishing.name()]["ed25519:k"].take();
            let signature = respell(signature.as_str().unwrap());
            keys["signatures"][publishing.name()]["ed25519:k"] = json!(signature);
            ok(&keys)
        });
        let (path, body) = ("/_matrix/federation/v1/send/spelt", json!({ "pdus": [] }));
        let right = peer.authorization(OURS, ("PUT", path), Some(&body));
        let header = Authorization { sig: respell(&right.sig), ..right }.header();
        let answer = scene.raw(&header, &format!("PUT {path}"), body.to_string().into());
        assert_eq!(answer.status, 200, "SIG14 {how}: {answer:?}");
    }
    scene.goes_on();
}

#[test]
fn a_key_nobody_published_is_asked_for_once() {
    let scene = HostileScene::new("11");
    scene.evil.forget_asked();
    for name in ["ed25519:other", "rsa:1", "ed25519:", "ed25519:a-b"] {
        for _ in 0..3 {
            let mut pdu = scene.message();
            let signature = own_signature(&scene, &pdu);
            pdu["signatures"] = json!({ scene.evil.name(): { name: signature } });
            scene.dropped(&format!("SIG2 SIG3 {name}"), &pdu);
        }
    }
    let asked = scene.evil.times_asked("server");
    assert!(asked <= 2, "a storm of {asked} requests for keys");
    scene.goes_on();
}

#[test]
fn other_signatures_do_not_help_and_do_not_harm() {
    let scene = HostileScene::new("11");
    let third = scene.third.user("mallory");
    let by_third = |pdu: &Value| {
        let mut pdu = pdu.clone();
        pdu.as_object_mut().unwrap().remove("signatures");
        scene.third.sign(scene.version, &pdu)
    };
    scene.dropped("SIG5 signed by another server", &by_third(&scene.message()));
    let draft = scene.draft(&third, "m.room.message", None, &json!({ "body": "x" }));
    scene.dropped("SIG5 in another's name", &scene.evil.seal(scene.version, &draft));
    let alice = format!("@alice:{}", OURS);
    let draft = scene.draft(&alice, "m.room.message", None, &json!({ "body": "x" }));
    let mut ours = scene.evil.seal(scene.version, &draft);
    scene.dropped("SIG5 in our name", &ours);
    let signature = own_signature(&scene, &ours);
    ours["signatures"] = json!({ OURS: { "ed25519:a": signature } });
    scene.dropped("SIG5 in our name, forged", &ours);
    let mut extra = scene.message();
    extra["signatures"][scene.third.name()] = json!({ "ed25519:k": "garbage" });
    extra["signatures"][scene.evil.name()]["ed25519:unknown"] = json!("garbage");
    scene.accepted("SIG4 signatures of no concern", &extra);
    scene.goes_on();
}

#[test]
fn only_the_redacted_form_is_signed() {
    let scene = HostileScene::new("11");
    let mut pdu = scene.message();
    pdu.as_object_mut().unwrap().remove("signatures");
    let mut object = canonical(&pdu);
    scene.evil.key().sign_json(&mut object, scene.evil.name());
    scene.dropped("SIG13", &serde_json::to_value(&object).unwrap());
    scene.goes_on();
}

#[test]
fn a_key_counts_for_its_time() {
    let scene = HostileScene::new("11");
    let mut late = scene.message();
    late["origin_server_ts"] = json!(scene.simulation.now() + 30 * 86_400_000);
    scene.dropped("SIG9", &scene.evil.seal(scene.version, &late));
    // A server that did not give a key is left alone for a while.
    scene.wait(100);
    let old = Peer::unlisted(scene.evil.name(), 77);
    let expired = scene.simulation.now() - 50_000;
    let peer = scene.evil.clone();
    let until = scene.simulation.now() + 3_600_000;
    scene.evil.on("server", move |_| {
        let mut keys = serde_json::to_value(peer.published(until)).unwrap();
        let key = Peer::unlisted("x.test", 77).key().public_key_base64();
        keys["old_verify_keys"] = json!({ "ed25519:old": { "key": key, "expired_ts": expired } });
        keys.as_object_mut().unwrap().remove("signatures");
        let mut object = canonical(&keys);
        peer.key().sign_json(&mut object, peer.name());
        ok(&serde_json::to_value(&object).unwrap())
    });
    let by_old_key = |ts: u64| {
        let mut pdu = scene.message();
        pdu["origin_server_ts"] = json!(ts);
        let pdu = old.seal(scene.version, &pdu);
        let mut renamed = pdu.clone();
        let signature = own_signature(&scene, &pdu);
        renamed["signatures"] = json!({ scene.evil.name(): { "ed25519:old": signature } });
        renamed
    };
    scene.accepted("SIG10 while it was in use", &by_old_key(expired - 1));
    scene.dropped("SIG10 after it was retired", &by_old_key(expired + 1));
    scene.goes_on();
}

#[test]
fn altered_content_is_redacted() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let mut content = scene.message();
        let id = scene.id(&content);
        content["content"]["body"] = json!("smuggled words");
        let mut more = scene.message();
        more["extra"] = json!("smuggled words");
        let mut unreadable = scene.message();
        unreadable["hashes"] = json!({ "sha256": "?!" });
        let unreadable = resigned(&scene, &unreadable);
        for (what, pdu) in [("content", &content), ("a member", &more), ("no hash", &unreadable)] {
            scene.accepted(what, pdu);
            let held = scene.held(&scene.id(pdu)).unwrap();
            assert_eq!(held.pdu["content"], json!({}), "HASH1 {what}");
            assert!(!held.pdu.to_string().contains("smuggled"), "HASH1 {what}");
            let seen = scene.seen(&scene.id(pdu)).body;
            assert_eq!(seen["content"], json!({}), "HASH1 {what}");
        }
        assert_eq!(scene.verdict(&id), Some(Verdict::Accepted));
        scene.goes_on();
    }
}

fn resigned(scene: &HostileScene, pdu: &Value) -> Value {
    let mut pdu = pdu.clone();
    pdu.as_object_mut().unwrap().remove("signatures");
    scene.evil.sign(scene.version, &pdu)
}

#[test]
fn hashes_without_form_are_dropped() {
    let scene = HostileScene::new("11");
    for (what, hashes) in [
        ("a list", json!([])),
        ("null", json!(null)),
        ("empty", json!({})),
        ("a number", json!({ "sha256": 5 })),
    ] {
        let mut pdu = scene.message();
        pdu["hashes"] = hashes;
        scene.dropped(&format!("HASH2 {what}"), &resigned(&scene, &pdu));
    }
    scene.goes_on();
}

#[test]
fn a_claimed_id_is_not_believed() {
    let scene = HostileScene::new("11");
    let alices = scene.say(&scene.alice, &scene.room, "mine");
    for claimed in [alices.as_str(), "$x:evil.test:8448", "$AAAA"] {
        let mut pdu = scene.message();
        pdu["event_id"] = json!(claimed);
        let pdu = scene.evil.seal(scene.version, &pdu);
        scene.dropped(&format!("HASH3 {claimed}"), &pdu);
    }
    assert_eq!(scene.seen(&alices).body["content"]["body"], json!("mine"));
    scene.goes_on();
}

#[test]
fn an_event_comes_in_once_whatever_surrounds_it() {
    let scene = HostileScene::new("11");
    let pdu = scene.message();
    scene.accepted("the event", &pdu);
    let held = scene.held(&scene.id(&pdu)).unwrap();
    let count = scene.count("events");
    let mut again = pdu.clone();
    again["unsigned"] = json!({ "redacted_because": { "type": "m.room.redaction" }, "prev_content": {}, "age": 5,
        "m.relations": { "m.replace": {} }, "membership": "ban" });
    again["signatures"][scene.third.name()] = json!({ "ed25519:k": "garbage" });
    let mut emptied = pdu.clone();
    emptied["content"] = json!({});
    for copy in [&again, &emptied, &pdu] {
        scene.accepted("HASH4 a copy", copy);
        let now = scene.held(&scene.id(&pdu)).unwrap();
        assert_eq!(now.pdu["content"], held.pdu["content"], "HASH4");
        assert_eq!(scene.count("events"), count);
    }
    let mut first = scene.message();
    first["unsigned"] = again["unsigned"].clone();
    scene.accepted("FMT9", &first);
    let seen = scene.seen(&scene.id(&first)).body;
    for smuggled in ["redacted_because", "prev_content", "m.relations"] {
        assert!(seen["unsigned"].get(smuggled).is_none(), "FMT9 {smuggled}: {seen}");
    }
    assert_eq!(seen["unsigned"]["membership"], json!("join"), "FMT9 {seen}");
    scene.goes_on();
}

#[test]
fn a_full_copy_does_not_undo_a_redaction() {
    let scene = HostileScene::new("11");
    let pdu = scene.message();
    scene.accepted("the event", &pdu);
    let id = scene.id(&pdu);
    let line =
        format!("PUT /_matrix/client/v3/rooms/{}/redact/{}/r", encode(&scene.room), encode(&id));
    assert_eq!(scene.call(Some(&scene.alice), &line, &json!({})).status, 200);
    scene.accepted("HASH5 the full copy again", &pdu);
    assert_eq!(scene.seen(&id).body["content"], json!({}), "HASH5");
    let mut altered = scene.message();
    hash(&mut altered);
    let full = altered.clone();
    altered["content"]["body"] = json!("other");
    scene.accepted("HASH5 altered first", &altered);
    scene.accepted("HASH5 full later", &full);
    assert_eq!(scene.seen(&scene.id(&full)).body["content"], full["content"], "HASH5");
    assert_ne!(scene.seen(&scene.id(&full)).body["content"]["body"], json!("other"));
    scene.goes_on();
}
