//! Which servers does a list admit?

use serde_json::{Value, json};

use super::ServerAcl;

fn acl(content: &Value) -> ServerAcl {
    ServerAcl::of(&serde_json::value::to_raw_value(content).unwrap())
}

#[track_caller]
fn admits(content: &Value, server_name: &str, expected: bool) {
    assert_eq!(acl(content).admits(server_name), expected, "{content} {server_name}");
}

#[test]
fn who_is_denied_or_not_allowed_stays_out() {
    let content = json!({ "allow": ["*"], "deny": ["*.evil.com", "evil.com"] });
    for (name, expected) in [
        ("good.org", true),
        ("evil.com", false),
        ("sub.evil.com", false),
        ("EVIL.com", false),
        ("evil.com:8448", false),
        ("notevil.com", true),
        ("1.2.3.4", true),
        ("[::1]:80", true),
    ] {
        admits(&content, name, expected);
    }
    admits(&json!({ "allow": ["*.org"] }), "a.org:1", true);
    admits(&json!({ "allow": ["*.org"] }), "a.com", false);
}

#[test]
fn without_a_list_of_the_allowed_nobody_is() {
    for content in [
        json!({}),
        json!({ "allow": [] }),
        json!({ "allow": "*" }),
        json!({ "allow": { "*": 1 } }),
        json!({ "allow": [1, null, ["*"]] }),
    ] {
        admits(&content, "good.org", false);
    }
}

#[test]
fn entries_that_are_no_strings_are_skipped() {
    let content = json!({ "allow": [1, "*", null], "deny": [{}, "evil.com", 5] });
    admits(&content, "good.org", true);
    admits(&content, "evil.com", false);
    admits(&json!({ "allow": ["*"], "deny": "evil.com" }), "evil.com", true);
}

#[test]
fn addresses_can_be_kept_out() {
    let content = |flag: Value| json!({ "allow": ["*"], "allow_ip_literals": flag });
    for name in ["1.2.3.4", "1.2.3.4:80", "[2001:db8::1]", "[2001:db8::1]:80"] {
        admits(&content(json!(false)), name, false);
        admits(&content(json!(true)), name, true);
        admits(&content(json!("false")), name, true);
    }
    admits(&content(json!(false)), "example.org", true);
}

#[test]
fn a_literal_is_matched_as_it_is_written() {
    let content = |glob: &str| json!({ "allow": ["*"], "deny": [glob] });
    for (glob, name, admitted) in [
        ("[2001:db8:0:0:0:0:0:1]", "[2001:db8:0:0:0:0:0:1]:8448", false),
        ("[2001:0db8:*", "[2001:0db8::1]", false),
        ("[2001:db8::1]", "[2001:DB8::1]:80", false),
        ("[2001:db8::1]", "[2001:db8:0::1]", true),
        ("1.2.3.*", "1.2.3.4:80", false),
    ] {
        admits(&content(glob), name, admitted);
    }
}

#[test]
fn what_is_no_server_name_is_not_admitted() {
    for name in ["", "a_b.c", "a b", "evil.com/x", "[::1"] {
        admits(&json!({ "allow": ["*"] }), name, false);
    }
}

#[test]
fn what_is_deep_beside_the_lists_shuts_nobody_out() {
    let deep = format!("{{\"deep\":{}{},\"allow\":[\"*\"]}}", "[".repeat(400), "]".repeat(400));
    let content = serde_json::value::RawValue::from_string(deep).unwrap();
    assert!(ServerAcl::of(&content).admits("good.org"));
}
