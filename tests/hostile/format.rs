//! What becomes of events that do not have the form of an event? (SIZE and FMT)

use serde_json::{Value, json};
use tombolo::objects::room::Verdict;
use tombolo_protocol::canonical_json::to_string;
use tombolo_support::canonical;

use crate::scene::HostileScene;

/// Mallory's message with one member set to something else, hashed and signed as it then is.
fn with(scene: &HostileScene, member: &str, value: &Value) -> Value {
    let mut pdu = scene.message();
    pdu[member] = value.clone();
    scene.evil.seal(scene.version, &pdu)
}

fn without(scene: &HostileScene, member: &str) -> Value {
    let mut pdu = scene.message();
    pdu.as_object_mut().unwrap().remove(member);
    scene.evil.seal(scene.version, &pdu)
}

/// So many IDs of events that do not exist.
fn ids(count: usize) -> Value {
    Value::Array((0..count).map(|number| json!(format!("${number:0>43}"))).collect())
}

#[test]
fn the_largest_event_is_65536_bytes() {
    let scene = HostileScene::new("11");
    let sized = |wanted: usize| {
        let of = |padding: usize| {
            scene.event("mallory", "m.room.message", None, &json!({ "body": "x".repeat(padding) }))
        };
        let rest = to_string(&canonical(&of(0))).len();
        let pdu = of(wanted - rest);
        assert_eq!(to_string(&canonical(&pdu)).len(), wanted);
        pdu
    };
    scene.accepted("SIZE1 65,536 bytes", &sized(65_536));
    scene.dropped("SIZE1 65,537 bytes", &sized(65_537));
    scene.dropped("SIZE1 200,000 bytes", &sized(200_000));
    scene.goes_on();
}

#[test]
fn identifiers_have_255_bytes_at_most() {
    let scene = HostileScene::new("11");
    for (member, value) in [
        ("type", "é".repeat(128)),
        ("type", "t".repeat(256)),
        ("state_key", "é".repeat(128)),
        ("sender", scene.evil.user(&"m".repeat(240))),
        ("room_id", format!("!{}:evil.test", "r".repeat(250))),
    ] {
        scene.dropped(&format!("SIZE2 {member}"), &with(&scene, member, &json!(value)));
    }
    scene.accepted("SIZE2 255 bytes", &with(&scene, "type", &json!("t".repeat(255))));
    scene.goes_on();
}

#[test]
fn links_have_a_form() {
    let scene = HostileScene::new("11");
    let newest = scene.extremities()[0].clone();
    for (what, member, value) in [
        ("21", "prev_events", ids(21)),
        ("11", "auth_events", ids(11)),
        ("a text", "prev_events", json!("x")),
        ("a text", "auth_events", json!("x")),
        ("null", "prev_events", json!(null)),
        ("an object", "auth_events", json!({})),
        ("a number", "prev_events", json!([5])),
        ("a number", "auth_events", json!([5])),
        ("a pair", "prev_events", json!([[newest, { "sha256": "x" }]])),
        ("a pair", "auth_events", json!([[newest, {}]])),
        ("no hash", "prev_events", json!(["$x:evil.test"])),
        ("the alphabet of version 3", "prev_events", json!([format!("${}+/", "a".repeat(41))])),
        ("twice", "prev_events", json!([newest, newest])),
    ] {
        scene.dropped(&format!("FMT1 FMT2 HASH6 {member} {what}"), &with(&scene, member, &value));
    }
    for member in ["prev_events", "auth_events"] {
        scene.dropped(&format!("FMT1 no {member}"), &without(&scene, member));
    }
    scene.rejected("FMT2 no parents", &with(&scene, "prev_events", &json!([])));
    scene.goes_on();
}

#[test]
fn depth_is_a_number_and_orders_nothing() {
    let scene = HostileScene::new("11");
    for value in [json!(-1), json!("5"), json!(null), json!(true), json!([])] {
        scene.dropped(&format!("FMT3 {value}"), &with(&scene, "depth", &value));
    }
    scene.dropped("FMT3 missing", &without(&scene, "depth"));
    for text in ["9007199254740992", "9223372036854775807", "1.0", "1e3", "-0"] {
        let pdu = with(&scene, "depth", &json!(123_454_321)).to_string();
        scene.dropped_text(&format!("FMT3 {text}"), &pdu.replace("123454321", text));
    }
    scene.accepted("FMT4 0", &with(&scene, "depth", &json!(0)));
    scene.accepted("FMT4 2^53-1", &with(&scene, "depth", &json!(9_007_199_254_740_991_u64)));
    let deepest = scene.say(&scene.alice, &scene.room, "after the deepest");
    let depth = scene.held(&deepest).unwrap().pdu["depth"].as_u64();
    assert!(depth.is_some_and(|depth| depth < 1 << 53), "FMT4 {depth:?}");
    scene.accepted("FMT4 after it", &scene.message());
    scene.goes_on();
}

#[test]
fn the_time_is_an_integer() {
    let scene = HostileScene::new("11");
    for value in [json!("5"), json!(null), json!([])] {
        scene.dropped(&format!("FMT5 {value}"), &with(&scene, "origin_server_ts", &value));
    }
    scene.dropped("FMT5 missing", &without(&scene, "origin_server_ts"));
    let pdu = with(&scene, "origin_server_ts", &json!(123_454_321)).to_string();
    scene.dropped_text("FMT5 2^53", &pdu.replace("123454321", "9007199254740992"));
    scene.accepted("FMT5 negative", &with(&scene, "origin_server_ts", &json!(-5)));
    scene.goes_on();
}

#[test]
fn members_have_their_types() {
    let scene = HostileScene::new("11");
    for (member, value) in [
        ("type", json!(5)),
        ("type", json!(null)),
        ("sender", json!(5)),
        ("sender", json!("evil")),
        ("sender", json!("@mallory")),
        ("state_key", json!(5)),
        ("state_key", json!(null)),
        ("content", json!(null)),
        ("content", json!([])),
        ("content", json!("x")),
        ("room_id", json!(5)),
        ("room_id", json!("evil")),
        ("room_id", json!(null)),
    ] {
        scene.dropped(&format!("FMT6 {member} {value}"), &with(&scene, member, &value));
    }
    for member in ["type", "sender", "content", "room_id"] {
        scene.dropped(&format!("FMT6 no {member}"), &without(&scene, member));
    }
    scene.goes_on();
}

#[test]
fn strange_names_and_characters_are_held() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        for localpart in ["", "Ümläut und Leerzeichen", "{}\"\\'%_"] {
            let user = scene.evil.user(localpart);
            let content = json!({ "membership": "join", "displayname": "x\u{0}y" });
            let draft = scene.draft(&user, "m.room.member", Some(&user), &content);
            scene.accepted(&format!("FMT7 {user}"), &scene.evil.seal(scene.version, &draft));
            assert_eq!(scene.membership(&scene.room, &user), "join", "FMT7");
        }
        let content =
            json!({ "body": "a\u{0}b\u{1}\u{7f}\u{2028}\u{e000}\u{10000}/", "\u{0}": "" });
        let pdu = scene.event("mallory", "org.example.\u{0}\u{1}", Some("k\u{0}"), &content);
        scene.rejected("FMT8 state without the right", &pdu);
        let pdu = scene.event("mallory", "org.example.\u{0}\u{1}", None, &content);
        scene.accepted("FMT8", &pdu);
        assert_eq!(scene.seen(&scene.id(&pdu)).body["content"], content, "FMT8");
        scene.goes_on();
    }
}

#[test]
fn unsigned_may_be_anything() {
    let scene = HostileScene::new("11");
    for unsigned in [json!("x"), json!(5), json!([]), json!({ "age": "old" }), json!(null)] {
        let mut pdu = scene.message();
        pdu["unsigned"] = unsigned.clone();
        let answer = scene.transaction(&scene.evil, std::slice::from_ref(&pdu), &[]);
        assert_eq!(answer.status, 200, "FMT9 {unsigned}");
        let verdict = scene.verdict(&scene.id(&pdu));
        assert!(matches!(verdict, None | Some(Verdict::Accepted)), "FMT9 {unsigned}");
        if verdict.is_some() {
            assert!(scene.seen(&scene.id(&pdu)).body["unsigned"].is_object(), "FMT9 {unsigned}");
        }
    }
    scene.goes_on();
}
