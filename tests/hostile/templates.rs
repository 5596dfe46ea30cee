//! What of another server's template do we sign? (RES1)

use serde_json::{Value, json};
use tombolo_support::{Hosted, ok};

use crate::scene::{HostileScene, OURS};

fn alice() -> String {
    format!("@alice:{OURS}")
}

#[test]
fn of_a_template_only_the_links_are_taken() {
    for version in ["6", "11", "12"] {
        for (member, value, status) in [
            ("type", json!("m.room.power_levels"), 502),
            ("sender", json!("@bob:ours.test:8448"), 502),
            ("state_key", json!("@bob:ours.test:8448"), 502),
            ("room_id", json!("!other:evil.test"), 502),
            ("content", json!({ "membership": "ban" }), 502),
            ("content", json!({ "membership": "join", "displayname": "forged" }), 200),
            ("redacts", json!("$x"), 200),
            ("origin_server_ts", json!(5), 200),
            ("hashes", json!({ "sha256": "x" }), 200),
            ("extra", json!("forged"), 200),
        ] {
            let scene = HostileScene::bare(version);
            let hosted = scene.hosted(&scene.evil);
            hosted.give(&scene.evil);
            let (altered, forged) = (hosted.clone(), value.clone());
            scene.evil.on("make_join", move |asked| {
                let mut template =
                    altered.template(&asked.arguments[1], &json!({ "membership": "join" }));
                template["event"][member] = forged.clone();
                ok(&template)
            });
            let answer = scene.join(&hosted, &scene.evil);
            assert_eq!(answer.status, status, "RES1 {member} {answer:?}");
            for asked in scene.evil.asked("send_join") {
                ours_alone(&format!("RES1 {version} {member}"), &hosted, &asked.body);
            }
            scene.comes_right(&hosted, &scene.evil);
        }
    }
}

/// Alice's own join, with nothing in it that a template brought.
fn ours_alone(what: &str, hosted: &Hosted, pdu: &Value) {
    assert_eq!(pdu["type"], json!("m.room.member"), "{what}");
    assert_eq!(pdu["sender"], json!(alice()), "{what}");
    assert_eq!(pdu["state_key"], json!(alice()), "{what}");
    assert_eq!(pdu["room_id"], json!(hosted.room), "{what}");
    assert_eq!(pdu["content"]["membership"], json!("join"), "{what}");
    assert!(!pdu.to_string().contains("forged"), "{what}: {pdu}");
    assert!(pdu["redacts"].is_null(), "{what}: {pdu}");
    assert!(pdu["origin_server_ts"].as_u64() > Some(1_000_000), "{what}: {pdu}");
}

#[test]
fn templates_without_form_are_no_templates() {
    let event = |member: &'static str, value: Value| {
        move |mut template: Value| {
            template["event"][member] = value.clone();
            template
        }
    };
    let ids =
        |count: usize| Value::Array((0..count).map(|n| json!(format!("${n:0>43}"))).collect());
    type Alter = Box<dyn Fn(Value) -> Value>;
    let cases: Vec<(&str, Alter)> = vec![
        ("depth", Box::new(event("depth", json!(-1)))),
        ("depth", Box::new(event("depth", json!("x")))),
        ("prev_events", Box::new(event("prev_events", json!("x")))),
        ("21 prev_events", Box::new(event("prev_events", ids(21)))),
        ("11 auth_events", Box::new(event("auth_events", ids(11)))),
        ("auth_events", Box::new(event("auth_events", json!([5])))),
        (
            "version",
            Box::new(|mut template| {
                template["room_version"] = json!("org.example");
                template
            }),
        ),
        (
            "version",
            Box::new(|mut template| {
                template["room_version"] = json!(5);
                template
            }),
        ),
        ("no event", Box::new(|_| json!({ "room_version": "11" }))),
        ("a list", Box::new(|_| json!([]))),
        ("event a text", Box::new(|_| json!({ "room_version": "11", "event": "x" }))),
    ];
    for (what, alter) in cases {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        hosted.give(&scene.evil);
        let template = alter(hosted.template(&alice(), &json!({ "membership": "join" })));
        scene.evil.on("make_join", move |_| ok(&template));
        let answer = scene.join(&hosted, &scene.evil);
        assert!(matches!(answer.status, 400..500 | 502), "RES1 {what}: {answer:?}");
        assert_eq!(scene.evil.times_asked("send_join"), 0, "RES1 {what} was signed");
        scene.comes_right(&hosted, &scene.evil);
    }
}
