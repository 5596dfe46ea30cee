//! Which backups are there, and which of them takes keys?

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{encode, text};

use super::{Client, ROOM, backup, contents, key};

#[test]
fn a_backup_is_found_by_its_version_and_the_newest_without() {
    let client = Client::new();
    client.get("version").refused(404, "M_NOT_FOUND");
    client.get("version/1").refused(404, "M_NOT_FOUND");
    // What is signed stays as it was written, whatever else it says.
    let signed =
        r#"{"public_key":"abc+/", "signatures":{"@alice:example.org":{"ed25519:D":"x"}},"a":1}"#;
    let body =
        format!(r#"{{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","auth_data":{signed}}}"#);
    let line = "POST /_matrix/client/v3/room_keys/version";
    let first = text(&client.scene.send(Some(&client.user), line, body.clone()).ok()["version"]);
    let mut expected: Value = serde_json::from_str(&body).unwrap();
    expected["version"] = json!(first);
    expected["count"] = json!(0);
    expected["etag"] = json!("0");
    assert_eq!(client.get("version").ok(), expected);
    let second = client.create();
    assert_ne!(first, second);
    assert_eq!(client.get(&format!("version/{first}")).ok(), expected);
    assert_eq!(client.get("version").ok()["version"], json!(second));
    let bob = client.scene.register("bob");
    client.scene.get(&bob, "/_matrix/client/v3/room_keys/version").refused(404, "M_NOT_FOUND");
}

#[test]
fn only_the_auth_data_of_a_backup_changes() {
    let client = Client::new();
    let version = client.create();
    let path = format!("version/{version}");
    let mut changed = json!({ "algorithm": "m.example", "auth_data": { "public_key": "def" } });
    assert_eq!(client.call("PUT", &path, &changed).ok(), json!({}));
    assert_eq!(client.get(&path).ok()["auth_data"], changed["auth_data"]);
    changed["version"] = json!(version);
    client.call("PUT", &path, &changed).ok();
    changed["version"] = json!("2");
    client.call("PUT", &path, &changed).refused(400, "M_INVALID_PARAM");
    client.call("PUT", &path, &backup("m.other")).refused(400, "M_INVALID_PARAM");
    client.call("PUT", "version/2", &changed).refused(404, "M_NOT_FOUND");
    let is = client.get(&path).ok();
    assert_eq!((&is["algorithm"], &is["etag"]), (&json!("m.example"), &json!("0")));
    assert_eq!(is["auth_data"], changed["auth_data"]);
    // An older one changes too.
    client.create();
    client.call("PUT", &path, &backup("m.example")).ok();
    assert_eq!(client.get(&path).ok()["auth_data"], json!({ "public_key": "abc" }));
}

#[test]
fn a_version_is_never_given_twice() {
    let client = Client::new();
    client.delete("version/1").refused(404, "M_NOT_FOUND");
    let gone = client.create();
    client.put(&gone, "s", &key(true, 0, 0));
    // Deleting it again succeeds, too.
    for _ in 0..2 {
        assert_eq!(client.delete(&format!("version/{gone}")).ok(), json!({}));
    }
    let left = "SELECT count(*) FROM backup_keys";
    let left = client.sql().row(left, values![], |row| row.int(0)).unwrap();
    assert_eq!(left, Some(0));
    client.get("version").refused(404, "M_NOT_FOUND");
    client
        .call("PUT", &format!("keys/{ROOM}/s?version={gone}"), &key(true, 0, 0))
        .refused(404, "M_NOT_FOUND");
    let new = client.create();
    assert_ne!(new, gone);
    assert_eq!(client.get(&format!("keys?version={new}")).ok(), json!({ "rooms": {} }));
}

#[test]
fn what_is_no_version_of_a_backup_is_not_found() {
    let client = Client::new();
    let gone = client.create();
    client.delete(&format!("version/{gone}")).ok();
    let version = client.create();
    let forms = [format!("+{version}"), format!("0{version}"), format!("{version}.0")];
    let none = ["9", "0", "-1", "9007199254740993", "99999999999999999999", "x"];
    for version in none.into_iter().chain(forms.iter().map(String::as_str)).chain([&*gone]) {
        let version = encode(version);
        let path = format!("version/{version}");
        client.get(&path).refused(404, "M_NOT_FOUND");
        client.call("PUT", &path, &backup("m.example")).refused(404, "M_NOT_FOUND");
        if version != gone {
            client.delete(&path).refused(404, "M_NOT_FOUND");
        }
        let sessions = json!({ "sessions": { "s": key(true, 0, 0) } });
        for (place, body) in [
            (String::new(), json!({ "rooms": { ROOM: sessions } })),
            (format!("/{ROOM}"), sessions),
            (format!("/{ROOM}/s"), key(true, 0, 0)),
        ] {
            let path = format!("keys{place}?version={version}");
            client.get(&path).refused(404, "M_NOT_FOUND");
            client.delete(&path).refused(404, "M_NOT_FOUND");
            client.call("PUT", &path, &body).refused(404, "M_NOT_FOUND");
        }
    }
    client.get("keys?version=").refused(404, "M_NOT_FOUND");
    assert_eq!(client.contents(&version), ("0".to_owned(), 0));
}

#[test]
fn only_the_newest_backup_takes_keys() {
    let client = Client::new();
    let old = client.create();
    client.put(&old, "s", &key(true, 3, 0));
    let new = client.create();
    let rooms = json!({ "rooms": { ROOM: { "sessions": { "s": key(true, 1, 0) } } } });
    for (path, body) in [
        ("keys".to_owned(), &rooms),
        (format!("keys/{ROOM}"), &rooms["rooms"][ROOM]),
        (format!("keys/{ROOM}/s"), &rooms["rooms"][ROOM]["sessions"]["s"]),
    ] {
        let refused = client.call("PUT", &format!("{path}?version={old}"), body);
        let refused = refused.refused(403, "M_WRONG_ROOM_KEYS_VERSION");
        assert_eq!(refused["current_version"], json!(new));
        client.call("PUT", &format!("{path}?version={new}"), body).ok();
    }
    // The older one is read, and its keys are deleted.
    let one = format!("keys/{ROOM}/s?version={old}");
    assert_eq!(client.get(&one).ok(), key(true, 3, 0));
    assert_eq!(contents(&client.delete(&one).ok()).1, 0);
    assert_eq!(client.contents(&new).1, 1);
    client.delete(&format!("version/{new}")).ok();
    assert_eq!(client.get("version").ok()["version"], json!(old));
    assert_eq!(client.put(&old, "s", &key(true, 1, 0)).1, 1);
}

#[test]
fn a_backup_is_named_by_its_version_and_asked_for_with_a_token() {
    let client = Client::new();
    client.create();
    let rooms = json!({ "rooms": {} });
    for path in ["keys".to_owned(), format!("keys/{ROOM}"), format!("keys/{ROOM}/1")] {
        client.get(&path).refused(400, "M_MISSING_PARAM");
        client.delete(&path).refused(400, "M_MISSING_PARAM");
        client.call("PUT", &path, &rooms).refused(400, "M_MISSING_PARAM");
        let line = format!("GET /_matrix/client/v3/room_keys/{path}?version=1");
        client.scene.call(None, &line, &Value::Null).refused(401, "M_MISSING_TOKEN");
    }
}

#[test]
fn backups_and_keys_are_bounded() {
    let client = Client::new();
    let versions: Vec<String> = (0..100).map(|_| client.create()).collect();
    client.call("POST", "version", &backup("m.example")).refused(403, "M_FORBIDDEN");
    client.delete(&format!("version/{}", versions[0])).ok();
    let newest = client.create();
    client.put(&newest, "1", &key(true, 1, 0));
    let fill = "UPDATE backups SET count = 999999 WHERE version = ?";
    client.sql().run(fill, values![&versions[1]]).unwrap();
    let put = |session: &str| {
        let path = format!("keys/{ROOM}/{session}?version={newest}");
        client.call("PUT", &path, &key(true, 0, 0))
    };
    let before = client.contents(&newest);
    put("2").refused(403, "M_FORBIDDEN");
    assert_eq!(client.contents(&newest), before);
    // A better key takes the place of the one before.
    assert_eq!(contents(&put("1").ok()).1, 1);
    client.delete(&format!("version/{}", versions[1])).ok();
    assert_eq!(contents(&put("2").ok()).1, 2);
}
