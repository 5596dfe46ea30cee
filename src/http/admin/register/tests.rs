//! Is the MAC that of the documented scheme, over every field?

use serde_json::{Value, json};

use super::{Body, from_hex, is_signed};

fn body(changes: &Value) -> Body {
    let mut body = json!({
        "nonce": "abc", "username": "alice", "password": "secret", "admin": false,
        // printf 'abc\0alice\0secret\0notadmin' | openssl sha1 -hmac shared
        "mac": "69795540b9e0de25828867c76dbcab854166e847",
    });
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(body).unwrap()
}

#[test]
fn the_mac_is_that_of_the_documented_scheme() {
    assert!(is_signed("shared", &body(&json!({}))));
}

#[test]
fn the_user_type_is_signed_where_it_is_given() {
    // printf 'abc\0alice\0secret\0admin\0bot' | openssl sha1 -hmac shared
    let mac = "6aa17dcded50ea13f588f0f141ffb5bf4b255316";
    assert!(is_signed("shared", &body(&json!({ "admin": true, "user_type": "bot", "mac": mac }))));
    assert!(!is_signed("shared", &body(&json!({ "admin": true, "mac": mac }))));
}

#[test]
fn whoever_changes_a_field_needs_another_mac() {
    for change in [
        json!({ "admin": true }),
        json!({ "username": "bob" }),
        json!({ "nonce": "abd" }),
        json!({ "mac": "" }),
        json!({ "mac": "xyz" }),
    ] {
        assert!(!is_signed("shared", &body(&change)), "{change}");
    }
    assert!(!is_signed("other", &body(&json!({}))));
}

#[test]
fn hexadecimal_is_read_strictly() {
    assert_eq!(from_hex("00fFa0"), Some(vec![0, 255, 160]));
    for text in ["0", "0g", "+1", "é0", " 00"] {
        assert_eq!(from_hex(text), None, "{text}");
    }
}
