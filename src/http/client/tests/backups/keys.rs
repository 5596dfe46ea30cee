//! Which keys does a backup hold, and how are they read and deleted?

use serde_json::{Value, json};
use tombolo_support::{Answer, encode};

use super::{Client, OTHER, ROOM, contents, key};

#[test]
fn of_two_keys_of_a_session_the_better_is_kept() {
    let client = Client::new();
    let version = client.create();
    // From the worst to the best.
    let keys = [
        key(false, 9, 9),
        key(false, 9, 2),
        key(false, 3, 9),
        key(false, 3, 2),
        key(true, 9, 9),
        key(true, 9, 2),
        key(true, 3, 9),
        key(true, 3, 2),
    ];
    for (worse, one) in keys.iter().enumerate() {
        for (better, other) in keys.iter().enumerate() {
            let session = format!("{worse}-{better}");
            let (before, _) = client.put(&version, &session, one);
            let (after, count) = client.put(&version, &session, other);
            let kept = client.get(&format!("keys/{ROOM}/{session}?version={version}")).ok();
            assert_eq!(&kept, &keys[worse.max(better)], "{one} or {other}");
            assert_eq!(after != before, better > worse, "{one} or {other}");
            assert_eq!(count, (worse * keys.len() + better + 1) as u64);
        }
    }
    // Of two that are equally good, the first.
    let mut again = key(true, 3, 2);
    again["session_data"] = json!({ "ciphertext": "other" });
    let before = client.contents(&version);
    assert_eq!(client.put(&version, "7-7", &again), before);
    let kept = client.get(&format!("keys/{ROOM}/7-7?version={version}")).ok();
    assert_eq!(kept, keys[7]);
}

#[test]
fn the_etag_changes_with_the_keys_and_only_with_them() {
    let client = Client::new();
    let version = client.create();
    let mut etags = vec![client.contents(&version).0];
    let mut now = |answer: Answer, changes: bool, count: u64| {
        let said = contents(&answer.ok());
        assert_eq!(said, client.contents(&version));
        assert_eq!(said.1, count);
        assert_eq!(etags.last() != Some(&said.0), changes, "{said:?} after {etags:?}");
        assert_eq!(!etags.contains(&said.0), changes, "{said:?} after {etags:?}");
        etags.push(said.0);
    };
    let at = |path: &str| format!("keys{path}?version={version}");
    let (room, one) = (format!("/{ROOM}"), format!("/{ROOM}/1"));
    let sessions = json!({ "1": key(true, 0, 0), "2": key(true, 5, 0) });
    let rooms =
        json!({ "rooms": { ROOM: { "sessions": sessions }, OTHER: { "sessions": sessions } } });
    now(client.call("PUT", &at(""), &rooms), true, 4);
    now(client.call("PUT", &at(""), &rooms), false, 4);
    now(client.call("PUT", &at(""), &json!({ "rooms": {} })), false, 4);
    now(client.call("PUT", &at(&room), &json!({ "sessions": {} })), false, 4);
    now(
        client.call(
            "PUT",
            &at(&room),
            &json!({ "sessions": { "2": key(true, 4, 0), "3": key(true, 0, 0) } }),
        ),
        true,
        5,
    );
    now(client.call("PUT", &at(&room), &json!({ "sessions": { "2": key(true, 3, 0) } })), true, 5);
    now(client.delete(&at(&one)), true, 4);
    now(client.delete(&at(&one)), false, 4);
    now(client.delete(&at(&room)), true, 2);
    now(client.delete(&at(&room)), false, 2);
    now(client.delete(&at("")), true, 0);
    now(client.delete(&at("")), false, 0);
    now(client.call("PUT", &at(&one), &key(true, 0, 0)), true, 1);
}

#[test]
fn keys_are_read_by_session_by_room_and_all() {
    let client = Client::new();
    let version = client.create();
    let at = |path: &str| format!("keys{path}?version={version}");
    let (room, odd) = (format!("/{ROOM}"), "a/b+\"c\\");
    assert_eq!(client.get(&at("")).ok(), json!({ "rooms": {} }));
    assert_eq!(client.get(&at(&room)).ok(), json!({ "sessions": {} }));
    client.get(&at(&format!("{room}/1"))).refused(404, "M_NOT_FOUND");
    let sessions = json!({ "1": key(true, 9007199254740991, 0), odd: key(false, 0, 7) });
    let other = json!({ "1": key(false, 1, 1) });
    let rooms =
        json!({ "rooms": { ROOM: { "sessions": sessions }, OTHER: { "sessions": other } } });
    client.call("PUT", &at(""), &rooms).ok();
    assert_eq!(client.get(&at("")).ok(), rooms);
    assert_eq!(client.get(&at(&room)).ok(), rooms["rooms"][ROOM]);
    let one = at(&format!("{room}/{}", encode(odd)));
    assert_eq!(client.get(&one).ok(), sessions[odd]);
    assert_eq!(client.get(&at("/!c:example.org")).ok(), json!({ "sessions": {} }));
    client.delete(&one).ok();
    client.get(&one).refused(404, "M_NOT_FOUND");
    client.delete(&at(&room)).ok();
    assert_eq!(client.get(&at("")).ok(), json!({ "rooms": { OTHER: { "sessions": other } } }));
}

#[test]
fn a_large_backup_is_read_whole() {
    let client = Client::new();
    let version = client.create();
    let at = |path: &str| format!("keys{path}?version={version}");
    let read = |path: &str, keys: u64| {
        let text = client.text(&at(path));
        assert_eq!(text.matches("session_data").count() as u64, keys, "{path}: each once");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let mut rooms = json!({});
    // A page ends with a room, in a room, and with the last key.
    for (room, count) in [("!a", 1000), ("!b", 1), ("!c", 1499), ("!d", 500)] {
        let sessions = (0..count).map(|number| (format!("s{number}"), key(true, number, 0)));
        let sessions: serde_json::Map<String, Value> = sessions.collect();
        rooms[room] = json!({ "sessions": sessions });
        client.call("PUT", &at(&format!("/{room}")), &rooms[room]).ok();
        assert!(read(&format!("/{room}"), count) == rooms[room], "{room}");
    }
    assert!(read("", 3000) == json!({ "rooms": rooms }));
    assert_eq!(client.contents(&version).1, 3000);
}

#[test]
fn what_is_malformed_or_too_large_is_refused() {
    let client = Client::new();
    for (body, status, errcode) in [
        (json!({}), 400, "M_BAD_JSON"),
        (json!(["m.example", {}]), 400, "M_BAD_JSON"),
        (json!({ "algorithm": "m.example" }), 400, "M_BAD_JSON"),
        (json!({ "algorithm": 1, "auth_data": {} }), 400, "M_BAD_JSON"),
        (json!({ "algorithm": "m.example", "auth_data": "x" }), 400, "M_BAD_JSON"),
        (json!({ "algorithm": "x".repeat(256), "auth_data": {} }), 413, "M_TOO_LARGE"),
        (json!({ "algorithm": "x", "auth_data": { "x": "x".repeat(70_000) } }), 413, "M_TOO_LARGE"),
    ] {
        client.call("POST", "version", &body).refused(status, errcode);
    }
    let version = client.create();
    let at = |path: &str| format!("keys{path}?version={version}");
    let one = at(&format!("/{ROOM}/1"));
    for (field, value, status, errcode) in [
        ("first_message_index", json!(-1), 400, "M_BAD_JSON"),
        ("first_message_index", json!(9007199254740992_u64), 400, "M_BAD_JSON"),
        ("first_message_index", json!("1"), 400, "M_BAD_JSON"),
        ("forwarded_count", json!(null), 400, "M_BAD_JSON"),
        ("is_verified", json!(1), 400, "M_BAD_JSON"),
        ("session_data", json!("x"), 400, "M_BAD_JSON"),
        ("session_data", json!({ "ciphertext": "x".repeat(9000) }), 413, "M_TOO_LARGE"),
    ] {
        let mut wrong = key(true, 0, 0);
        wrong[field] = value;
        client.call("PUT", &one, &wrong).refused(status, errcode);
        // One wrong key of many, and none is taken.
        let sessions = json!({ "1": key(true, 0, 0), "2": wrong });
        let room = json!({ "sessions": sessions });
        client.call("PUT", &at(&format!("/{ROOM}")), &room).refused(status, errcode);
        let rooms = json!({ "rooms": { ROOM: room } });
        client.call("PUT", &at(""), &rooms).refused(status, errcode);
    }
    for session in [String::new(), "s".repeat(256)] {
        let sessions = json!({ "sessions": { session: key(true, 0, 0) } });
        client.call("PUT", &at(&format!("/{ROOM}")), &sessions).refused(400, "M_INVALID_PARAM");
    }
    client.call("PUT", &one, &json!([0, 0, true, {}])).refused(400, "M_BAD_JSON");
    client.call("PUT", &at(""), &json!({})).refused(400, "M_BAD_JSON");
    client.call("PUT", &at(&format!("/{ROOM}")), &json!({})).refused(400, "M_BAD_JSON");
    client.get(&at("/no-room")).refused(400, "M_INVALID_PARAM");
    assert_eq!(client.contents(&version), ("0".to_owned(), 0));
}
