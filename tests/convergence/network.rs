//! Which servers and users does a scenario have, and how do users speak to their servers?

use std::{cell::RefCell, collections::BTreeMap};

use bytes::Bytes;
use http::{Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tombolo::objects::{room::RoomClass, user_sync::UserSyncClass};
use tombolo_platform::{
    Address, Sql,
    simulated::{Server, Simulation},
};

use crate::{
    dice::Dice,
    secrets,
    simulated::{self, Secrets},
};

/// How often a client repeats a request that failed for no fault of its own.
const TRIES: usize = 4;

/// A user with an open session.
pub struct User {
    pub id: String,
    pub server: usize,
    token: String,
    /// Secrets that were in any response to the user, each with the request that told it first.
    pub told: RefCell<BTreeMap<usize, String>>,
}

/// The servers and their users.
pub struct Network {
    pub servers: Vec<Server>,
    pub users: Vec<User>,
}

/// What a server said; status 0 when it said nothing.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// A string of the body.
    pub fn text(&self, name: &str) -> Option<String> {
        self.body[name].as_str().map(str::to_owned)
    }

    fn failed(&self) -> bool {
        self.status == 0 || self.status >= 500
    }
}

impl Network {
    /// Servers without users.
    pub fn new(simulation: &Simulation, dice: &Dice, count: usize) -> Self {
        let servers = (0..count).map(|number| server(simulation, dice, number)).collect();
        Self { servers, users: Vec::new() }
    }

    /// Registers users on a server.
    pub async fn register(&mut self, server: usize, count: usize) {
        for number in 0..count {
            let username = format!("u{number}");
            let body = json!({ "username": username, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
            let path = "/_matrix/client/v3/register";
            let answer = ask(&self.servers[server], &Method::POST, path, None, Some(&body)).await;
            let (id, token) = (answer.text("user_id"), answer.text("access_token"));
            let (Some(id), Some(token)) = (id, token) else {
                panic!("{username} cannot register: {answer:?}")
            };
            self.users.push(User { id, server, token, told: RefCell::default() });
        }
    }

    /// One request of a user. What it tells the user is remembered.
    pub async fn call(
        &self,
        user: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let user = &self.users[user];
        let answer =
            ask(&self.servers[user.server], &method, path, Some(&user.token), body.as_ref()).await;
        for secret in secrets::found(&answer.body.to_string()) {
            user.told.borrow_mut().entry(secret).or_insert_with(|| format!("{method} {path}"));
        }
        answer
    }

    /// A request that is repeated while it fails, as a client repeats it: for what may be repeated.
    pub async fn insist(
        &self,
        user: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut answer = Answer { status: 0, body: Value::Null };
        for _ in 0..TRIES {
            answer = self.call(user, method.clone(), path, body.clone()).await;
            if !answer.failed() {
                break;
            }
        }
        answer
    }

    pub async fn get(&self, user: usize, path: &str) -> Answer {
        self.call(user, Method::GET, path, None).await
    }

    /// The name of a user's server.
    pub fn home(&self, user: usize) -> &str {
        self.servers[self.users[user].server].name()
    }

    /// A server's copy of a room, if it has any.
    pub fn room(&self, server: usize, room: &str) -> Option<Sql> {
        self.servers[server].sql(&Address::<RoomClass>::new(room))
    }

    /// What a server holds of a user of its own.
    pub fn user(&self, server: usize, user: &str) -> Option<Sql> {
        self.servers[server].sql(&Address::<UserSyncClass>::new(user))
    }
}

async fn ask(
    server: &Server,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = request.body(Bytes::from(body)).unwrap();
    match server.request(request).await {
        Ok(response) => {
            let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
            Answer { status: response.status().as_u16(), body }
        }
        Err(unreachable) => Answer { status: 0, body: json!({ "error": unreachable.to_string() }) },
    }
}

fn server(simulation: &Simulation, dice: &Dice, number: usize) -> Server {
    let (mut seed, mut token) = ([0; 32], [0; 32]);
    seed.fill_with(|| dice.next().to_le_bytes()[0]);
    token.fill_with(|| dice.next().to_le_bytes()[0]);
    let secrets = Secrets { signing_key: (format!("k{number}"), seed), token };
    let notaries = [("TRUSTED_KEY_SERVERS", "a0.test:8448,a1.test:8448")];
    simulated::server(simulation, &format!("a{number}.test:8448"), &secrets, &notaries)
}

/// An identifier as a path segment or the value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
