//! Which headers and codes do answers have, and when are requests limited?

use serde_json::{Value, json};
use tombolo_support::{Answer, text};

use super::{one_server, one_server_with};

#[track_caller]
fn allows_every_origin(answer: &Answer) {
    let header =
        |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"));
    assert!(header("access-control-allow-methods").is_some_and(|methods| methods.contains("PUT")));
    let allowed = header("access-control-allow-headers").unwrap_or_default();
    assert!(allowed.contains("Authorization"), "{allowed}");
}

#[test]
fn every_answer_allows_every_origin() {
    let scene = one_server();
    let alice = scene.register("alice");
    for (line, status) in [
        ("GET /_matrix/client/versions", 200),
        ("GET /_matrix/client/v3/account/whoami", 200),
        ("GET /_matrix/client/v3/sync?since=no", 400),
        ("GET /_matrix/client/v3/user/@eve:example.org/account_data/x", 403),
        ("GET /_matrix/client/v3/none", 404),
        ("POST /_matrix/client/v3/sync", 405),
    ] {
        let answer = scene.call(Some(&alice), line, &Value::Null);
        assert_eq!(answer.status, status, "{line}");
        allows_every_origin(&answer);
    }
    let nobody = scene.call(None, "GET /_matrix/client/v3/account/whoami", &Value::Null);
    assert_eq!(nobody.status, 401);
    allows_every_origin(&nobody);
}

#[test]
fn options_are_answered_and_do_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.name");
    for user in [Some(&alice), None] {
        let answer = scene.call(user, &format!("OPTIONS {path}"), &json!({ "name": "x" }));
        assert_eq!(answer.status, 200);
        allows_every_origin(&answer);
    }
    scene.call(None, "OPTIONS /_matrix/client/v3/logout/all", &json!({}));
    scene.get(&alice, &path).refused(404, "M_NOT_FOUND");
}

#[test]
fn what_changes_memberships_and_profiles_is_limited_and_says_until_when() {
    for deed in ["kick", "ban", "unban", "leave", "profile"] {
        let scene = one_server_with(&[("RATE_LIMITS", "on")]);
        let alice = scene.register("alice");
        let room = "!nowhere:example.org";
        let try_it = |number: usize| match deed {
            "profile" => {
                let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", alice.id);
                scene.call(Some(&alice), &line, &json!({ "displayname": number.to_string() }))
            }
            deed => scene.act(&alice, room, deed, &json!({ "user_id": "@bob:example.org" })),
        };
        let answers: Vec<Answer> = (0..20).map(try_it).collect();
        assert_ne!(answers[0].status, 429, "{deed}");
        let last = answers.into_iter().last().unwrap();
        let seconds: u64 = last.headers["retry-after"].to_str().unwrap().parse().unwrap();
        let wait = last.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64().unwrap();
        assert_eq!(seconds, wait.div_ceil(1000), "{deed}");
    }
}

#[test]
fn strangers_have_other_servers_asked_only_so_often() {
    for path in [
        "profile/@bob:unreachable.test",
        "profile/@bob:unreachable.test/displayname",
        "directory/room/%23x:unreachable.test",
    ] {
        let scene = one_server_with(&[("RATE_LIMITS", "on")]);
        let line = format!("GET /_matrix/client/v3/{path}");
        let statuses: Vec<u16> =
            (0..80).map(|_| scene.call(None, &line, &Value::Null).status).collect();
        assert_eq!((statuses[0], statuses[79]), (502, 429), "{path}: {statuses:?}");
        // Questions about our own users and aliases are not limited.
        let own = line.replace("unreachable.test", "example.org");
        assert_eq!(scene.call(None, &own, &Value::Null).status, 404);
    }
}

#[test]
fn a_room_is_looked_through_for_a_time_only_so_often() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let path = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts=0&dir=f");
    let statuses: Vec<u16> = (0..80).map(|_| scene.get(&alice, &path).status).collect();
    assert_eq!((statuses[0], statuses[79]), (200, 429), "{statuses:?}");
}

#[test]
fn a_question_that_lacks_something_is_told_so() {
    let scene = one_server();
    let path = "GET /_matrix/client/v3/register/available";
    scene.call(None, path, &Value::Null).refused(400, "M_MISSING_PARAM");
}

#[test]
fn an_event_is_not_found_whether_or_not_its_room_is_here() {
    let scene = one_server();
    let (alice, eve) = (scene.register("alice"), scene.register("eve"));
    let room = scene.room(&alice, &json!({}));
    let said = scene.say(&alice, &room, "hello");
    let answers = [room.as_str(), "!nowhere:example.org"].map(|room| {
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{said}");
        scene.get(&eve, &path).refused(404, "M_NOT_FOUND")
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn members_are_chosen_by_either_condition() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "invite": [carol.id] }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let chosen = |query: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/members?{query}");
        let members = scene.get(&alice, &path).ok();
        let members = members["chunk"].as_array().unwrap().iter();
        let mut chosen: Vec<String> = members.map(|member| text(&member["state_key"])).collect();
        chosen.sort();
        chosen
    };
    let [a, b, c] = [&alice, &bob, &carol].map(|user| user.id.clone());
    assert_eq!(chosen("membership=join"), std::slice::from_ref(&a));
    assert_eq!(chosen("not_membership=leave"), [a.clone(), c.clone()]);
    assert_eq!(chosen("membership=leave&not_membership=join"), [b.clone(), c.clone()]);
    assert_eq!(chosen("membership=join&not_membership=join"), [a, b, c]);
}

#[test]
fn a_device_was_seen_when_it_last_asked() {
    let scene = one_server();
    let alice = scene.register("alice");
    let seen = || {
        scene.get(&alice, "/_matrix/client/v3/devices").ok()["devices"][0]["last_seen_ts"]
            .as_u64()
            .unwrap()
    };
    let first = seen();
    scene.pass(60_000);
    assert_eq!(seen(), first, "no row for every request");
    scene.pass(3_600_000);
    assert!(seen() >= first + 3_600_000, "{} after {first}", seen());
    scene.pass(3_600_000);
    scene.sync(&alice, "");
    let last = seen();
    assert!(last >= first + 7_200_000, "{last} after {first}");
}

#[test]
fn a_question_that_says_something_else_is_told_so() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let asked = |path: &str| scene.get(&alice, &format!("/_matrix/client/v3/{path}"));
    for full_state in ["", "-1", "TRUE"] {
        asked(&format!("sync?full_state={full_state}")).refused(400, "M_INVALID_PARAM");
    }
    asked("sync?full_state=true").ok();
    for key in ["m.room.join_rules", "m.room.join_rules/"] {
        for format in ["", "nonsense"] {
            let path = format!("rooms/{room}/state/{key}?format={format}");
            asked(&path).refused(400, "M_INVALID_PARAM");
        }
        asked(&format!("rooms/{room}/state/{key}?format=event")).ok();
    }
    for filter in ["%7B%22room%22:%5B%5D%7D", "%7B%22room%22:%7B%22state%22:%5B%5D%7D%7D"] {
        asked(&format!("sync?filter={filter}")).refused(400, "M_BAD_JSON");
    }
}

#[test]
fn whom_to_turn_to_is_told_where_somebody_is_named() {
    let path = "GET /.well-known/matrix/support";
    one_server().call(None, path, &Value::Null).refused(404, "M_NOT_FOUND");
    let scene = one_server_with(&[("SUPPORT_CONTACTS", "m.role.admin @admin:example.org")]);
    let answer = scene.call(None, path, &Value::Null);
    allows_every_origin(&answer);
    let contact = json!({ "role": "m.role.admin", "matrix_id": "@admin:example.org" });
    assert_eq!(answer.ok(), json!({ "contacts": [contact] }));
}
