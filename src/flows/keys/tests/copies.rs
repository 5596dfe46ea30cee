//! Does D1 have a copy of what is shown of users' keys, and who is told of what it lacks?

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{PASSWORD, Scene, User};

use super::{QUERY, token};
use crate::flows::tests::ours;

/// Two users who share a room; bob has a device with keys.
struct Two {
    scene: Scene,
    alice: User,
    bob: User,
}

impl Two {
    fn new() -> Self {
        let scene = ours();
        let (alice, bob) = (scene.register("alice"), scene.register("bob"));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        scene.act(&bob, &room, "join", &json!({})).ok();
        let two = Self { scene, alice, bob };
        two.upload(1);
        two
    }

    /// Uploads the keys of bob's device, of this number.
    fn upload(&self, number: u8) {
        let who = self.scene.get(&self.bob, "/_matrix/client/v3/account/whoami").ok();
        let device_keys = json!({
            "user_id": self.bob.id, "device_id": who["device_id"],
            "keys": { "ed25519:a": number.to_string() }, "algorithms": [], "signatures": {},
        });
        let line = "POST /_matrix/client/v3/keys/upload";
        self.scene.call(Some(&self.bob), line, &json!({ "device_keys": device_keys })).ok();
    }

    /// The number of the keys that alice is shown; `None`: there are none.
    fn shown(&self) -> Option<u8> {
        let wanted = json!({ "device_keys": { &self.bob.id: [] } });
        let found = self.scene.call(Some(&self.alice), QUERY, &wanted).ok();
        let devices = found["device_keys"][&self.bob.id].as_object().unwrap();
        let device = devices.values().next()?;
        device["keys"]["ed25519:a"].as_str().unwrap().parse().ok()
    }

    /// Whose devices changed, as alice is told it.
    fn changed(&self, since: &mut String) -> Value {
        let sync = self.scene.sync(&self.alice, &format!("since={since}"));
        *since = token(&sync);
        sync["device_lists"]["changed"].clone()
    }

    fn run(&self, statement: &str) {
        self.scene.server.d1().run(statement, values![]).unwrap();
    }

    /// Which version of bob's keys the copy has.
    fn copied(&self) -> Option<i64> {
        let query = "SELECT version FROM shown_keys WHERE localpart = 'bob'";
        self.scene.server.d1().row(query, values![], |row| row.int(0)).unwrap()
    }
}

#[test]
fn nobody_is_told_of_a_change_before_it_is_copied() {
    let two = Two::new();
    two.scene.pass(10_000);
    let mut since = token(&two.scene.sync(&two.alice, ""));
    assert_eq!(two.shown(), Some(1));
    two.run("ALTER TABLE shown_keys RENAME TO hidden_keys");
    two.upload(2);
    two.scene.pass(30_000);
    assert_eq!(two.changed(&mut since), Value::Null);
    two.run("ALTER TABLE hidden_keys RENAME TO shown_keys");
    assert_eq!(two.shown(), Some(1));
    two.scene.pass(120_000);
    assert_eq!(two.changed(&mut since), json!([two.bob.id]));
    assert_eq!(two.shown(), Some(2));
}

#[test]
fn what_was_answered_is_shown() {
    let two = Two::new();
    for number in 2..5 {
        two.upload(number);
        assert_eq!(two.shown(), Some(number));
    }
}

#[test]
fn a_copy_that_is_not_there_or_cannot_be_read_is_asked_for() {
    let two = Two::new();
    let version = two.copied();
    two.run("DELETE FROM shown_keys");
    assert_eq!((two.shown(), two.copied()), (Some(1), version));
    two.run("UPDATE shown_keys SET version = version - 1, shown = '[]'");
    // Another Worker remembers nothing.
    two.scene.server.crash();
    assert_eq!((two.shown(), two.copied()), (Some(1), version));
    two.run("UPDATE shown_keys SET version = version + 1, shown = NULL");
    assert_eq!(two.shown(), Some(1));
}

#[test]
fn who_is_deactivated_shows_no_keys() {
    let two = Two::new();
    assert_eq!(two.shown(), Some(1));
    let line = "POST /_matrix/client/v3/account/deactivate";
    let asked = two.scene.call(Some(&two.bob), line, &json!({}));
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD, "session": asked.body["session"],
        "identifier": { "type": "m.id.user", "user": "bob" },
    });
    two.scene.call(Some(&two.bob), line, &json!({ "auth": auth })).ok();
    two.scene.pass(10_000);
    assert_eq!(two.shown(), None);
}
