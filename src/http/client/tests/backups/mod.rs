//! Are room keys backed up, found again and deleted as the specification says?

mod keys;
mod versions;

use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::Sql;
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;
use crate::objects::keys_object;

const ROOM: &str = "!a:example.org";
const OTHER: &str = "!b:example.org";

/// A user on a server.
struct Client {
    scene: Scene,
    user: User,
}

impl Client {
    fn new() -> Self {
        let scene = one_server();
        let user = scene.register("alice");
        Self { scene, user }
    }

    /// A request below `room_keys`.
    fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let line = format!("{method} /_matrix/client/v3/room_keys/{path}");
        self.scene.call(Some(&self.user), &line, body)
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &Value::Null)
    }

    /// The body of a response as it was written.
    fn text(&self, path: &str) -> String {
        let line = ("GET", &*format!("/_matrix/client/v3/room_keys/{path}"));
        let response = self.scene.server.request(self.user.request(line, ""));
        let response = self.scene.simulation.run(response).unwrap();
        String::from_utf8(response.into_body().into()).unwrap()
    }

    fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &Value::Null)
    }

    /// The database of the user's keys.
    fn sql(&self) -> Sql {
        let user = UserId::parse(self.user.id.as_str()).unwrap();
        self.scene.server.sql(&keys_object(&user)).unwrap()
    }

    /// The version of a new backup.
    #[track_caller]
    fn create(&self) -> String {
        text(&self.call("POST", "version", &backup("m.example")).ok()["version"])
    }

    /// Puts the key of a session of `ROOM`; answers the etag and the count.
    #[track_caller]
    fn put(&self, version: &str, session: &str, key: &Value) -> (String, u64) {
        contents(&self.call("PUT", &format!("keys/{ROOM}/{session}?version={version}"), key).ok())
    }

    /// The etag and the count that a backup says to have.
    #[track_caller]
    fn contents(&self, version: &str) -> (String, u64) {
        contents(&self.get(&format!("version/{version}")).ok())
    }
}

#[track_caller]
fn contents(answer: &Value) -> (String, u64) {
    (text(&answer["etag"]), answer["count"].as_u64().unwrap())
}

fn backup(algorithm: &str) -> Value {
    json!({ "algorithm": algorithm, "auth_data": { "public_key": "abc" } })
}

fn key(is_verified: bool, first_message_index: u64, forwarded_count: u64) -> Value {
    json!({
        "first_message_index": first_message_index,
        "forwarded_count": forwarded_count,
        "is_verified": is_verified,
        "session_data": { "ciphertext": format!("{is_verified} {first_message_index} {forwarded_count}") },
    })
}
