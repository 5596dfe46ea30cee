//! Where does a scenario play? A server, more beside it, and what their users do.

use std::{cell::Cell, rc::Rc, time::Duration};

use serde_json::{Value, json};
use tombolo_platform::{
    Application, World,
    simulated::{Server, Simulation},
};

use crate::{
    client::{Answer, User, ask, encode, register, request, text},
    peer::Peer,
    server::{Secrets, server},
};

/// A simulation with a server that anybody may register on.
pub struct Scene {
    pub simulation: Simulation,
    pub server: Server,
    application: Rc<dyn Application<World>>,
    count: Cell<u64>,
}

impl Scene {
    /// A server of this name; `more` overrides its variables.
    pub fn new(application: Rc<dyn Application<World>>, name: &str, more: &[(&str, &str)]) -> Self {
        let simulation = Simulation::new(1);
        let server = server(&simulation, Rc::clone(&application), name, &Secrets::of(7), more);
        Self { simulation, server, application, count: Cell::new(0) }
    }

    /// One more server, whose key has this seed.
    pub fn another(&self, name: &str, seed: u8) -> Server {
        self.another_with(name, seed, &[])
    }

    /// The same; `more` overrides its variables.
    pub fn another_with(&self, name: &str, seed: u8, more: &[(&str, &str)]) -> Server {
        server(&self.simulation, Rc::clone(&self.application), name, &Secrets::of(seed), more)
    }

    /// A number that was not given before.
    pub fn number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// Lets the alarms fire that are due by then (ms).
    pub fn pass(&self, time: u64) {
        self.simulation.run(self.server.world().sleep(Duration::from_millis(time)));
    }

    /// A new user of the first server.
    pub fn register(&self, username: &str) -> User {
        self.register_on(&self.server, username)
    }

    #[track_caller]
    pub fn register_on(&self, server: &Server, username: &str) -> User {
        self.simulation.run(register(server, username)).unwrap_or_else(|answer| {
            panic!("{username} cannot register: {answer:?}");
        })
    }

    /// One request, of a user or, at the first server, of nobody. `line` is a method and a path.
    pub fn call(&self, user: Option<&User>, line: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(user, line, text)
    }

    /// One request whose body need not be JSON.
    pub fn send(&self, user: Option<&User>, line: &str, body: String) -> Answer {
        let line = line.split_once(' ').unwrap();
        let (server, request) = match user {
            Some(user) => (&user.server, user.request(line, body)),
            None => (&self.server, request(None, line, body)),
        };
        self.simulation.run(ask(server, request)).unwrap()
    }

    pub fn get(&self, user: &User, path: &str) -> Answer {
        self.call(Some(user), &format!("GET {path}"), &Value::Null)
    }

    /// A sync of a user, with further parameters.
    #[track_caller]
    pub fn sync(&self, user: &User, parameters: &str) -> Value {
        self.get(user, &format!("/_matrix/client/v3/sync?{parameters}")).ok()
    }

    /// A sync of a user by a filter.
    #[track_caller]
    pub fn filtered(&self, user: &User, filter: &Value, parameters: &str) -> Value {
        self.sync(user, &format!("filter={}&{parameters}", encode(&filter.to_string())))
    }

    /// Something a user does to a room.
    pub fn act(&self, user: &User, room: &str, deed: &str, body: &Value) -> Answer {
        self.call(Some(user), &format!("POST /_matrix/client/v3/rooms/{room}/{deed}"), body)
    }

    /// Something a user puts into a room.
    pub fn put(&self, user: &User, room: &str, rest: &str, body: &Value) -> Answer {
        self.call(Some(user), &format!("PUT /_matrix/client/v3/rooms/{room}/{rest}"), body)
    }

    /// The ID of a new room; `content` is the request's.
    #[track_caller]
    pub fn room(&self, user: &User, content: &Value) -> String {
        let answer = self.call(Some(user), "POST /_matrix/client/v3/createRoom", content);
        text(&answer.ok()["room_id"])
    }

    /// The ID of a new message.
    #[track_caller]
    pub fn say(&self, user: &User, room: &str, body: &str) -> String {
        let path = format!("send/m.room.message/said-{}", self.number());
        let answer = self.put(user, room, &path, &json!({ "msgtype": "m.text", "body": body }));
        text(&answer.ok()["event_id"])
    }

    /// The ID of a new state event.
    #[track_caller]
    pub fn set(
        &self,
        user: &User,
        room: &str,
        (kind, key): (&str, &str),
        content: &Value,
    ) -> String {
        let answer = self.put(user, room, &format!("state/{kind}/{}", encode(key)), content);
        text(&answer.ok()["event_id"])
    }

    /// A request of another server, signed as it should be. `line` is a method and a path. Nothing that a peer says may
    /// break a server.
    pub fn signed(&self, peer: &Peer, line: &str, content: Option<&Value>) -> Answer {
        let request = peer.request(self.server.name(), line.split_once(' ').unwrap(), content);
        let answer = self.simulation.run(ask(&self.server, request)).unwrap();
        assert!(answer.status < 500, "{line}: {answer:?}");
        answer
    }
}
