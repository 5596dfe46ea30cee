//! What does a client see over a sliding sync?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))

mod beside;
mod connections;
mod drafts;
mod limits;
mod lists;
mod rooms;
mod stable;
mod unseen;
mod waiting;

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

const SYNC: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// A client on one connection, which asks for the same with each request.
struct Client<'a> {
    scene: &'a Scene,
    user: &'a User,
    body: Value,
    pos: Option<String>,
}

impl<'a> Client<'a> {
    /// Of whom a list `all` is wanted, with so many events of each room.
    fn of(scene: &'a Scene, user: &'a User, limit: u32) -> Self {
        let list = json!({ "ranges": [[0, 99]], "timeline_limit": limit, "required_state": [] });
        Self { scene, user, body: json!({ "lists": { "all": list } }), pos: None }
    }

    fn list(&mut self) -> &mut Value {
        &mut self.body["lists"]["all"]
    }

    fn asks(&self) -> Answer {
        let pos = self.pos.as_ref().map_or(String::new(), |pos| format!("?pos={pos}"));
        self.scene.call(Some(self.user), &format!("POST {SYNC}{pos}"), &self.body)
    }

    /// The next response; the connection goes on from it.
    fn next(&mut self) -> Value {
        let answer = self.asks().ok();
        self.pos = Some(text(&answer["pos"]));
        answer
    }

    /// What the next response has of a room.
    fn next_of(&mut self, room: &str) -> Value {
        self.next()["rooms"][room].clone()
    }
}

/// Lets everybody be told.
fn settle(scene: &Scene) {
    scene.pass(5_000);
}

/// The rooms of a response.
fn rooms(answer: &Value) -> Vec<String> {
    answer["rooms"].as_object().unwrap().keys().cloned().collect()
}

/// The bodies of the messages in a timeline.
fn said(room: &Value) -> Vec<String> {
    let events = room["timeline"].as_array().into_iter().flatten();
    let messages = events.filter(|event| event["type"] == "m.room.message");
    messages.map(|event| text(&event["content"]["body"])).collect()
}

/// The types and state keys of the required state.
fn state(room: &Value) -> Vec<(String, String)> {
    let events = room["required_state"].as_array().into_iter().flatten();
    let mut keys: Vec<_> =
        events.map(|event| (text(&event["type"]), text(&event["state_key"]))).collect();
    keys.sort();
    keys
}

/// The same of pairs.
fn pairs(keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut keys: Vec<_> =
        keys.iter().map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned())).collect();
    keys.sort();
    keys
}
