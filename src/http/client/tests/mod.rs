//! What does a client meet, from the request to the response? One server, simulated, with all its parts.

mod accounts;
mod answers;
mod ephemeral;
mod filters;
mod ignored;
mod leavers;
mod profiles;
mod relations;
mod rights;
mod rooms;
mod routes;
mod timelines;

use std::{fs, path::Path, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tombolo_platform::simulated::{Server, Simulation};

use crate::app::Tombolo;

/// A server that anybody may register on.
struct Scene {
    simulation: Simulation,
    server: Server,
}

/// A user with a session.
struct User {
    id: String,
    token: String,
}

/// A response.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[("REGISTRATION", "open")])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let simulation = Simulation::new(1);
        let (key, secret) = (
            format!("ed25519 1 {}", STANDARD_NO_PAD.encode([7; 32])),
            STANDARD_NO_PAD.encode([9; 32]),
        );
        let mut all = vec![
            ("SERVER_NAME", "example.org"),
            ("SIGNING_KEY", key.as_str()),
            ("TOKEN_SECRET", secret.as_str()),
            ("PASSWORD_COST", "cheap"),
            ("RATE_LIMITS", "off"),
        ];
        all.extend(variables);
        let migration = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<_> =
            fs::read_dir(migration).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
        files.sort();
        let migrations: Vec<(String, String)> = files
            .iter()
            .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
            .collect();
        let migrations: Vec<(&str, &str)> =
            migrations.iter().map(|(name, sql)| (&**name, &**sql)).collect();
        let server = simulation.server("example.org", Rc::new(Tombolo), &all, &migrations);
        Self { simulation, server }
    }

    /// One request, of a user or of nobody.
    fn call(&self, user: Option<&User>, line: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(user, line, text)
    }

    /// One request whose body need not be JSON.
    fn send(&self, user: Option<&User>, line: &str, body: String) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request.header("authorization", format!("Bearer {}", user.token));
        }
        let request = request.body(Bytes::from(body)).unwrap();
        let response = self.simulation.run(self.server.request(request)).unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status, headers, body }
    }

    fn get(&self, user: &User, path: &str) -> Answer {
        self.call(Some(user), &format!("GET {path}"), &Value::Null)
    }

    /// A sync of a user, with further parameters.
    fn sync(&self, user: &User, parameters: &str) -> Value {
        self.get(user, &format!("/_matrix/client/v3/sync?{parameters}")).ok()
    }

    /// A sync of a user by a filter.
    fn filtered(&self, user: &User, filter: &Value, parameters: &str) -> Value {
        let filter = percent_encoding::utf8_percent_encode(
            &filter.to_string(),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string();
        self.sync(user, &format!("filter={filter}&{parameters}"))
    }

    /// Lets the alarms fire that are due by then (ms).
    fn pass(&self, time: u64) {
        let world = self.server.world();
        self.simulation.run(world.sleep(std::time::Duration::from_millis(time)));
    }

    /// Something a user does to a room.
    fn act(&self, user: &User, room: &str, deed: &str, body: &Value) -> Answer {
        self.call(Some(user), &format!("POST /_matrix/client/v3/rooms/{room}/{deed}"), body)
    }

    /// Something a user puts into a room.
    fn put(&self, user: &User, room: &str, rest: &str, body: &Value) -> Answer {
        self.call(Some(user), &format!("PUT /_matrix/client/v3/rooms/{room}/{rest}"), body)
    }

    fn register(&self, name: &str) -> User {
        let body =
            json!({ "username": name, "password": "secret", "auth": { "type": "m.login.dummy" } });
        let answer = self.call(None, "POST /_matrix/client/v3/register", &body).ok();
        User { id: text(&answer["user_id"]), token: text(&answer["access_token"]) }
    }

    /// The ID of a new room.
    fn room(&self, user: &User, wish: &Value) -> String {
        text(&self.call(Some(user), "POST /_matrix/client/v3/createRoom", wish).ok()["room_id"])
    }

    /// The ID of a new message.
    fn say(&self, user: &User, room: &str, body: &str) -> String {
        let line = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/{body}");
        text(
            &self.call(Some(user), &line, &json!({ "msgtype": "m.text", "body": body })).ok()["event_id"],
        )
    }
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    #[track_caller]
    fn refused(self, status: u16, errcode: &str) -> Value {
        assert_eq!(
            (self.status, self.body["errcode"].as_str()),
            (status, Some(errcode)),
            "{}",
            self.body
        );
        self.body
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
