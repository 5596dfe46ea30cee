//! Who are the two servers and their users, and how do they ask?

use std::cell::Cell;

use bytes::Bytes;
use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tombolo_platform::simulated::{Server, Simulation};
use tombolo_protocol::{
    canonical_json::loose_to_string, json::parse_value, signing::SigningKey, x_matrix,
};

use crate::simulated::{self, Secrets};

pub const ONE: &str = "one.test:8448";
/// Its name is longer than the platform lets a pattern of `LIKE` be.
pub const TWO: &str = "two.of-a-name-that-has-more-than-fifty-characters-in-all.test:8448";

pub struct Scene {
    pub simulation: Simulation,
    pub one: Server,
    pub two: Server,
    count: Cell<u64>,
}

#[derive(Clone, Copy)]
pub struct User<'a> {
    pub server: &'a Server,
    pub id: &'a str,
    pub token: &'a str,
}

/// An identifier as a path segment or the value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A server that is ours, with a key of this seed.
pub fn server(simulation: &Simulation, (name, seed): (&str, u8), more: &[(&str, &str)]) -> Server {
    let secrets = Secrets { signing_key: ("a".to_owned(), [seed; 32]), token: [8; 32] };
    simulated::server(simulation, name, &secrets, more)
}

impl Scene {
    pub fn new() -> Self {
        let simulation = Simulation::new(3);
        let (one, two) = (server(&simulation, (ONE, 1), &[]), server(&simulation, (TWO, 2), &[]));
        Self { simulation, one, two, count: Cell::new(0) }
    }

    pub fn register(&self, server: &Server, username: &str) -> String {
        let body = json!({ "username": username, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        let line = "POST /_matrix/client/v3/register";
        let answer = self.ask(server, line, String::new(), body.to_string());
        parse_value(answer.as_bytes()).unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// The text of a success.
    #[track_caller]
    pub fn ask(&self, server: &Server, line: &str, authorization: String, body: String) -> String {
        let (status, text) = self.answer(server, line, authorization, body);
        assert_eq!(status, 200, "{line}: {text}");
        text
    }

    /// Status and text of an answer.
    pub fn answer(
        &self,
        server: &Server,
        line: &str,
        authorization: String,
        body: String,
    ) -> (u16, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", authorization).body(Bytes::from(body));
        let response = self.simulation.run(server.request(request.unwrap())).unwrap();
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), text)
    }

    #[track_caller]
    pub fn call(&self, user: User<'_>, line: &str, body: &str) -> String {
        let path = line.replacen(' ', " /_matrix/client/v3", 1);
        self.ask(user.server, &path, format!("Bearer {}", user.token), body.to_owned())
    }

    /// The key of the second server.
    pub fn key() -> SigningKey {
        SigningKey::from_seed("ed25519:a", [2; 32]).unwrap()
    }

    /// What the second server gets when it asks the first.
    #[track_caller]
    pub fn signed(&self, line: &str, body: Option<&Value>) -> String {
        let (status, text) = self.answered(line, body);
        assert_eq!(status, 200, "{line}: {text}");
        text
    }

    /// The same, whatever the answer is.
    pub fn answered(&self, line: &str, body: Option<&Value>) -> (u16, String) {
        let path = line.replacen(' ', " /_matrix/federation/", 1);
        let (method, uri) = path.split_once(' ').unwrap();
        let key = Self::key();
        let (origin, destination) = (TWO.try_into().unwrap(), ONE.try_into().unwrap());
        let body = body.map(loose_to_string);
        let request = x_matrix::Request { method, uri, content: body.as_deref() };
        let header = x_matrix::sign(request, origin, destination, &key).header();
        self.answer(&self.one, &path, header, body.unwrap_or_default())
    }

    /// Sends an event or sets state; answers the event's ID.
    #[track_caller]
    pub fn put(&self, user: User<'_>, path: &str, content: &str) -> String {
        let answer = self.call(user, &format!("PUT /rooms/{path}"), content);
        parse_value(answer.as_bytes()).unwrap()["event_id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn say(&self, user: User<'_>, room: &str, content: &str) -> String {
        self.count.set(self.count.get() + 1);
        let path = format!("{room}/send/m.room.message/{}", self.count.get());
        self.put(user, &path, content)
    }

    #[track_caller]
    pub fn room(&self, user: User<'_>, preset: &str) -> String {
        let answer = self.call(user, "POST /createRoom", &format!("{{\"preset\":\"{preset}\"}}"));
        let room = parse_value(answer.as_bytes()).unwrap()["room_id"].as_str().unwrap().to_owned();
        encode(&room)
    }

    #[track_caller]
    pub fn sees(&self, user: User<'_>, path: &str, what: &str) {
        let answer = self.call(user, &format!("GET {path}"), "");
        assert!(answer.contains(what), "{path}: {answer}");
    }

    /// Alice of the first server, and bob of the second.
    pub fn play(scenario: impl Fn(&Self, User<'_>, User<'_>)) {
        let scene = Self::new();
        let tokens = (scene.register(&scene.one, "alice"), scene.register(&scene.two, "bob"));
        let (alice, bob) = (format!("@alice:{ONE}"), format!("@bob:{TWO}"));
        let alice = User { server: &scene.one, id: &alice, token: &tokens.0 };
        let bob = User { server: &scene.two, id: &bob, token: &tokens.1 };
        scenario(&scene, alice, bob);
    }
}
