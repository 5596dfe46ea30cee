//! Can a user set by which rules they are notified?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules))

use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Scene, User, encode};

use super::one_server;
use crate::objects::user_object;

struct Rules {
    scene: Scene,
    alice: User,
}

impl Rules {
    fn new() -> Self {
        let scene = one_server();
        let alice = scene.register("alice");
        Self { scene, alice }
    }

    fn call(&self, method: &str, rest: &str, body: &Value) -> Answer {
        let line = format!("{method} /_matrix/client/v3/pushrules/global/{rest}");
        self.scene.call(Some(&self.alice), &line, body)
    }

    /// Adds a rule of words; `place` is a query.
    fn add(&self, id: &str, place: &str) -> Answer {
        let rule = json!({ "pattern": "word", "actions": ["notify"] });
        self.call("PUT", &format!("content/{}{place}", encode(id)), &rule)
    }

    fn get(&self, rest: &str) -> Answer {
        self.call("GET", rest, &Value::Null)
    }

    /// The IDs of the rules of a kind, most important first.
    fn ids(&self, kind: &str) -> Vec<String> {
        let rules = self.get("").ok();
        let of_kind = rules[kind].as_array().into_iter().flatten();
        of_kind.map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The rules in a sync, if they are there.
    fn synced(&self, since: Option<&str>) -> (Option<Value>, String) {
        let since = since.map(|since| format!("since={since}")).unwrap_or_default();
        let sync = self.scene.sync(&self.alice, &since);
        let items = sync["account_data"]["events"].as_array().cloned().unwrap_or_default();
        let mut rules = items.into_iter().filter(|item| item["type"] == "m.push_rules");
        let content = rules.next().map(|item| item["content"]["global"].clone());
        assert!(rules.next().is_none());
        (content, sync["next_batch"].as_str().unwrap().to_owned())
    }
}

#[test]
fn everybody_has_the_default_rules_of_the_specification() {
    let rules = Rules::new();
    let overriding = [
        "master",
        "suppress_notices",
        "invite_for_me",
        "member_event",
        "is_user_mention",
        "is_room_mention",
        "tombstone",
        "reaction",
        "room.server_acl",
        "suppress_edits",
    ];
    let underriding =
        ["call", "encrypted_room_one_to_one", "room_one_to_one", "message", "encrypted"];
    let ids = |names: &[&str]| names.iter().map(|name| format!(".m.rule.{name}")).collect();
    let (overriding, underriding): (Vec<String>, Vec<String>) =
        (ids(&overriding), ids(&underriding));
    for (kind, expected) in [("override", overriding), ("underride", underriding)] {
        // Polls have rules of their own (MSC3930).
        let (polls, others): (Vec<_>, Vec<_>) =
            rules.ids(kind).into_iter().partition(|id| id.starts_with(".org.matrix.msc3930."));
        assert_eq!(others, expected);
        assert_eq!(polls.len(), if kind == "override" { 1 } else { 4 });
        // Clients have them by themselves, with this condition.
        for id in polls {
            let rule = rules.get(&format!("{kind}/{id}")).ok();
            let mut conditions = rule["conditions"].as_array().unwrap().iter();
            let is = |condition: &&Value| {
                condition["kind"] == "event_match" && condition["key"] == "type"
            };
            let pattern = conditions.find(is).unwrap()["pattern"].as_str().unwrap();
            assert!(pattern.starts_with("org.matrix.msc3381.poll."), "{rule}");
        }
    }
    for kind in ["content", "room", "sender"] {
        assert!(rules.ids(kind).is_empty());
    }
    let master = rules.get("override/.m.rule.master").ok();
    let expected = json!({
        "rule_id": ".m.rule.master", "default": true, "enabled": false, "conditions": [], "actions": [],
    });
    assert_eq!(master, expected);
}

#[test]
fn a_rule_is_added_read_replaced_and_removed() {
    let rules = Rules::new();
    rules.get("content/w").refused(404, "M_NOT_FOUND");
    rules.add("w", "").ok();
    let held = json!({
        "rule_id": "w", "default": false, "enabled": true, "pattern": "word", "actions": ["notify"],
    });
    assert_eq!(rules.get("content/w").ok(), held);
    rules.call("PUT", "content/w/enabled", &json!({ "enabled": false })).ok();
    let other = json!({ "pattern": "other", "actions": [] });
    rules.call("PUT", "content/w", &other).ok();
    let held = rules.get("content/w").ok();
    assert_eq!((&held["pattern"], &held["enabled"]), (&json!("other"), &json!(false)));
    rules.call("DELETE", "content/w", &Value::Null).ok();
    rules.call("DELETE", "content/w", &Value::Null).refused(404, "M_NOT_FOUND");
    for rest in ["content/w", "content/w/enabled", "content/w/actions"] {
        rules.get(rest).refused(404, "M_NOT_FOUND");
    }
    // Of each kind one, under the path of older clients too.
    let condition = json!({ "kind": "event_match", "key": "type", "pattern": "m.x" });
    let conditional =
        json!({ "conditions": [condition], "actions": [{ "set_tweak": "highlight" }] });
    for kind in ["override", "underride"] {
        rules.call("PUT", &format!("{kind}/c"), &conditional).ok();
        assert_eq!(rules.get(&format!("{kind}/c")).ok()["conditions"], json!([condition]));
    }
    for (kind, id) in [("room", "!a:ours.test"), ("sender", "@a:ours.test")] {
        let rest = format!("{kind}/{}", encode(id));
        rules.call("PUT", &rest, &json!({ "actions": [] })).ok();
        assert_eq!(rules.get(&rest).ok()["rule_id"], id);
    }
}

#[test]
fn rules_stand_in_the_order_that_the_user_chose() {
    let rules = Rules::new();
    for (id, place) in [("a", ""), ("b", ""), ("c", "?after=a"), ("d", "?before=a")] {
        rules.add(id, place).ok();
    }
    assert_eq!(rules.ids("content"), ["b", "d", "a", "c"]);
    rules.add("c", "?before=b").ok();
    rules.add("a", "").ok();
    assert_eq!(rules.ids("content"), ["c", "b", "d", "a"]);
    // A rule that moves down stands where it was put, and stays disabled.
    rules.call("PUT", "content/c/enabled", &json!({ "enabled": false })).ok();
    for (place, order) in [
        ("?after=b", ["b", "c", "d", "a"]),
        ("?before=a", ["b", "d", "c", "a"]),
        ("?after=a", ["b", "d", "a", "c"]),
        ("?after=b&before=a", ["b", "d", "c", "a"]),
        ("?before=d", ["b", "c", "d", "a"]),
    ] {
        rules.add("c", place).ok();
        assert_eq!(rules.ids("content"), order, "{place}");
    }
    assert_eq!(rules.get("content/c/enabled").ok()["enabled"], false);
    let rule = json!({ "conditions": [], "actions": [] });
    rules.call("PUT", "override/mine", &rule).ok();
    assert_eq!(rules.ids("override")[..3], [".m.rule.master", "mine", ".m.rule.suppress_notices"]);
}

#[test]
fn a_default_rule_is_changed_and_never_removed() {
    let rules = Rules::new();
    let rule = "override/.m.rule.suppress_notices";
    rules.call("PUT", &format!("{rule}/enabled"), &json!({ "enabled": false })).ok();
    assert_eq!(rules.get(&format!("{rule}/enabled")).ok(), json!({ "enabled": false }));
    rules.call("PUT", &format!("{rule}/actions"), &json!({ "actions": ["notify"] })).ok();
    assert_eq!(rules.get(&format!("{rule}/actions")).ok(), json!({ "actions": ["notify"] }));
    let held = rules.get(rule).ok();
    assert_eq!((&held["default"], &held["enabled"]), (&json!(true), &json!(false)));
    rules.call("DELETE", rule, &Value::Null).refused(400, "M_INVALID_PARAM");
    let body = json!({ "conditions": [], "actions": [] });
    rules.call("PUT", rule, &body).refused(400, "M_INVALID_PARAM");
    rules.call("PUT", "override/.mine", &body).refused(400, "M_INVALID_PARAM");
    assert_eq!(rules.ids("override")[1], ".m.rule.suppress_notices");
}

#[test]
fn what_is_no_rule_is_refused_and_changes_nothing() {
    let rules = Rules::new();
    rules.add("a", "").ok();
    let before = rules.get("").ok();
    for place in
        ["?before=x", "?after=x", "?before=.m.rule.master", "?after=a&before=a", "?after=b"]
    {
        rules.add("b", place).refused(400, "M_INVALID_PARAM");
    }
    for place in ["?before=a", "?after=a"] {
        rules.add("a", place).refused(400, "M_INVALID_PARAM");
    }
    let long = "x".repeat(256);
    for id in ["a/b", "a\\b", ".b", &long] {
        rules.add(id, "").refused(400, "M_INVALID_PARAM");
    }
    let actions = json!({ "actions": [], "pattern": "x".repeat(1024) });
    rules.call("PUT", "content/b", &actions).refused(400, "M_INVALID_PARAM");
    let many = json!({ "actions": vec!["notify"; 200] });
    rules.call("PUT", "content/a/actions", &many).refused(400, "M_INVALID_PARAM");
    for (rest, body) in [
        ("content/b", json!({ "actions": [] })),
        ("content/b", json!({ "pattern": "x" })),
        ("content/b", json!({ "pattern": 5, "actions": [] })),
        // As Synapse has it; the specification says that a rule without conditions always matches.
        ("override/b", json!({ "actions": [] })),
        ("override/b", json!({ "conditions": [], "actions": "notify" })),
        ("override/b", json!({ "actions": [], "conditions": [5] })),
        ("room/b", json!([])),
        ("content/a/enabled", json!({ "enabled": 1 })),
        ("content/a/actions", json!({})),
    ] {
        let answer = rules.call("PUT", rest, &body);
        assert_eq!(answer.status, 400, "{rest} {body}");
    }
    assert_eq!(rules.call("PUT", "odd/b", &json!({ "actions": [] })).status, 400);
    rules.get("odd/b").refused(404, "M_NOT_FOUND");
    // An action is nested as deep as can be read again.
    for depth in 110..130 {
        let action = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let line = "PUT /_matrix/client/v3/pushrules/global/content/a/actions";
        let body = format!(r#"{{"actions":[{action}]}}"#);
        if rules.scene.send(Some(&rules.alice), line, body).status == 200 {
            rules.synced(None).0.unwrap();
            let actions = json!({ "actions": ["notify"] });
            rules.call("PUT", "content/a/actions", &actions).ok();
        }
    }
    assert_eq!(rules.get("").ok(), before);
}

#[test]
fn default_rules_that_nobody_changed_are_those_of_this_build() {
    let rules = Rules::new();
    rules.add("a", "").ok();
    let rule = "underride/.m.rule.message/actions";
    rules.call("PUT", rule, &json!({ "actions": [] })).ok();
    let user = UserId::parse(&*rules.alice.id).unwrap();
    let object = rules.scene.server.sql(&user_object(&user)).unwrap();
    let query = "SELECT content FROM account_data WHERE type = 'm.push_rules'";
    let held = object.row(query, values![], |row| row.text(0)).unwrap();
    let held: Value = serde_json::from_str(&held.unwrap()).unwrap();
    assert_eq!(held["global"]["underride"].as_array().unwrap().len(), 1);
    assert_eq!(held["global"]["override"], Value::Null);
    assert_eq!(rules.get(rule).ok(), json!({ "actions": [] }));
}

#[test]
fn a_sync_has_the_rules_first_and_when_they_changed() {
    let rules = Rules::new();
    let (first, token) = rules.synced(None);
    assert_eq!(first, Some(rules.get("").ok()));
    let (nothing, token) = rules.synced(Some(&token));
    assert_eq!(nothing, None);
    rules.add("w", "").ok();
    let (changed, token) = rules.synced(Some(&token));
    assert_eq!(changed.unwrap()["content"][0]["rule_id"], "w");
    rules.add("w", "").ok();
    assert_eq!(rules.synced(Some(&token)).0, None);
    assert_eq!(rules.synced(None).0, Some(rules.get("").ok()));
}
