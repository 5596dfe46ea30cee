//! Are registrations read as services write them, and is what cannot be meant refused?

use serde_json::{Value, json};

use super::{Registration, Tokens};

fn registration() -> Value {
    json!({
        "id": "discord",
        "url": "http://localhost:29334",
        "as_token": "a",
        "hs_token": "h",
        "sender_localpart": "RandomSender",
        "rate_limited": false,
        "namespaces": {
            "users": [
                { "regex": "^@discordbot:hs\\.test$", "exclusive": true },
                { "regex": "^@discord_.*:hs\\.test$", "exclusive": true },
            ],
        },
        "de.sorunome.msc2409.push_ephemeral": true,
        "push_ephemeral": true,
    })
}

fn with(name: &str, value: Value) -> String {
    let mut registration = registration();
    registration[name] = value;
    registration.to_string()
}

#[test]
fn a_bridges_registration_is_read() {
    let (read, tokens) = Registration::read(&registration().to_string()).unwrap();
    assert_eq!(tokens, Tokens { as_token: "a".to_owned(), hs_token: "h".to_owned() });
    assert_eq!((read.id.as_str(), read.rate_limited), ("discord", false));
    assert_eq!(read.sender_localpart, "RandomSender");
    assert!(read.receive_ephemeral && !read.encryption && !read.device_management);
    assert_eq!((read.namespaces.users.len(), read.namespaces.rooms.len()), (2, 0));
    let stored = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Registration>(&stored).unwrap(), read);
}

#[test]
fn each_spelling_of_a_flag_is_read() {
    for name in ["receive_ephemeral", "push_ephemeral", "de.sorunome.msc2409.push_ephemeral"] {
        let mut only = registration();
        let fields = only.as_object_mut().unwrap();
        fields.retain(|field, _| !field.ends_with("push_ephemeral"));
        fields.insert(name.to_owned(), json!(true));
        assert!(Registration::read(&only.to_string()).unwrap().0.receive_ephemeral, "{name}");
    }
    let read = |name: &str| Registration::read(&with(name, json!(true))).unwrap().0;
    assert!(read("org.matrix.msc3202").encryption);
    assert!(read("io.element.msc4190").device_management);
}

#[test]
fn who_listens_nowhere_says_so() {
    let url = |url: Value| Registration::read(&with("url", url)).map(|(read, _)| read.url);
    assert_eq!(url(json!(null)), Ok(None));
    assert_eq!(url(json!("")), Ok(None));
    assert_eq!(url(json!("https://b.test/as/")), Ok(Some("https://b.test/as".to_owned())));
    let mut forgotten = registration();
    forgotten.as_object_mut().unwrap().remove("url");
    assert!(Registration::read(&forgotten.to_string()).unwrap_err().to_string().contains("`url`"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (name, value) in [
        ("id", json!("")),
        ("id", json!("a|b")),
        ("id", json!(null)),
        ("id", json!("x".repeat(256))),
        ("url", json!("ftp://b.test")),
        ("url", json!("b.test:80")),
        ("url", json!("http://b.test/?a=b")),
        ("as_token", json!(null)),
        ("hs_token", json!("a\nb")),
        ("sender_localpart", json!(null)),
        ("rate_limited", json!("no")),
        ("namespaces", json!(null)),
        ("namespaces", json!({ "users": [{ "regex": "@a.*" }] })),
        ("namespaces", json!({ "users": [{ "regex": "@a.*", "exclusive": "yes" }] })),
        ("namespaces", json!({ "users": [{ "regex": "(", "exclusive": true }] })),
        ("namespaces", json!({ "users": [{ "regex": "a)|(?:b", "exclusive": true }] })),
        ("namespaces", json!({ "aliases": [{ "regex": "(.{999}){999}", "exclusive": true }] })),
        ("namespaces", json!({ "rooms": [{ "regex": "a".repeat(1025), "exclusive": true }] })),
    ] {
        let read = Registration::read(&with(name, value.clone()));
        assert!(read.is_err(), "{name}: {value}");
    }
    assert!(Registration::read("[]").is_err());
}

#[test]
fn names_match_from_their_beginning_and_by_case() {
    let users = json!([
        { "regex": "@irc_.*", "exclusive": true },
        { "regex": "@a|@b", "exclusive": false },
        { "regex": "^@slack\\-[a-z]+:hs\\.test$", "exclusive": true },
    ]);
    let read = Registration::read(&with("namespaces", json!({ "users": users }))).unwrap().0;
    let users = read.namespaces.compiled().unwrap().users;
    for (name, has, owns) in [
        ("@irc_x:hs.test", true, true),
        ("@IRC_x:hs.test", false, false),
        ("@not@irc_x:hs.test", false, false),
        ("@alice:hs.test", true, false),
        ("@x@b:hs.test", false, false),
        ("@slack-bob:hs.test", true, true),
        ("@slack-bob:hs.test.org", false, false),
        ("@slack-bob:hsxtest", false, false),
    ] {
        assert_eq!((users.has(name), users.owns(name)), (has, owns), "{name}");
    }
}
