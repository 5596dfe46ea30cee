//! What does a client meet, from the request to the response? One server, simulated, with all its parts.

mod accounts;
mod leavers;
mod profiles;
mod rooms;
mod routes;
mod timelines;

use std::{fs, path::Path, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::Request;
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
        let status = response.status().as_u16();
        Answer { status, body: serde_json::from_slice(response.body()).unwrap_or_default() }
    }

    fn get(&self, user: &User, path: &str) -> Answer {
        self.call(Some(user), &format!("GET {path}"), &Value::Null)
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
