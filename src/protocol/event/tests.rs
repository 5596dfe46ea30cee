//! Which events are well-formed, how are they named, and how do others see them?

use ruma::{EventId, OwnedEventId, RoomId};
use serde_json::{Value, json};

use super::{
    BuildFault, Draft, FormatFault, Links, MAX_BYTES_SENT, Pdu, build, check_format, check_history,
    client_event, create_event_id, event_id, field, redacted, stripped,
};
use crate::{
    json::{MAX_DEPTH_SENT, parse_object, parse_value},
    room_version::SUPPORTED,
    scene::{Room, SERVER, key, object, user, version},
};

fn id(letter: &str) -> OwnedEventId {
    EventId::parse(format!("${}", letter.repeat(43))).unwrap()
}

fn draft(content: Value) -> Draft {
    Draft {
        sender: user("alice"),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: object(content),
        redacts: None,
    }
}

fn built(version_id: &str, draft: Draft, depth: u64) -> Result<Pdu, BuildFault> {
    let room_id = RoomId::parse(format!("!{}", "r".repeat(43))).unwrap();
    let links = Links {
        room_id: Some(&room_id),
        prev_events: &[id("p")],
        auth_events: &[id("a")],
        depth,
        origin_server_ts: 5,
    };
    build(version(version_id), draft, links, &key(), SERVER)
}

/// A well-formed event, as an object to be spoiled.
fn event(version_id: &str) -> Value {
    let pdu = built(version_id, draft(json!({ "body": "x" })), 1).unwrap();
    serde_json::from_str(&pdu.json).unwrap()
}

#[track_caller]
fn is_malformed(version_id: &str, spoiled: &Value) {
    let checked = check_format(&object(spoiled.clone()), version(version_id));
    assert!(checked.is_err(), "{spoiled}");
}

#[test]
fn what_was_built_is_read_back_and_has_its_hash_for_a_name() {
    for version_id in SUPPORTED {
        let pdu = built(version_id, draft(json!({ "body": "x" })), 1).unwrap();
        let object = parse_object(pdu.json.as_bytes()).unwrap();
        assert_eq!(event_id(&object, version(version_id)), pdu.event_id);
        let read = Pdu::from_stored(pdu.event_id.clone(), &pdu.json, version(version_id), true);
        let read = read.unwrap();
        assert_eq!(
            (read.kind(), read.sender.as_str(), read.depth),
            (pdu.kind(), pdu.sender.as_str(), 1)
        );
        assert_eq!((&read.prev_events, &read.auth_events), (&vec![id("p")], &vec![id("a")]));
        assert_eq!(read.json, pdu.json);
        assert!(read.rejected && !read.is_state() && read.origin_server_ts == 5);
    }
}

#[test]
fn a_room_of_version_12_is_named_by_its_create_event() {
    let (room, _) = Room::new("12");
    let room_id = room.id.unwrap();
    let create = &room.events[&create_event_id(&room_id).unwrap()];
    assert_eq!(create.room_id, room_id);
    assert!(!create.json.contains("room_id"));
    let read = Pdu::from_stored(create.event_id.clone(), &create.json, room.version, false);
    assert_eq!(read.unwrap().room_id, room_id);
}

#[test]
fn a_create_event_without_room_is_none_before_version_12() {
    let (room, _) = Room::new("12");
    let create = room.events.values().find(|event| event.kind() == "m.room.create").unwrap();
    assert!(Pdu::from_stored(create.event_id.clone(), &create.json, version("11"), false).is_err());
}

#[test]
fn fields_of_the_wrong_type_are_malformed() {
    let wrong = [json!(null), json!(5), json!([]), json!({}), json!(true)];
    for name in ["type", "sender", "state_key", "room_id"] {
        for value in &wrong {
            let mut spoiled = event("11");
            spoiled[name] = value.clone();
            is_malformed("11", &spoiled);
        }
    }
    for (name, values) in [
        ("content", json!([null, [], "x", 5])),
        ("origin_server_ts", json!([null, "5", true, []])),
        ("depth", json!([null, "5", true, [], -1])),
        ("prev_events", json!([null, "x", 5, {}, [5], [null], ["x"], [["$a", {}]], ["$short"]])),
        ("auth_events", json!([null, "x", 5, {}, [5], [null], ["x"], [["$a", {}]], ["$short"]])),
        ("hashes", json!([null, [], "x", {}, { "sha256": 5 }])),
        ("signatures", json!([null, [], "x"])),
        ("event_id", json!(["$x"])),
        ("sender", json!(["evil", "@a", "a:b", "@a:b c", "@a:"])),
        ("room_id", json!(["room", ""])),
    ] {
        for value in values.as_array().unwrap() {
            let mut spoiled = event("11");
            spoiled[name] = value.clone();
            is_malformed("11", &spoiled);
        }
    }
}

#[test]
fn missing_fields_are_malformed() {
    for name in [
        "type",
        "sender",
        "room_id",
        "content",
        "origin_server_ts",
        "depth",
        "prev_events",
        "auth_events",
        "hashes",
        "signatures",
    ] {
        let mut spoiled = event("11");
        spoiled.as_object_mut().unwrap().remove(name);
        is_malformed("11", &spoiled);
    }
}

#[test]
fn lists_of_events_are_bounded_and_without_repetition() {
    let ids = |count: usize| -> Value {
        let id = |index| format!("${index:a>43}");
        (0..count).map(id).collect()
    };
    for (name, most) in [("prev_events", 20), ("auth_events", 10)] {
        let mut full = event("11");
        full[name] = ids(most);
        assert_eq!(check_format(&object(full.clone()), version("11")), Ok(()));
        full[name] = ids(most + 1);
        is_malformed("11", &full);
        assert_eq!(check_history(&object(full.clone()), version("11")), Ok(()), "long ago");
        full[name] = json!([id("a"), id("a")]);
        is_malformed("11", &full);
    }
}

#[test]
fn event_ids_have_one_alphabet() {
    for bad in ["+", "/", "=", "é", ":"] {
        let mut spoiled = event("11");
        spoiled["prev_events"] = json!([format!("${}{bad}", "a".repeat(42))]);
        is_malformed("11", &spoiled);
    }
}

#[test]
fn identifiers_are_measured_in_bytes() {
    for (name, value) in [
        ("type", "é".repeat(128)),
        ("state_key", "é".repeat(128)),
        ("sender", format!("@{}:b", "é".repeat(127))),
        ("room_id", format!("!{}", "é".repeat(128))),
    ] {
        let mut spoiled = event("11");
        spoiled[name] = value.into();
        is_malformed("11", &spoiled);
    }
    let mut longest = event("11");
    longest["type"] = format!("{}x", "é".repeat(127)).into();
    assert_eq!(check_format(&object(longest), version("11")), Ok(()));
}

#[test]
fn historical_user_ids_and_extreme_numbers_are_well_formed() {
    for (name, value) in [
        ("sender", json!("@:example.org")),
        ("sender", json!("@Ünï \u{1}:example.org")),
        ("depth", json!(0)),
        ("depth", json!(9_007_199_254_740_991_i64)),
        ("origin_server_ts", json!(-1)),
        ("type", json!("\u{0}\u{1f}")),
    ] {
        let mut odd = event("11");
        odd[name] = value;
        assert_eq!(check_format(&object(odd.clone()), version("11")), Ok(()), "{odd}");
    }
}

#[test]
fn version_12_ties_rooms_to_hashes_and_keeps_the_create_event_out_of_auth_events() {
    let mut elsewhere = event("12");
    elsewhere["room_id"] = "!room:example.org".into();
    is_malformed("12", &elsewhere);

    let mut citing = event("12");
    citing["auth_events"] = json!([id("r")]);
    is_malformed("12", &citing);

    let mut create = event("12");
    create["type"] = "m.room.create".into();
    is_malformed("12", &create);
    create.as_object_mut().unwrap().remove("room_id");
    for (state_key, expected) in [(Some(""), true), (Some("x"), false), (None, false)] {
        let mut create = create.clone();
        match state_key {
            Some(state_key) => create["state_key"] = state_key.into(),
            None => drop(create.as_object_mut().unwrap().remove("state_key")),
        }
        assert_eq!(check_format(&object(create), version("12")).is_ok(), expected);
    }
}

#[test]
fn what_is_sent_stays_below_what_others_accept() {
    let of_size = |body: usize| built("11", draft(json!({ "body": "x".repeat(body) })), 1);
    let overhead = of_size(0).unwrap().json.len();
    assert_eq!(of_size(MAX_BYTES_SENT - overhead).unwrap().json.len(), MAX_BYTES_SENT);
    let fault = of_size(MAX_BYTES_SENT - overhead + 1);
    assert!(matches!(fault, Err(BuildFault::Format(FormatFault::TooLarge(65_523)))));
}

#[test]
fn what_is_sent_is_nested_no_deeper_than_what_others_accept() {
    // The event and its content are a level each.
    let nested = |lists: usize| {
        let value = (0..lists).fold(json!(1), |inner, _| json!([inner]));
        built("11", draft(json!({ "a": value })), 1)
    };
    let deepest = nested(MAX_DEPTH_SENT - 2).unwrap();
    assert!(parse_object(deepest.json.as_bytes()).is_ok());
    let fault = nested(MAX_DEPTH_SENT - 1);
    assert!(matches!(fault, Err(BuildFault::Format(FormatFault::TooDeep))));
}

#[test]
fn depth_is_cut_to_what_may_be_sent() {
    let pdu = built("11", draft(json!({})), u64::MAX).unwrap();
    assert_eq!(pdu.depth, 9_007_199_254_740_991);
}

#[test]
fn a_redactions_target_stands_where_the_version_wants_it_and_clients_find_it_in_both_places() {
    for (version_id, in_content) in [("10", false), ("11", true)] {
        let draft = Draft {
            event_type: "m.room.redaction".to_owned(),
            redacts: Some(id("t")),
            ..draft(json!({ "reason": "x" }))
        };
        let pdu = built(version_id, draft, 1).unwrap();
        let json: Value = serde_json::from_str(&pdu.json).unwrap();
        assert_eq!(json["content"].get("redacts").is_some(), in_content);
        assert_eq!(json.get("redacts").is_some(), !in_content);
        assert_eq!(pdu.redacts, Some(id("t")));
        let shown: Value = serde_json::from_str(&client_event(&pdu, false)).unwrap();
        assert_eq!(shown["redacts"], id("t").as_str());
        assert_eq!(shown["content"], json!({ "reason": "x", "redacts": id("t") }));
    }
}

#[test]
fn an_empty_redaction_is_still_json() {
    let draft = Draft {
        event_type: "m.room.redaction".to_owned(),
        redacts: Some(id("t")),
        ..draft(json!({}))
    };
    let pdu = built("10", draft, 1).unwrap();
    let shown: Value = serde_json::from_str(&client_event(&pdu, false)).unwrap();
    assert_eq!(shown["content"], json!({ "redacts": id("t") }));
}

#[test]
fn the_target_of_what_is_no_redaction_does_not_count() {
    let mut other = event("10");
    other["redacts"] = id("t").as_str().into();
    let pdu = Pdu::from_object(id("x"), &object(other), version("10")).unwrap();
    assert_eq!(pdu.redacts, None);
}

#[test]
fn clients_see_the_event_without_what_servers_need() {
    let (mut room, mut state) = Room::new("11");
    let pdu = room.send(&mut state, "alice", ("m.room.topic", "k\"ey"), json!({ "topic": "\n" }));
    let shown: Value = parse_value(client_event(&pdu, true).as_bytes()).unwrap();
    assert_eq!(
        shown,
        json!({
            "content": { "topic": "\n" }, "event_id": pdu.event_id, "sender": "@alice:example.org",
            "origin_server_ts": pdu.origin_server_ts, "room_id": "!room:example.org",
            "state_key": "k\"ey", "type": "m.room.topic",
        })
    );
    let stripped: Value = parse_value(stripped(&pdu).as_bytes()).unwrap();
    assert_eq!(
        stripped,
        json!({
            "content": { "topic": "\n" }, "sender": "@alice:example.org", "state_key": "k\"ey",
            "type": "m.room.topic",
        })
    );
}

#[test]
fn a_redacted_event_keeps_its_name() {
    let (mut room, mut state) = Room::new("11");
    let content = json!({ "membership": "join", "displayname": "secret" });
    let pdu = room.send(&mut state, "alice", ("m.room.member", "@alice:example.org"), content);
    let redacted = redacted(&pdu, room.version).unwrap();
    assert_eq!(redacted.event_id, pdu.event_id);
    assert_eq!(redacted.content.get(), r#"{"membership":"join"}"#);
    assert!(!redacted.json.contains("secret"));
    let object = parse_object(redacted.json.as_bytes()).unwrap();
    assert_eq!(event_id(&object, room.version), pdu.event_id);
}

#[test]
fn a_field_is_found_among_others() {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let value = raw(r#"{"a":{"b":1},"b":[2],"\u0063":3,"b":4}"#);
    let found = |name| field(&value, name).map(|value| value.get().to_owned());
    assert_eq!(found("a").as_deref(), Some(r#"{"b":1}"#));
    assert_eq!(found("b").as_deref(), Some("4"));
    assert_eq!(found("c").as_deref(), Some("3"));
    assert_eq!(found("d"), None);
    assert!(field(&raw("[1]"), "a").is_none());
}

#[test]
fn what_a_redaction_redacts_stands_in_one_place() {
    for version_id in SUPPORTED {
        let redaction = Draft {
            event_type: "m.room.redaction".to_owned(),
            redacts: Some(id("t")),
            ..draft(json!({ "redacts": id("t"), "reason": "why" }))
        };
        let event: Value =
            serde_json::from_str(&built(version_id, redaction, 1).unwrap().json).unwrap();
        let in_content = version(version_id).rules.redaction.content_field_redacts;
        assert_eq!(event["content"].get("redacts").is_some(), in_content, "{version_id}");
        assert_eq!(event.get("redacts").is_some(), !in_content, "{version_id}");
    }
}

#[test]
fn very_many_citations_take_no_time_to_speak_of() {
    let ids: Vec<String> = (0..300_000).map(|index| format!("${index:a>43}")).collect();
    let mut huge = event("11");
    huge["prev_events"] = json!(ids);
    let huge = object(huge);
    // Comparing each with each would take minutes.
    assert_eq!(check_format(&huge, version("11")), Err(FormatFault::TooLong("prev_events")));
    assert_eq!(check_history(&huge, version("11")), Ok(()));
}
