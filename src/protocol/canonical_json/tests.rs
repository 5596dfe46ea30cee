//! Is the text the one that every server hashes and signs?

use serde_json::{Value, json};

use super::{loose_to_string, redact, redacted_to_string, to_string, to_string_without};
use crate::{
    json::parse_object,
    room_version::SUPPORTED,
    scene::{object, version},
};

#[test]
fn the_examples_of_the_spec_come_out_as_they_stand_there() {
    for (input, canonical) in [
        ("{}", "{}"),
        ("{\n \"one\": 1,\n \"two\": \"Two\"\n}", r#"{"one":1,"two":"Two"}"#),
        (r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#),
        (r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#),
        (r#"{"a": null}"#, r#"{"a":null}"#),
    ] {
        assert_eq!(to_string(&parse_object(input.as_bytes()).unwrap()), canonical);
        assert_eq!(loose_to_string(&serde_json::from_str(input).unwrap()), canonical);
    }
}

#[test]
fn keys_are_ordered_by_code_point_not_by_utf16_unit() {
    let text = "{\"\u{10000}\":2,\"\u{e000}\":1}";
    assert_eq!(
        to_string(&parse_object(text.as_bytes()).unwrap()),
        "{\"\u{e000}\":1,\"\u{10000}\":2}"
    );
}

#[test]
fn only_what_must_be_escaped_is() {
    let value = json!({ "a": "\u{0}\u{1f}\u{7f}\u{2028}/\"\\\u{8}\u{9}\u{a}\u{b}\u{c}\u{d}é" });
    let expected = "{\"a\":\"\\u0000\\u001f\u{7f}\u{2028}/\\\"\\\\\\b\\t\\n\\u000b\\f\\ré\"}";
    assert_eq!(to_string(&object(value.clone())), expected);
    assert_eq!(loose_to_string(&value), expected);
}

#[test]
fn keys_can_be_left_out_at_the_top_only() {
    let value = object(json!({ "a": 1, "b": { "a": 1 }, "c": 2 }));
    assert_eq!(to_string_without(&value, &["a", "c"]), r#"{"b":{"a":1}}"#);
}

/// Every key that some version keeps, and some that none does, for events of every kind.
fn events() -> Vec<crate::canonical_json::CanonicalJsonObject> {
    let content = json!({
        "membership": "join", "join_authorised_via_users_server": "@a:b", "displayname": "x",
        "third_party_invite": { "display_name": "x", "signed": { "token": "t" } },
        "creator": "@a:b", "room_version": "6", "m.federate": true, "predecessor": {},
        "join_rule": "restricted", "allow": [{ "type": "x" }],
        "ban": 1, "events": { "a": 1 }, "events_default": 1, "kick": 1, "redact": 1,
        "state_default": 1, "users": { "@a:b": 1 }, "users_default": 1, "invite": 1,
        "notifications": { "room": 1 },
        "history_visibility": "shared", "redacts": "$x", "aliases": ["#a:b"], "body": "x",
        "deny": ["*"], "allow_ip_literals": false,
    });
    let kinds = [
        "m.room.member",
        "m.room.create",
        "m.room.join_rules",
        "m.room.power_levels",
        "m.room.history_visibility",
        "m.room.redaction",
        "m.room.aliases",
        "m.room.server_acl",
        "m.room.message",
        "",
    ];
    let event = |kind: &str| {
        object(json!({
            "event_id": "$x", "type": kind, "room_id": "!r:b", "sender": "@a:b", "state_key": "",
            "content": content, "hashes": { "sha256": "x" }, "signatures": { "b": { "k": "s" } },
            "depth": 1, "prev_events": ["$p"], "prev_state": [], "auth_events": ["$a"],
            "origin": "b", "origin_server_ts": 1, "membership": "join", "redacts": "$x",
            "unsigned": { "age": 1 }, "extra": 1,
        }))
    };
    kinds.into_iter().map(event).collect()
}

#[test]
fn redaction_keeps_what_an_independent_table_keeps() {
    for version in SUPPORTED.iter().map(|id| version(id)) {
        for event in events() {
            let expected =
                ruma::canonical_json::redact(event.clone(), &version.rules.redaction, None)
                    .unwrap();
            assert_eq!(redact(event, version), expected);
        }
    }
}

#[test]
fn the_signed_text_is_the_redacted_event_without_signatures() {
    for version in SUPPORTED.iter().map(|id| version(id)) {
        for event in events() {
            let redacted = redact(event.clone(), version);
            let expected = to_string_without(&redacted, &["signatures", "unsigned"]);
            assert_eq!(redacted_to_string(&event, version), expected);
        }
    }
}

#[test]
fn of_a_third_party_invite_only_what_an_object_signed_stays() {
    for (version_id, invite, kept) in [
        ("10", json!({ "signed": {} }), json!({})),
        ("11", json!(5), json!({})),
        ("11", json!(null), json!({})),
        ("11", json!(["signed"]), json!({})),
        ("11", json!({ "other": 1 }), json!({ "third_party_invite": {} })),
        ("11", json!({ "signed": 5, "x": 1 }), json!({ "third_party_invite": { "signed": 5 } })),
    ] {
        let event = |content: Value| object(json!({ "type": "m.room.member", "content": content }));
        let event_before = event(json!({ "third_party_invite": invite }));
        let after = event(kept);
        assert_eq!(redacted_to_string(&event_before, version(version_id)), to_string(&after));
        assert_eq!(redact(event_before, version(version_id)), after);
    }
}
