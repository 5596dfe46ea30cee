//! Who are the two servers and their users, and how do they ask?

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tombolo::app::Tombolo;
use tombolo_platform::simulated::{Server, Simulation};
use tombolo_protocol::{json::parse_value, signing::SigningKey};
use tombolo_support::{self as support, Peer, Secrets, User, encode, register};

pub const ONE: &str = "one.test:8448";
/// Its name is longer than the platform lets a pattern of `LIKE` be.
pub const TWO: &str = "two.of-a-name-that-has-more-than-fifty-characters-in-all.test:8448";

pub struct Scene {
    pub simulation: Simulation,
    pub one: Server,
    pub two: Server,
    /// Signs what the second server might.
    pub signer: Peer,
    count: Cell<u64>,
}

/// A server that is ours, with a key of this seed.
pub fn server(simulation: &Simulation, (name, seed): (&str, u8), more: &[(&str, &str)]) -> Server {
    support::server(simulation, Rc::new(Tombolo), name, &Secrets::of(seed), more)
}

impl Scene {
    pub fn new() -> Self {
        let simulation = Simulation::new(3);
        let (one, two) = (server(&simulation, (ONE, 1), &[]), server(&simulation, (TWO, 2), &[]));
        let signer = Peer::with(TWO, SigningKey::from_seed("ed25519:a", [2; 32]).unwrap());
        Self { simulation, one, two, signer, count: Cell::new(0) }
    }

    #[track_caller]
    pub fn register(&self, server: &Server, username: &str) -> User {
        self.simulation.run(register(server, username)).unwrap()
    }

    /// Status and text of an answer.
    pub fn answer(&self, server: &Server, request: Request<Bytes>) -> (u16, String) {
        let response = self.simulation.run(server.request(request)).unwrap();
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), text)
    }

    /// Status and text of the answer to a user.
    pub fn asked(&self, user: &User, line: &str, body: &str) -> (u16, String) {
        let path = line.replacen(' ', " /_matrix/client/v3", 1);
        let request = user.request(path.split_once(' ').unwrap(), body.to_owned());
        self.answer(&user.server, request)
    }

    /// The text of a success.
    #[track_caller]
    pub fn call(&self, user: &User, line: &str, body: &str) -> String {
        let (status, text) = self.asked(user, line, body);
        assert_eq!(status, 200, "{line}: {text}");
        text
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
        self.answer(&self.one, self.signer.request(ONE, path.split_once(' ').unwrap(), body))
    }

    /// Sends an event or sets state; answers the event's ID.
    #[track_caller]
    pub fn put(&self, user: &User, path: &str, content: &str) -> String {
        let answer = self.call(user, &format!("PUT /rooms/{path}"), content);
        parse_value(answer.as_bytes()).unwrap()["event_id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn say(&self, user: &User, room: &str, content: &str) -> String {
        self.count.set(self.count.get() + 1);
        let path = format!("{room}/send/m.room.message/{}", self.count.get());
        self.put(user, &path, content)
    }

    #[track_caller]
    pub fn room(&self, user: &User, preset: &str) -> String {
        let answer = self.call(user, "POST /createRoom", &format!("{{\"preset\":\"{preset}\"}}"));
        let room = parse_value(answer.as_bytes()).unwrap()["room_id"].as_str().unwrap().to_owned();
        encode(&room)
    }

    #[track_caller]
    pub fn sees(&self, user: &User, path: &str, what: &str) {
        let answer = self.call(user, &format!("GET {path}"), "");
        assert!(answer.contains(what), "{path}: {answer}");
    }

    /// Alice of the first server, and bob of the second.
    pub fn play(scenario: impl Fn(&Self, &User, &User)) {
        let scene = Self::new();
        let alice = scene.register(&scene.one, "alice");
        let bob = scene.register(&scene.two, "bob");
        scenario(&scene, &alice, &bob);
    }
}
