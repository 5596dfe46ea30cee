//! Which bytes are hashed and signed? ([canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json),
//! [redactions](https://spec.matrix.org/v1.19/rooms/v12/#redactions))

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write};

pub use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use ruma::{canonical_json, room_version_rules::RedactionRules};
use serde_json::Value;

use crate::room_version::RoomVersion;

/// The canonical text of an object.
#[must_use]
pub fn to_string(object: &CanonicalJsonObject) -> String {
    to_string_without(object, &[])
}

/// The canonical text of an object, as if it did not have these keys.
#[must_use]
pub fn to_string_without(object: &CanonicalJsonObject, keys: &[&str]) -> String {
    let mut text = String::with_capacity(1024);
    write_members(&mut text, object, |key, _, _| !keys.contains(&key));
    text
}

/// The canonical text over which an event is signed and its reference hash computed: redacted,
/// without `signatures` and `unsigned`.
#[must_use]
pub fn redacted_to_string(object: &CanonicalJsonObject, version: &RoomVersion) -> String {
    let rules = &version.rules.redaction;
    let kind = object.get("type").and_then(CanonicalJsonValue::as_str).unwrap_or_default();
    let mut text = String::with_capacity(1024);
    write_members(&mut text, object, |key, value, text| match (key, value) {
        ("signatures", _) => false,
        ("content", CanonicalJsonValue::Object(content)) => {
            write_key(text, key);
            write_content(text, content, kind, rules);
            false
        }
        _ => is_kept(key, rules),
    });
    text
}

/// The object without everything that a redaction removes.
///
/// An event without a type keeps no content: that is what an unknown type keeps.
#[must_use]
pub fn redact(mut object: CanonicalJsonObject, version: &RoomVersion) -> CanonicalJsonObject {
    let rules = &version.rules.redaction;
    let kind = object.get("type").and_then(CanonicalJsonValue::as_str).unwrap_or_default();
    let kind = kind.to_owned();
    object.retain(|key, _| is_kept(key, rules));
    if let Some(CanonicalJsonValue::Object(content)) = object.get_mut("content") {
        // A value that is no object has no `signed` to keep; ruma would keep it whole.
        if kind == "m.room.member"
            && content.get("third_party_invite").is_some_and(|invite| !invite.is_object())
        {
            content.remove("third_party_invite");
        }
        canonical_json::redact_content_in_place(content, rules, kind);
    }
    object
}

/// Writes a string as canonical JSON does: only what must be escaped is.
pub fn write_string(text: &mut String, string: &str) {
    text.push('"');
    let mut written = 0;
    for (at, byte) in string.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..0x20) {
            continue;
        }
        text.push_str(string.get(written..at).unwrap_or_default());
        written = at + 1;
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            0x08 => text.push_str("\\b"),
            0x09 => text.push_str("\\t"),
            0x0a => text.push_str("\\n"),
            0x0c => text.push_str("\\f"),
            0x0d => text.push_str("\\r"),
            _ => push(text, format_args!("\\u{byte:04x}")),
        }
    }
    text.push_str(string.get(written..).unwrap_or_default());
    text.push('"');
}

/// Writes a value as canonical JSON.
fn write_value(text: &mut String, value: &CanonicalJsonValue) {
    match value {
        CanonicalJsonValue::Null => text.push_str("null"),
        CanonicalJsonValue::Bool(true) => text.push_str("true"),
        CanonicalJsonValue::Bool(false) => text.push_str("false"),
        CanonicalJsonValue::Integer(integer) => push(text, format_args!("{integer}")),
        CanonicalJsonValue::String(string) => write_string(text, string),
        CanonicalJsonValue::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(text, item);
            }
            text.push(']');
        }
        CanonicalJsonValue::Object(object) => write_members(text, object, |_, _, _| true),
    }
}

/// The text that a sender of any JSON value has signed: sorted and compact, floats as they are.
#[must_use]
pub fn loose_to_string(value: &Value) -> String {
    let mut text = String::new();
    write_loose(&mut text, value);
    text
}

fn write_loose(text: &mut String, value: &Value) {
    match value {
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_loose(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            text.push('{');
            for (key, value) in sorted {
                write_key(text, key);
                write_loose(text, value);
            }
            text.push('}');
        }
        scalar => push(text, format_args!("{scalar}")),
    }
}

/// Writes an object's members as `keep` decides; it may also write a member itself (the key by
/// [`write_key`]) and answer no.
fn write_members(
    text: &mut String,
    object: &CanonicalJsonObject,
    mut keep: impl FnMut(&str, &CanonicalJsonValue, &mut String) -> bool,
) {
    text.push('{');
    for (key, value) in object {
        if keep(key, value, text) {
            write_key(text, key);
            write_value(text, value);
        }
    }
    text.push('}');
}

fn write_key(text: &mut String, key: &str) {
    if !text.ends_with('{') {
        text.push(',');
    }
    write_string(text, key);
    text.push(':');
}

fn write_content(
    text: &mut String,
    content: &CanonicalJsonObject,
    kind: &str,
    rules: &RedactionRules,
) {
    write_members(text, content, |key, value, text| match (kind, key, value) {
        ("m.room.member", "third_party_invite", CanonicalJsonValue::Object(invite)) => {
            if rules.keep_room_member_third_party_invite_signed {
                write_key(text, key);
                write_members(text, invite, |key, _, _| key == "signed");
            }
            false
        }
        ("m.room.member", "third_party_invite", _) => false,
        _ => is_content_kept(kind, key, rules),
    });
}

/// Whether a redaction keeps this key of an event.
fn is_kept(key: &str, rules: &RedactionRules) -> bool {
    match key {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes"
        | "signatures" | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keep_origin_membership_prev_state,
        _ => false,
    }
}

/// Whether a redaction keeps this key of the content of an event of this type.
fn is_content_kept(kind: &str, key: &str, rules: &RedactionRules) -> bool {
    match (kind, key) {
        ("m.room.member", "membership") => true,
        ("m.room.member", "join_authorised_via_users_server") => {
            rules.keep_room_member_join_authorised_via_users_server
        }
        ("m.room.create", "creator") => true,
        ("m.room.create", _) => rules.keep_room_create_content,
        ("m.room.join_rules", "join_rule") => true,
        ("m.room.join_rules", "allow") => rules.keep_room_join_rules_allow,
        ("m.room.power_levels", "invite") => rules.keep_room_power_levels_invite,
        (
            "m.room.power_levels",
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
            | "users_default",
        ) => true,
        ("m.room.history_visibility", "history_visibility") => true,
        ("m.room.redaction", "redacts") => rules.keep_room_redaction_redacts,
        ("m.room.aliases", "aliases") => rules.keep_room_aliases_aliases,
        _ => false,
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok());
}
