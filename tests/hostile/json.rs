//! What becomes of bodies that are not JSON, or not the JSON of Matrix? (JSON)

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo_protocol::json::canonical_object;
use tombolo_support::{Answer, Reply, encode, ok};

use crate::scene::{HostileScene, OURS};

/// A message of mallory whose content holds a number that can be replaced in its text.
fn with_number(scene: &HostileScene, text: &str) -> String {
    let content = json!({ "body": format!("n {}", scene.number()), "n": 123_454_321 });
    let pdu = scene.event("mallory", "m.room.message", None, &content);
    pdu.to_string().replace("123454321", text)
}

#[test]
fn numbers_are_canonical_integers() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
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
    let scene = HostileScene::new("11");
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
    let scene = HostileScene::new("11");
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
    let answer = scene.transaction(&scene.evil, &neighbours, &[json!(1)]);
    assert_eq!(answer.status, 200, "JSON8 {answer:?}");
    assert!(scene.sees(&scene.id(&neighbours[3])), "JSON8 a neighbour of junk is lost");
    scene.goes_on();
}

#[test]
fn of_two_members_of_one_name_one_is_read_everywhere() {
    let scene = HostileScene::new("11");
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

/// A message of mallory, well signed, whose content is nested so deep. The event and its content are a level each.
fn nested(scene: &HostileScene, levels: usize) -> Value {
    let deep = (2..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut pdu = scene.draft(
        &scene.evil.user("mallory"),
        "m.room.message",
        None,
        &json!({ "body": format!("deep {}", scene.number()) }),
    );
    pdu["content"]["deep"] = deep;
    // What canonical JSON cannot hold is not signed; nobody looks that far.
    match canonical_object(pdu.clone()) {
        Ok(_) => scene.evil.seal(scene.version, &pdu),
        Err(_) => pdu,
    }
}

/// A transaction of these events, signed however deep they are.
fn send_deep(scene: &HostileScene, pdus: &[Value]) -> Answer {
    let body = json!({ "pdus": pdus, "edus": [] });
    let path = format!("/_matrix/federation/v1/send/{}", scene.number());
    let header = scene.evil.authorization(OURS, ("PUT", &path), Some(&body)).header();
    scene.raw(&header, &format!("PUT {path}"), Bytes::from(body.to_string()))
}

/// Values this deep are made and dropped by recursion.
fn on_a_large_stack(work: fn()) {
    std::thread::Builder::new().stack_size(256 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn an_event_of_a_transaction_that_is_too_deep_costs_only_itself() {
    on_a_large_stack(|| {
        for version in ["6", "11", "12"] {
            let scene = HostileScene::new(version);
            for (levels, comes_in) in
                [(120, true), (150, true), (500, true), (501, false), (521, false), (4000, false)]
            {
                let (one, other) = (scene.message_of("minion"), scene.message_of("minion"));
                let deep = nested(&scene, levels);
                let before = scene.count("events");
                let answer = send_deep(&scene, &[one.clone(), deep.clone(), other.clone()]);
                assert_eq!(answer.status, 200, "JSON6 {version} {levels}: {answer:?}");
                for good in [&one, &other] {
                    assert!(scene.sees(&scene.id(good)), "JSON6 {version} {levels}: a neighbour");
                }
                let came = scene.count("events") - before;
                assert_eq!(came, 2 + i64::from(comes_in), "JSON6 {version} {levels}");
            }
            scene.goes_on();
        }
    });
}

#[test]
fn an_event_of_an_answer_that_is_too_deep_costs_only_itself() {
    for levels in [501, 600, 10_000, 100_000] {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        let deep = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let mark = json!({ "deep": 123_454_321 });
        let state =
            hosted.event(&scene.evil, &hosted.creator, ("org.deep", Some("")), &mark).to_string();
        let state = state.replace("123454321", &deep);
        hosted.give(&scene.evil);
        let given = hosted.clone();
        scene.evil.on("send_join", move |asked| {
            let mut answer = given.answer();
            answer["event"] = asked.body.clone();
            for list in ["state", "auth_chain"] {
                answer[list].as_array_mut().unwrap().insert(0, json!(123_454_321));
            }
            let body = answer.to_string().replace("123454321", &state);
            Reply { status: 200, body: body.into() }
        });
        let answer = scene.join(&hosted, &scene.evil);
        assert_eq!(answer.status, 200, "JSON6 {levels}: {answer:?}");
        let held = scene.state_of(&hosted.room);
        assert!(!held.contains_key(&("org.deep".to_owned(), String::new())), "JSON6 {levels}");
        assert!(hosted.state().keys().all(|key| held.contains_key(key)), "JSON6 {levels}");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn a_room_is_joined_in_spite_of_what_is_deep() {
    for levels in [150, 500] {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        let deep = (2..levels).fold(json!(1), |inner, _| json!([inner]));
        let (evil, creator) = (scene.evil.clone(), hosted.creator.clone());
        hosted.say(&evil, &creator, ("org.deep", Some("")), &json!({ "deep": deep }));
        let given = hosted.clone();
        hosted.give(&evil);
        evil.on("send_join", move |_| ok(&given.answer()));
        let answer = scene.join(&hosted, &evil);
        assert_eq!(answer.status, 200, "JSON6 {levels}: {answer:?}");
        let held = scene.state_of(&hosted.room);
        assert!(held.contains_key(&("org.deep".to_owned(), String::new())), "JSON6 {levels}");
        scene.hears(&hosted, &evil);
    }
}

#[test]
fn what_fills_a_gap_may_be_too_deep() {
    let scene = HostileScene::new("11");
    let deep = format!("{}1{}", "[".repeat(9000), "]".repeat(9000));
    let junk = scene.message().to_string().replace("\"m.text\"", &deep);
    let missed = scene.message();
    let mut after = scene.draft(
        &scene.evil.user("mallory"),
        "m.room.message",
        None,
        &json!({ "body": "after" }),
    );
    after["prev_events"] = json!([scene.id(&missed)]);
    after["depth"] = json!(missed["depth"].as_u64().unwrap() + 1);
    let after = scene.evil.seal(scene.version, &after);
    let given = missed.clone();
    scene.evil.on("get_missing_events", move |_| {
        let body = format!("{{\"events\":[{junk},{given}]}}");
        Reply { status: 200, body: body.into() }
    });
    scene.transaction(&scene.evil, std::slice::from_ref(&after), &[]);
    for pdu in [&missed, &after] {
        assert!(scene.sees(&scene.id(pdu)), "JSON6 {pdu}");
    }
    scene.goes_on();
}

#[test]
fn what_our_users_send_is_nested_no_deeper_than_others_read() {
    let scene = HostileScene::new("11");
    let room = encode(&scene.room);
    let content = |levels: usize| {
        let lists = levels - 2;
        json!({ "deep": (0..lists).fold(json!(1), |inner, _| json!([inner])) })
    };
    let create = |levels: usize| {
        let state = json!({ "type": "org.deep", "content": content(levels) });
        json!({ "initial_state": [state] })
    };
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    for (levels, status) in [(120, 200), (121, 400), (300, 400)] {
        let number = scene.number();
        for (line, body) in [
            (format!("PUT {rooms}/send/org.deep/{number}"), content(levels)),
            (format!("PUT {rooms}/state/org.deep/k{number}"), content(levels)),
            ("POST /_matrix/client/v3/createRoom".to_owned(), create(levels)),
        ] {
            let answer = scene.call(Some(&scene.alice), &line, &body);
            assert_eq!(answer.status, status, "{levels} {line}: {answer:?}");
            let code = (status != 200).then_some("M_BAD_JSON");
            assert_eq!(answer.text("errcode").as_deref(), code, "{levels} {line}: {answer:?}");
        }
    }
    scene.goes_on();
}
