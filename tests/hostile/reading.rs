//! What may a server read that was never in the room, that left it, or that it keeps out? (ROOM2 to ROOM4, I16, I17)

use serde_json::{Value, json};
use tombolo_support::{Answer, Peer, encode};

use crate::scene::{HostileScene, OURS};

/// A string that is nowhere but in the room.
const SECRET: &str = "the-secret-word";

/// Every question about a room that an event of it answers.
fn ask_all(scene: &HostileScene, peer: &Peer, room: &str, event: &str) -> Vec<(String, Answer)> {
    let (room, event) = (encode(room), encode(event));
    let missing = json!({ "earliest_events": [], "latest_events": [percent(&event)], "limit": 20, "min_depth": 0 });
    let get = [
        format!("/_matrix/federation/v1/event/{event}"),
        format!("/_matrix/federation/v1/state/{room}?event_id={event}"),
        format!("/_matrix/federation/v1/state_ids/{room}?event_id={event}"),
        format!("/_matrix/federation/v1/event_auth/{room}/{event}"),
        format!("/_matrix/federation/v1/backfill/{room}?v={event}&limit=100"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=0&dir=f"),
        format!("/_matrix/federation/v1/hierarchy/{room}"),
    ];
    let mut answers: Vec<(String, Answer)> = get
        .into_iter()
        .map(|path| {
            let answer = scene.signed(peer, &format!("GET {path}"), None);
            (path, answer)
        })
        .collect();
    let path = format!("/_matrix/federation/v1/get_missing_events/{room}");
    let answer = scene.signed(peer, &format!("POST {path}"), Some(&missing));
    answers.push((path, answer));
    answers
}

fn percent(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn learns_nothing(scene: &HostileScene, peer: &Peer, room: &str, event: &str) {
    for (path, answer) in ask_all(scene, peer, room, event) {
        // What a public room is, anybody may know who looks for rooms.
        let refused = matches!(answer.status, 403 | 404) || path.contains("/hierarchy/");
        assert!(refused, "ROOM2 {path}: {answer:?}");
        assert!(!answer.body.to_string().contains(SECRET), "ROOM2 {path}: {answer:?}");
    }
}

#[test]
fn a_server_that_was_never_there_reads_nothing() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let secret = scene.say(&scene.alice, &scene.room, SECRET);
        for event in [&secret, &scene.state()[&("m.room.create".to_owned(), String::new())]] {
            learns_nothing(&scene, &scene.third, &scene.room, event);
        }
        let private = scene.create_room("private_chat");
        let line = format!("GET /_matrix/federation/v1/hierarchy/{}", encode(&private));
        scene.signed(&scene.third, &line, None).refused(404, "M_NOT_FOUND");
        let seen: Vec<_> = ask_all(&scene, &scene.evil, &scene.room, &secret);
        assert!(
            seen.iter().any(|(_, answer)| answer.body.to_string().contains(SECRET)),
            "a member reads nothing"
        );
        scene.goes_on();
    }
}

#[test]
fn an_event_of_another_room_is_not_read_through_ones_own() {
    for version in ["11", "12"] {
        let scene = HostileScene::new(version);
        let private = scene.create_room("private_chat");
        let secret = scene.say(&scene.alice, &private, SECRET);
        for (path, answer) in ask_all(&scene, &scene.evil, &scene.room, &secret) {
            assert!(matches!(answer.status, 200 | 403 | 404), "ROOM3 {path}: {answer:?}");
            let text = answer.body.to_string();
            assert!(!text.contains(SECRET), "ROOM3 {path}: {answer:?}");
            for id in scene.state_of(&private).values() {
                assert!(!text.contains(id.as_str()), "ROOM3 {path}: {answer:?}");
            }
        }
        for (path, answer) in ask_all(&scene, &scene.evil, &private, &scene.extremities()[0]) {
            let is_allowed = path.contains("/event/") && answer.status == 200;
            assert!(is_allowed || matches!(answer.status, 403 | 404), "ROOM3 {path}: {answer:?}");
            assert!(!answer.body.to_string().contains(SECRET), "ROOM3 {path}: {answer:?}");
        }
        learns_nothing(&scene, &scene.evil, &private, &secret);
        scene.goes_on();
    }
}

/// A server that is out of the room gets nothing that is said afterwards, whatever it asks; what was said before, it
/// may know.
fn is_out(scene: &HostileScene, peer: &Peer) {
    let secret = scene.say(&scene.alice, &scene.room, SECRET);
    scene.settle();
    let newest = scene.say(&scene.alice, &scene.room, SECRET);
    for asked in [&secret, &newest] {
        for (path, answer) in ask_all(scene, peer, &scene.room, asked) {
            assert!(matches!(answer.status, 200 | 403 | 404), "I17 {path}: {answer:?}");
            let text = answer.body.to_string();
            for after in [SECRET, &secret, &newest] {
                assert!(!text.contains(after), "I17 {path}: {answer:?}");
            }
        }
    }
    scene.settle();
    let told = peer.asked("send").iter().any(|asked| asked.body.to_string().contains(SECRET));
    assert!(!told, "I17 a server that is out was told");
}

#[test]
fn a_server_that_left_reads_nothing_of_what_came_after() {
    let scene = HostileScene::new("11");
    assert_eq!(scene.enter(&scene.third, "guest").status, 200);
    let guest = scene.third.user("guest");
    let before = scene.say(&scene.alice, &scene.room, "before");
    let leave = scene.make(&scene.third, "make_leave", &guest).body["event"].clone();
    let leave = scene.third.seal(scene.version, &leave);
    assert_eq!(scene.deliver_member(&scene.third, "send_leave", &leave).status, 200);
    is_out(&scene, &scene.third);
    let line = format!("GET /_matrix/federation/v1/event/{}", encode(&before));
    let answer = scene.signed(&scene.third, &line, None);
    assert!(matches!(answer.status, 200 | 404), "I17 {answer:?}");
    scene.goes_on();
}

#[test]
fn a_server_that_was_banned_reads_nothing_of_what_came_after() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        assert_eq!(scene.enter(&scene.third, "guest").status, 200);
        scene.member("ban", &scene.third.user("guest"));
        is_out(&scene, &scene.third);
        scene.member("unban", &scene.third.user("guest"));
        is_out(&scene, &scene.third);
        scene.goes_on();
    }
}

#[test]
fn a_server_that_the_room_keeps_out_reads_nothing_at_all() {
    let scene = HostileScene::new("11");
    assert_eq!(scene.enter(&scene.third, "guest").status, 200);
    let before = scene.say(&scene.alice, &scene.room, SECRET);
    let acl = |deny: &str| json!({ "allow": ["*"], "deny": [deny] });
    for deny in ["third.test", "THIRD.*", "*ird.tes?", "*"] {
        let tries = json!({ "allow": ["ours.test", "evil.test", "other"], "deny": [deny] });
        let acl = if deny == "*" { json!({ "allow": ["ours.test", "evil.test"] }) } else { tries };
        scene.set(&scene.alice, &scene.room, ("m.room.server_acl", ""), &acl);
        learns_nothing_of(&scene, &before, deny);
    }
    for junk in [
        json!({ "allow": [5, null, "*"], "deny": [5, {}, "third.test"] }),
        json!({ "allow": ["*"], "deny": [format!("{}third.test", "*".repeat(2000))] }),
    ] {
        scene.set(&scene.alice, &scene.room, ("m.room.server_acl", ""), &junk);
        learns_nothing_of(&scene, &before, &junk.to_string().chars().take(80).collect::<String>());
    }
    scene.set(&scene.alice, &scene.room, ("m.room.server_acl", ""), &acl("elsewhere.test"));
    let line = format!("GET /_matrix/federation/v1/event/{}", encode(&before));
    assert_eq!(scene.signed(&scene.third, &line, None).status, 200, "ACL1 let in again");
    scene.goes_on();
}

fn learns_nothing_of(scene: &HostileScene, event: &str, deny: &str) {
    for (path, answer) in ask_all(scene, &scene.third, &scene.room, event) {
        assert!(matches!(answer.status, 403 | 404), "ACL2 {deny} {path}: {answer:?}");
    }
}

#[test]
fn history_is_shown_as_its_visibility_allows() {
    for version in ["11", "12"] {
        let scene = HostileScene::new(version);
        scene.set(
            &scene.alice,
            &scene.room,
            ("m.room.history_visibility", ""),
            &json!({ "history_visibility": "joined" }),
        );
        let secret = scene.say(&scene.alice, &scene.room, SECRET);
        assert_eq!(scene.enter(&scene.third, "late").status, 200);
        let open = scene.say(&scene.alice, &scene.room, "for those who are there");
        for (path, answer) in ask_all(&scene, &scene.third, &scene.room, &open) {
            assert!(!answer.body.to_string().contains(SECRET), "ROOM4 {path}: {answer:?}");
        }
        for (path, answer) in ask_all(&scene, &scene.third, &scene.room, &secret) {
            assert!(!answer.body.to_string().contains(SECRET), "ROOM4 {path}: {answer:?}");
        }
        let line = format!("GET /_matrix/federation/v1/event/{}", encode(&open));
        let answer = scene.signed(&scene.third, &line, None);
        assert_eq!(answer.status, 200, "ROOM4 {answer:?}");
        scene.goes_on();
    }
}

#[test]
fn questions_without_form_are_refused() {
    let scene = HostileScene::new("11");
    let (room, event) = (encode(&scene.room), encode(&scene.extremities()[0]));
    for path in [
        format!("/_matrix/federation/v1/backfill/{room}"),
        format!("/_matrix/federation/v1/backfill/{room}?v={event}"),
        format!("/_matrix/federation/v1/backfill/{room}?limit=5"),
        format!("/_matrix/federation/v1/backfill/{room}?v={event}&limit=-1"),
        format!("/_matrix/federation/v1/backfill/{room}?v={event}&limit=x"),
        format!("/_matrix/federation/v1/backfill/{room}?v={event}&limit=99999999999999999999"),
        format!("/_matrix/federation/v1/backfill/{room}?v=x&limit=5"),
        format!("/_matrix/federation/v1/backfill/x?v={event}&limit=5"),
        format!("/_matrix/federation/v1/state/{room}"),
        format!("/_matrix/federation/v1/state/{room}?event_id=x"),
        format!("/_matrix/federation/v1/state_ids/%00?event_id={event}"),
        format!("/_matrix/federation/v1/event_auth/{room}/x"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=x&dir=f"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=1&dir=x"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=9007199254740992&dir=f"),
        "/_matrix/federation/v1/event/x".to_owned(),
        "/_matrix/federation/v1/event/%24%FF".to_owned(),
    ] {
        let answer = scene.signed(&scene.evil, &format!("GET {path}"), None);
        let listed = answer.status == 200 && answer.body["pdus"] == json!([]);
        assert!(matches!(answer.status, 400..500) || listed, "{path}: {answer:?}");
    }
    let line = format!("POST /_matrix/federation/v1/get_missing_events/{room}");
    let whole =
        json!({ "earliest_events": [], "latest_events": [scene.extremities()[0]], "limit": 10 });
    for (member, value) in [
        ("limit", json!("x")),
        ("limit", json!(-1)),
        ("latest_events", json!("x")),
        ("latest_events", json!([5])),
        ("earliest_events", json!({})),
        ("min_depth", json!("x")),
    ] {
        let mut body = whole.clone();
        body[member] = value.clone();
        let answer = scene.signed(&scene.evil, &line, Some(&body));
        assert_eq!(answer.status, 400, "{member} {value}: {answer:?}");
    }
    let mut huge = whole.clone();
    huge["limit"] = json!(4_000_000_000_u32);
    huge["latest_events"] = Value::Array((0..5000).map(|n| json!(format!("${n:0>43}"))).collect());
    let answer = scene.signed(&scene.evil, &line, Some(&huge));
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    scene.goes_on();
}

#[test]
fn a_rejected_event_is_answered_to_nobody() {
    let scene = HostileScene::new("11");
    let coup = scene.event("mallory", "m.room.name", Some(""), &json!({ "name": "coup" }));
    scene.rejected("a name without the right", &coup);
    for (path, answer) in ask_all(&scene, &scene.evil, &scene.room, &scene.id(&coup)) {
        assert!(!answer.body.to_string().contains("coup"), "I1 {path}: {answer:?}");
    }
    let next = scene.say(&scene.alice, &scene.room, "next");
    for (path, answer) in ask_all(&scene, &scene.evil, &scene.room, &next) {
        assert!(!answer.body.to_string().contains("coup"), "I1 {path}: {answer:?}");
    }
    assert_eq!(scene.membership(&scene.room, &format!("@alice:{OURS}")), "join");
    scene.goes_on();
}

#[test]
fn a_stranger_who_learns_that_we_left_may_read_nothing() {
    let scene = HostileScene::new("11");
    let known = scene.say(&scene.alice, &scene.room, "known");
    let pdu = scene.draft(&scene.third.user("x"), "m.room.message", None, &json!({ "body": "x" }));
    let pdu = scene.third.seal(scene.version, &pdu);
    assert!(pdu["prev_events"].as_array().unwrap().contains(&json!(known)), "{pdu}");
    let line = format!("POST /_matrix/client/v3/rooms/{}/leave", encode(&scene.room));
    assert_eq!(scene.call(Some(&scene.alice), &line, &json!({})).status, 200);
    scene.transaction(&scene.third, &[pdu], &[]);
    scene.settle();
    for what in ["state_ids", "state"] {
        let (room, id) = (encode(&scene.room), encode(&known));
        let line = format!("GET /_matrix/federation/v1/{what}/{room}?event_id={id}");
        let answer = scene.signed(&scene.third, &line, None);
        assert!(matches!(answer.status, 400..500), "{what}: {answer:?}");
    }
}
