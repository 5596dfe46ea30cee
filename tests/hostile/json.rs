//! What becomes of bodies that are not JSON, or not the JSON of Matrix? (JSON)

use bytes::Bytes;
use serde_json::json;

use crate::scene::Scene;

/// A message of mallory whose content holds a number that can be replaced in its text.
fn with_number(scene: &Scene, text: &str) -> String {
    let content = json!({ "body": format!("n {}", scene.number()), "n": 123_454_321 });
    let pdu = scene.event("mallory", "m.room.message", None, &content);
    pdu.to_string().replace("123454321", text)
}

#[test]
fn numbers_are_canonical_integers() {
    for version in ["6", "11", "12"] {
        let scene = Scene::new(version);
        let huge = format!("1{}", "0".repeat(400));
        for number in [
            "1.5",
            "1.0",
            "1e2",
            "9007199254740992",
            "-9007199254740992",
            "9223372036854775808",
            "-0",
            "-0.0",
            &huge,
        ] {
            let answer = scene.send_text(&scene.evil, &with_number(&scene, number));
            assert!(matches!(answer.status, 200 | 400), "JSON1 {number}: {answer:?}");
            // A number that no double holds is no JSON for many readers; the others cost only their event.
            if number.len() < 100 {
                scene.dropped_text(&format!("JSON1 {number}"), &with_number(&scene, number));
            }
        }
        scene.goes_on();
    }
}

#[test]
fn what_is_no_json_is_refused_as_a_whole() {
    let scene = Scene::new("11");
    let events = scene.count("events");
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    for (what, bytes) in [
        ("JSON2 NaN", b"{\"pdus\":[NaN],\"edus\":[]}".to_vec()),
        ("JSON2 Infinity", b"{\"pdus\":[],\"edus\":[Infinity]}".to_vec()),
        ("JSON4 surrogate", b"{\"pdus\":[],\"edus\":[\"\\ud800\"]}".to_vec()),
        ("JSON6 10,000", format!("{{\"pdus\":[{}]}}", deep(10_000)).into_bytes()),
        ("JSON6 100,000", format!("{{\"pdus\":[{}]}}", deep(100_000)).into_bytes()),
        ("JSON6 objects", format!("{{\"pdus\":[{objects}]}}").into_bytes()),
        ("JSON7 UTF-8", b"{\"pdus\":[],\"edus\":[\"\xff\"]}".to_vec()),
        ("JSON7 BOM", b"\xef\xbb\xbf{\"pdus\":[]}".to_vec()),
        ("JSON7 truncated", b"{\"pdus\":[".to_vec()),
        ("JSON7 empty", Vec::new()),
        ("JSON7 a list", b"[]".to_vec()),
        ("JSON7 null", b"null".to_vec()),
        ("JSON7 a number", b"5".to_vec()),
    ] {
        let answer = scene.send_bytes(&scene.evil, Bytes::from(bytes));
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    assert_eq!(scene.count("events"), events);
    scene.goes_on();
}

#[test]
fn lists_of_a_transaction_may_hold_anything() {
    let scene = Scene::new("11");
    let events = scene.count("events");
    for body in [
        json!({ "pdus": {}, "edus": [] }),
        json!({ "edus": [] }),
        json!({ "pdus": [1, "x", null, [], {}, { "room_id": scene.room }], "edus": [] }),
        json!({ "pdus": [], "edus": "x" }),
        json!({ "pdus": [], "edus": [1, "x", null, [], {}, { "edu_type": 5 }] }),
        json!({ "pdus": "x" }),
        json!({ "pdus": null, "edus": null }),
    ] {
        let answer = scene.send_body(&scene.evil, &body);
        assert!(matches!(answer.status, 200 | 400), "JSON8 {body}: {answer:?}");
    }
    assert_eq!(scene.count("events"), events);
    let neighbours = [json!(1), json!("x"), json!(null), scene.message(), json!({}), json!([])];
    let answer = scene.send(&scene.evil, &neighbours, &[json!(1)]);
    assert_eq!(answer.status, 200, "JSON8 {answer:?}");
    assert!(scene.sees(&scene.id(&neighbours[3])), "JSON8 a neighbour of junk is lost");
    scene.goes_on();
}

#[test]
fn of_two_members_of_one_name_one_is_read_everywhere() {
    let scene = Scene::new("11");
    let pdu = scene.event("mallory", "m.room.message", None, &json!({ "body": "the last" }));
    let twice = pdu
        .to_string()
        .replace("\"body\":\"the last\"", "\"body\":\"first\",\"body\":\"the last\"");
    let answer = scene.send_text(&scene.evil, &twice);
    assert_eq!(answer.status, 200, "JSON5 {answer:?}");
    let held = scene.held(&scene.id(&pdu)).unwrap();
    assert_eq!(held.pdu["content"], json!({ "body": "the last" }), "JSON5");
    assert_eq!(scene.seen(&scene.id(&pdu)).body["content"], held.pdu["content"], "JSON5");
    assert!(!scene.timeline(&scene.room).iter().any(|event| event["content"]["body"] == "first"));
    scene.goes_on();
}
