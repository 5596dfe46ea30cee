//! What may be reported, what does the answer tell, and what does an operator see?
//! ([reporting content](https://spec.matrix.org/v1.19/client-server-api/#reporting-content))

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tombolo_platform::{simulated::Faults, values};
use tombolo_support::{Answer, Scene, User};

use super::one_server;

fn report(scene: &Scene, user: &User, of: &str, body: &Value) -> Answer {
    scene.call(Some(user), &format!("POST /_matrix/client/v3/{of}/report"), body)
}

fn report_event(scene: &Scene, user: &User, (room, event): (&str, &str), body: &Value) -> Answer {
    let line = format!("POST /_matrix/client/v3/rooms/{room}/report/{event}");
    scene.call(Some(user), &line, body)
}

fn kept(scene: &Scene) -> i64 {
    let query = "SELECT count(*) AS reports FROM reports";
    scene.server.d1().row(query, values![], |row| row.int(0)).unwrap().unwrap()
}

#[test]
fn rooms_and_users_are_reported_by_anybody_whether_or_not_they_exist() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({}));
    let (of_alice, of_room) = (format!("users/{}", alice.id), format!("rooms/{room}"));
    let reported =
        [&*of_alice, "users/@nobody:example.org", &*of_room, "rooms/!nowhere:example.org"];
    for of in reported {
        assert_eq!(report(&scene, &bob, of, &json!({ "reason": "" })).ok(), json!({}));
        report(&scene, &bob, of, &json!({ "reason": 1 })).refused(400, "M_BAD_JSON");
        let long = json!({ "reason": "x".repeat(5_000) });
        report(&scene, &bob, of, &long).refused(400, "M_INVALID_PARAM");
    }
    report(&scene, &bob, &of_alice, &json!({})).refused(400, "M_BAD_JSON");
    assert_eq!(kept(&scene), 4);
    // Clients of v1.13 need not say why they report a room.
    report(&scene, &bob, &of_room, &json!({})).ok();
}

#[test]
fn an_event_is_reported_by_who_is_in_its_room_and_may_see_it() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "initial_state": [
        { "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } }] }));
    let hidden = scene.say(&alice, &room, "before bob");
    let reason = json!({ "reason": "why", "score": -100 });
    report_event(&scene, &bob, (&room, &hidden), &reason).refused(404, "M_NOT_FOUND");
    scene.act(&bob, &room, "join", &json!({})).ok();
    let event = scene.say(&alice, &room, "bad");
    for missing in [&*hidden, "$nothing"] {
        report_event(&scene, &bob, (&room, missing), &reason).refused(404, "M_NOT_FOUND");
    }
    report_event(&scene, &bob, ("!nowhere:example.org", &event), &reason)
        .refused(404, "M_NOT_FOUND");
    assert_eq!(kept(&scene), 0);
    report_event(&scene, &bob, (&room, &event), &reason).ok();
    report_event(&scene, &bob, (&room, &event), &json!({})).ok();
    assert_eq!(kept(&scene), 2);
}

#[test]
fn a_report_that_fails_by_our_fault_is_not_told_to_speak_of_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let event = scene.say(&alice, &room, "bad");
    scene.simulation.settle(60_000);
    scene.simulation.faults(Faults { lost_ask: 100, ..Faults::NONE });
    let report = |_| report_event(&scene, &alice, (&room, &event), &json!({})).status;
    let statuses: BTreeSet<u16> = (0..60).map(report).collect();
    assert_eq!(statuses, BTreeSet::from([200, 503]));
}

#[test]
fn an_operator_lists_reads_and_deletes_reports_of_events() {
    let scene = one_server();
    let (alice, admin) = (scene.register("alice"), scene.register("admin"));
    let room = scene.room(&alice, &json!({}));
    let event = scene.say(&alice, &room, "bad");
    for reason in ["first", "second"] {
        report_event(&scene, &alice, (&room, &event), &json!({ "reason": reason })).ok();
    }
    scene.put(&alice, &room, &format!("redact/{event}/1"), &json!({})).ok();
    let all = "/_synapse/admin/v1/event_reports";
    scene.get(&admin, all).refused(403, "M_FORBIDDEN");
    scene
        .server
        .d1()
        .run("UPDATE accounts SET admin = 1 WHERE localpart = 'admin'", values![])
        .unwrap();
    let reasons = |query: &str| -> Vec<Value> {
        let listed = scene.get(&admin, &format!("{all}?{query}")).ok();
        assert_eq!(listed["total"], 2);
        listed["event_reports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["reason"].clone())
            .collect()
    };
    assert_eq!(
        (reasons(""), reasons("dir=f")),
        (vec![json!("second"), json!("first")], vec![json!("first"), json!("second")])
    );
    assert_eq!(reasons("limit=1&from=1"), ["first"]);
    let one = format!("{all}/1");
    let shown = scene.get(&admin, &one).ok();
    assert_eq!((&shown["sender"], &shown["user_id"]), (&json!(alice.id), &json!(alice.id)));
    assert_eq!(shown["event_json"]["content"]["body"], "bad", "as it was when it was reported");
    scene.call(Some(&admin), &format!("DELETE {one}"), &Value::Null).ok();
    for line in [format!("DELETE {one}"), format!("GET {one}")] {
        scene.call(Some(&admin), &line, &Value::Null).refused(404, "M_NOT_FOUND");
    }
    for query in ["limit=x", "from=-1", "dir=x"] {
        scene.get(&admin, &format!("{all}?{query}")).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn an_operator_sees_and_deletes_reports_of_rooms_and_users_too() {
    let scene = one_server();
    let (alice, admin) = (scene.register("alice"), scene.register("admin"));
    let admit = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
    scene.server.d1().run(admit, values![]).unwrap();
    let of_user = format!("users/{}", admin.id);
    for of in [&*of_user, "rooms/!nowhere:example.org"] {
        report(&scene, &alice, of, &json!({ "reason": "why" })).ok();
    }
    let all = "/_synapse/admin/v1/event_reports";
    let listed = scene.get(&admin, &format!("{all}?dir=f")).ok();
    assert_eq!(listed["total"], 2);
    assert_eq!(listed["event_reports"][0]["sender"], json!(admin.id));
    assert_eq!(listed["event_reports"][1]["room_id"], "!nowhere:example.org");
    for id in [1, 2] {
        let one = format!("{all}/{id}");
        assert_eq!(scene.get(&admin, &one).ok()["event_json"], Value::Null);
        scene.call(Some(&admin), &format!("DELETE {one}"), &Value::Null).ok();
    }
    assert_eq!(kept(&scene), 0);
}

#[test]
fn nobody_fills_the_store_with_reports() {
    let scene = one_server();
    let alice = scene.register("alice");
    for _ in 0..200 {
        report(&scene, &alice, "users/@a:b", &json!({ "reason": "" })).ok();
    }
    report(&scene, &alice, "users/@a:b", &json!({ "reason": "" })).refused(429, "M_LIMIT_EXCEEDED");
    let bob = scene.register("bob");
    report(&scene, &bob, "users/@a:b", &json!({ "reason": "" })).ok();
}
